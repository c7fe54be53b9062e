"""One connection on a transport that only remembers what was written."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from servers.list_deliveries import a_message

from mailblast.model.outcome import Attempt, Disposition
from mailblast.providers.smtp.connection import Connection
from mailblast.providers.smtp.opening import Opened
from mailblast.providers.smtp.settings import SmtpSettings
from mailblast.providers.smtp.transaction import Extensions

if TYPE_CHECKING:
    from mailblast.model.message import Message

GO_AHEAD = b"250 Ok\r\n250 Ok\r\n354 Go\r\n"
LARGE = b"0123456789ABCD\r\n" * 100_000


class RememberingTransport(asyncio.Transport):
    """Takes everything; pauses its protocol after so many writes."""

    def __init__(self, pause_after: int = 10**9) -> None:
        super().__init__()
        self.written = b""
        self.writes = 0
        self.closing = False
        self.protocol: asyncio.Protocol | None = None
        self.pause_after = pause_after

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data
        self.writes += 1
        if self.writes >= self.pause_after and self.protocol is not None:
            self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True


class ListOwner:
    """A pool of one."""

    def __init__(self, *waiting: Message) -> None:
        self.waiting = deque(waiting)
        self.finished: list[tuple[int, Disposition]] = []
        self.scheduled: list[Connection] = []
        self.was_idle = 0
        self.was_lost = 0
        self.errors: list[Exception] = []

    def take(self) -> Message | None:
        return self.waiting.popleft() if self.waiting else None

    def finish(self, message: Message, attempt: Attempt) -> None:
        self.finished.append((message.id, attempt.disposition))

    def schedule(self, connection: Connection) -> None:
        self.scheduled.append(connection)

    def idle(self, _connection: Connection) -> None:
        self.was_idle += 1

    def lost(self, _connection: Connection) -> None:
        self.was_lost += 1

    def failed(self, error: Exception) -> None:
        self.errors.append(error)


def connect(
    transport: RememberingTransport, owner: ListOwner, clock: FakeClock | None = None, *, pipelining: bool = True
) -> Connection:
    opened = Opened(transport, Extensions(pipelining=pipelining), {})
    return Connection(opened, SmtpSettings("localhost", 25), owner, (clock or FakeClock()).monotonic)


def test_go_ahead_in_pieces_schedules_once() -> None:
    transport, owner = RememberingTransport(), ListOwner()
    connection = connect(transport, owner)
    connection.start(a_message(1))
    connection.data_received(GO_AHEAD)
    # The beginning of a line that is not finished in this turn of the loop.
    connection.data_received(b"2")
    assert 1 == len(owner.scheduled)


def test_body_is_written_with_the_next_envelope_in_one_write() -> None:
    transport, owner = RememberingTransport(), ListOwner(a_message(2))
    connection = connect(transport, owner)
    connection.start(a_message(1))
    connection.data_received(GO_AHEAD)
    begun: list[int] = []
    before = len(transport.written)
    assert connection.mark(lambda message: begun.append(message.id))
    assert [1] == begun
    connection.look_ahead()
    assert before == len(transport.written)
    connection.write_body()
    assert 2 == transport.writes
    assert transport.written[before:].endswith(
        b"Hello\r\n.\r\nMAIL FROM:<sender@example.org>\r\nRCPT TO:<recipient2@example.com>\r\nDATA\r\n"
    )


def test_mark_on_a_closing_transport_marks_nothing() -> None:
    transport, owner = RememberingTransport(), ListOwner()
    connection = connect(transport, owner)
    connection.start(a_message(1))
    connection.data_received(GO_AHEAD)
    transport.closing = True
    begun: list[int] = []
    assert not connection.mark(lambda message: begun.append(message.id))
    connection.connection_lost(None)
    assert [] == begun
    assert [(1, Disposition.NOT_SENT)] == owner.finished


def test_large_body_waits_where_the_transport_is_full() -> None:
    transport, owner = RememberingTransport(pause_after=2), ListOwner()
    connection = connect(transport, owner)
    connection.start(a_message(1, body=LARGE))
    connection.data_received(GO_AHEAD)
    writes = [transport.writes]
    while not owner.scheduled:
        connection.resume_writing()
        writes.append(transport.writes)
        assert transport.writes <= 20
    # One block each time, and the dot only after the last of them is gone.
    assert list(range(writes[0], writes[0] + len(writes) - 1)) == writes[:-1]
    assert not transport.written.endswith(b"\r\n.\r\n")
    connection.resume_writing()
    assert 1 == len(owner.scheduled)
    connection.mark(lambda _message: None)
    connection.write_body()
    assert transport.written.endswith(LARGE + b".\r\n")


def test_large_body_on_a_closing_transport_is_not_written() -> None:
    transport, owner = RememberingTransport(), ListOwner()
    connection = connect(transport, owner)
    connection.start(a_message(1, body=LARGE))
    transport.closing = True
    connection.data_received(GO_AHEAD)
    assert 1 == transport.writes
    assert [] == owner.scheduled


@pytest.mark.parametrize(
    ("replies", "seconds"),
    [(b"", 300), (b"250 Ok\r\n", 300), (b"250 Ok\r\n250 Ok\r\n", 120), (GO_AHEAD, 180)],
)
def test_overdue_by_what_is_awaited(replies: bytes, seconds: float) -> None:
    clock, owner = FakeClock(), ListOwner()
    connection = connect(RememberingTransport(), owner, clock)
    connection.start(a_message(1))
    clock.advance(100)
    connection.data_received(replies)
    start_s = clock.monotonic() - (100 if not replies else 0)
    assert not connection.is_overdue(start_s + seconds - 1)
    assert connection.is_overdue(start_s + seconds)


def test_overdue_after_the_dot_is_600_s() -> None:
    clock, owner = FakeClock(), ListOwner()
    connection = connect(RememberingTransport(), owner, clock)
    connection.start(a_message(1))
    connection.data_received(GO_AHEAD)
    connection.mark(lambda _message: None)
    connection.write_body()
    assert not connection.is_overdue(clock.monotonic() + 599)
    assert connection.is_overdue(clock.monotonic() + 600)


def test_overdue_is_not_put_off_by_bytes_that_are_no_reply() -> None:
    clock, owner = FakeClock(), ListOwner()
    connection = connect(RememberingTransport(), owner, clock)
    connection.start(a_message(1))
    for _ in range(3):
        clock.advance(100)
        connection.data_received(b"250-drip\r\n")
    assert connection.is_overdue(clock.monotonic())


def test_idle_and_leaving_have_their_own_time() -> None:
    clock, owner = FakeClock(), ListOwner()
    connection = connect(RememberingTransport(), owner, clock)
    assert not connection.is_overdue(clock.monotonic() + 10_000)
    connection.quit()
    assert not connection.is_overdue(clock.monotonic() + 4)
    assert connection.is_overdue(clock.monotonic() + 5)


def test_leaving_closes_at_the_first_answer() -> None:
    transport, owner = RememberingTransport(), ListOwner()
    connection = connect(transport, owner)
    connection.quit()
    connection.data_received(b"221 Bye\r\n")
    assert transport.closing
    assert [] == owner.finished


def test_nothing_is_read_after_the_end() -> None:
    owner = ListOwner()
    connection = connect(RememberingTransport(), owner)
    connection.start(a_message(1))
    connection.abort()
    connection.data_received(GO_AHEAD)
    connection.connection_lost(None)
    assert [(1, Disposition.NOT_SENT)] == owner.finished
    assert 1 == owner.was_lost


def test_end_of_stream_lets_the_transport_close() -> None:
    assert not connect(RememberingTransport(), ListOwner()).eof_received()


def test_start_what_cannot_be_sent_goes_on_with_the_next() -> None:
    transport, owner = RememberingTransport(), ListOwner(a_message(2))
    connection = connect(transport, owner)
    connection.start(a_message(1, "a b@example.com"))
    assert [(1, Disposition.PERMANENT)] == owner.finished
    assert b"recipient2@" in transport.written


def test_error_while_receiving_ends_the_connection_and_is_told() -> None:
    transport, owner = RememberingTransport(), ListOwner()
    connection = connect(transport, owner)
    connection.start(a_message(1))

    def fail(message: Message, attempt: Attempt) -> None:
        raise ZeroDivisionError

    owner.finish = fail  # type: ignore[method-assign]  # a fault is put in
    connection.data_received(b"451 No\r\n503 No\r\n503 No\r\n")
    assert transport.closing
    assert [ZeroDivisionError] == [type(error) for error in owner.errors]

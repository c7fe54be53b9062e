"""Bodies with parts in files: through framing, connection, outbox and memory; and files that fail on the way."""

from __future__ import annotations

import asyncio
import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from servers.list_deliveries import ListDeliveries, a_message

from mailblast.errors import ProviderUnavailableError
from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Scope, Stage
from mailblast.providers.body import UnreadablePartError, pieces
from mailblast.providers.memory import MemoryProvider
from mailblast.providers.outbox import OutboxProvider
from mailblast.providers.smtp import connection as connections
from mailblast.providers.smtp import framing
from mailblast.providers.smtp.connection import Connection
from mailblast.providers.smtp.opening import Opened
from mailblast.providers.smtp.settings import SmtpSettings
from mailblast.providers.smtp.transaction import Extensions

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailblast.model.message import Message

LINE = b"0123456789" * 7 + b"\r\n"


class Streamed:
    """A part of these pieces; it fails after so many."""

    def __init__(self, *some: bytes, fails_after: int | None = None) -> None:
        self.some = some
        self.fails_after = len(some) + 1 if fails_after is None else fails_after
        self.is_open = 0

    def __len__(self) -> int:
        return sum(map(len, self.some))

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def chunks(self) -> Iterator[bytes]:
        self.is_open += 1
        try:
            for number, piece in enumerate(self.some):
                if number == self.fails_after:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))
                yield piece
        finally:
            self.is_open -= 1


def streamed_message(*some: bytes, fails_after: int | None = None, number: int = 1, **changes: Any) -> Message:
    head = b"Subject: x\r\n\r\n"
    return a_message(number, **changes)._replace(parts=(head, Streamed(*some, fails_after=fails_after), b"end\r\n"))


def test_pieces_are_parts_and_what_is_in_files() -> None:
    assert [b"a", b"b", b"c", b"d"] == list(pieces((b"a", Streamed(b"b", b"c"), b"d")))
    with pytest.raises(UnreadablePartError) as caught:
        list(pieces((b"a", Streamed(b"b", fails_after=0))))
    attempt = caught.value.attempt(2.5)
    assert (Disposition.TEMPORARY, Scope.MESSAGE, 2.5) == (attempt.disposition, attempt.scope, attempt.duration_s)
    assert attempt.reply is not None
    assert (451, "4.3.0", Stage.BODY) == (attempt.reply.code, attempt.reply.enhanced, attempt.reply.stage)
    assert "cannot be read, nothing was sent: Input/output error" in attempt.reply.text
    assert "odd" in UnreadablePartError(OSError("odd")).reply().text


PIECES = st.lists(st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"..", b"x", b"\r\n."]), min_size=1, max_size=8)


@given(PIECES, PIECES)
def test_blocks_are_stuffed_over_all_borders(held: list[bytes], read: list[bytes]) -> None:
    whole = b"".join([*held, *read, b"end\r\n"])
    expected = framing.small_body(a_message()._replace(parts=(whole,)))
    assert expected == b"".join(framing.blocks((*held, Streamed(*read), b"end\r\n"))) + framing.TERMINATOR


def test_small_is_what_is_held_and_fits_into_one_write() -> None:
    assert framing.is_small(a_message())
    assert framing.is_small(a_message(body=b"x" * 60_000))
    assert not framing.is_small(a_message(body=b"x" * 65_536))
    assert not framing.is_small(streamed_message(b"x"))


def test_base64_of_many_blocks_is_not_copied_but_for_its_blocks() -> None:
    part = LINE * 10_000
    blocks = list(framing.blocks((part,)))
    assert part == b"".join(blocks)
    assert framing.BLOCK_BYTES == max(map(len, blocks))


class Transport(asyncio.Transport):
    """Takes so many writes, then has enough until it is told to go on."""

    def __init__(self, pause_every: int = 10**9) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.aborted = False
        self.pause_every = pause_every
        self.protocol: asyncio.Protocol | None = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))
        if len(self.written) % self.pause_every == 0 and self.protocol is not None:
            self.protocol.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.limits = (high, low)

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class Owner:
    """A pool of one."""

    def __init__(self, waiting: Sequence[Message]) -> None:
        self.waiting = deque(waiting)
        self.finished: list[tuple[int, Attempt]] = []
        self.scheduled: list[Connection] = []
        self.lost_ones: list[Connection] = []

    def take(self) -> Message | None:
        return self.waiting.popleft() if self.waiting else None

    def finish(self, message: Message, attempt: Attempt) -> None:
        self.finished.append((message.id, attempt))

    def schedule(self, connection: Connection) -> None:
        self.scheduled.append(connection)

    def idle(self, connection: Connection) -> None: ...

    def lost(self, connection: Connection) -> None:
        self.lost_ones.append(connection)

    def failed(self, error: Exception) -> None:
        raise error


def opened(transport: Transport, owner: Owner, *, pipelining: bool = True) -> Connection:
    extensions = Extensions(pipelining=pipelining, size=True)
    clock = FakeClock()
    return Connection(Opened(transport, extensions, {}), SmtpSettings("h", 25), owner, clock.monotonic)


async def test_file_is_read_as_the_transport_takes_it_and_told_with_its_full_size() -> None:
    message = streamed_message(*[LINE * 900] * 8)
    part = message.parts[1]
    assert isinstance(part, Streamed)
    transport, owner = Transport(pause_every=3), Owner([])
    connection = opened(transport, owner)
    connection.start(message)
    assert b"MAIL FROM:<sender@example.org> SIZE=%d\r\n" % message.size in transport.written[0]
    connection.data_received(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
    # The envelope, the header, one piece; the file stays open behind it.
    assert (3, 1) == (len(transport.written), part.is_open)
    while not owner.scheduled:
        connection.resume_writing()
    assert 0 == part.is_open
    assert connection.mark(lambda _: None)
    connection.write_body()
    connection.data_received(b"250 2.0.0 queued as 1\r\n")
    assert b"Subject: x\r\n\r\n" + LINE * 900 * 8 + b"end\r\n.\r\n" == b"".join(transport.written[1:])
    assert Disposition.ACCEPTED is owner.finished[0][1].disposition


async def test_system_that_takes_everything_leaves_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BLOCKS_A_TURN", 4)
    transport, owner = Transport(), Owner([])
    connection = opened(transport, owner)
    connection.start(streamed_message(*[LINE] * 10))
    connection.data_received(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
    assert 1 + 4 == len(transport.written)
    await asyncio.sleep(0)
    assert 1 + 8 == len(transport.written)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (1 + 12, 1) == (len(transport.written), len(owner.scheduled))


@pytest.mark.parametrize("pipelining", [True, False])
@pytest.mark.parametrize("fails_after", [0, 2])
async def test_file_that_fails_ends_the_session_without_a_final_dot(fails_after: int, *, pipelining: bool) -> None:
    transport, owner = Transport(pause_every=4), Owner([a_message(2)])
    connection = opened(transport, owner, pipelining=pipelining)
    connection.start(streamed_message(*[LINE] * 4, fails_after=fails_after))
    replies = [b"250 Ok\r\n250 Ok\r\n354 Go\r\n"] if pipelining else [b"250 Ok\r\n", b"250 Ok\r\n", b"354 Go\r\n"]
    for reply in replies:
        connection.data_received(reply)
    connection.resume_writing()
    ((number, attempt),) = owner.finished
    assert (1, Disposition.TEMPORARY, Scope.MESSAGE) == (number, attempt.disposition, attempt.scope)
    assert attempt.reply is not None
    assert "Input/output error" in attempt.reply.text
    assert transport.aborted
    assert [connection] == owner.lost_ones
    assert [] == owner.scheduled
    body = b"".join(transport.written[1:])
    assert b"\r\n.\r\n" not in body
    assert LINE * fails_after in body
    # Nothing more for this connection: the next message waits for another one.
    assert 1 == len(owner.waiting)
    connection.connection_lost(None)
    assert 1 == len(owner.finished)


async def test_connection_lost_in_mid_file_closes_the_file() -> None:
    message = streamed_message(*[LINE] * 4)
    part = message.parts[1]
    assert isinstance(part, Streamed)
    transport, owner = Transport(pause_every=3), Owner([])
    connection = opened(transport, owner)
    connection.start(message)
    connection.data_received(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
    assert 1 == part.is_open
    connection.connection_lost(None)
    assert 0 == part.is_open
    assert Disposition.NOT_SENT is owner.finished[0][1].disposition


async def test_outbox_writes_files_with_local_line_ends(tmp_path: Path) -> None:
    provider = OutboxProvider(tmp_path / "box", clock=FakeClock())
    deliveries = ListDeliveries([streamed_message(b"a\r", b"\nb\r", b"c\r\n", b"\r")])
    await provider.deliver(deliveries)
    (path,) = (tmp_path / "box" / "new").iterdir()
    assert b"Subject: x\n\na\nb\rc\n\rend\n" == path.read_bytes()
    await provider.deliver(ListDeliveries([a_message(2)._replace(parts=(b"Subject: y\r\n\r\nx\r",))]))
    assert b"Subject: y\n\nx\r" in [each.read_bytes() for each in (tmp_path / "box" / "new").iterdir()]


async def test_outbox_leaves_out_a_message_whose_file_fails_and_goes_on(tmp_path: Path) -> None:
    provider = OutboxProvider(tmp_path / "box", clock=FakeClock())
    deliveries = ListDeliveries([streamed_message(b"a", b"b", fails_after=1), a_message(2)])
    await provider.deliver(deliveries)
    assert {1: Disposition.TEMPORARY, 2: Disposition.ACCEPTED} == deliveries.dispositions
    assert 1 == len(list((tmp_path / "box" / "new").iterdir()))
    assert [] == list((tmp_path / "box" / "tmp").iterdir())
    assert ("begin", 1) not in deliveries.calls


async def test_outbox_tells_a_full_disk_from_a_failing_file(tmp_path: Path) -> None:
    provider = OutboxProvider(tmp_path / "box", clock=FakeClock())
    await provider.open()
    (tmp_path / "box" / "tmp").rmdir()
    with pytest.raises(ProviderUnavailableError, match="cannot be written"):
        await provider.deliver(ListDeliveries([streamed_message(b"a")]))


async def test_memory_keeps_what_was_in_files_and_leaves_out_what_fails() -> None:
    provider = MemoryProvider()
    deliveries = ListDeliveries(
        [streamed_message(b"a", b"b", number=1), streamed_message(b"a", fails_after=0, number=2)]
    )
    await provider.deliver(deliveries)
    assert {1: Disposition.ACCEPTED, 2: Disposition.TEMPORARY} == deliveries.dispositions
    assert [(b"Subject: x\r\n\r\n", b"a", b"b", b"end\r\n")] == [message.parts for message in provider.messages]
    assert ("begin", 2) not in deliveries.calls

"""The connection on which a worker tells its turns: sent at once, answered in their order, never waited for."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from mailblast.executors.queue import scripts
from mailblast.executors.queue.commands import Script
from mailblast.executors.queue.store import QueueAwayError, QueueError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailblast.executors.queue.store import Store

#: How often it is looked whether the server has stopped answering.
LOOK_S = 1.0
_TURN = Script(scripts.TURN)
#: The answer to a turn in which everything was done.
_DONE = b":0\r\n"


class LeaseLostError(QueueError):
    """Somebody else is sending to one of these: this worker was away for longer than its lease."""


class Teller(Protocol):
    """Who sends turns."""

    def answered(self, *, refused: bool) -> None:
        """Take the answer to the oldest turn that has none."""
        ...

    def lost(self, error: QueueError) -> None:
        """Take note that no turn will be answered any more."""
        ...


class Wire(asyncio.Protocol):
    """One connection, whose answers come on the event loop.

    Args:
        store: Whose server it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        #: The client's stream, kept because it closes the transport when it is let go.
        self._writer: Any = None
        self._transport: Any = None
        #: Why there is no connection.
        self._trouble = QueueAwayError(f"The queue at {store.shown} does not answer.")
        #: Who sent each turn that is not answered, in order.
        self._waiting: deque[Teller] = deque()
        self._rest = b""
        #: Monotonic seconds of the last answer, or of the turn that found nothing unanswered before it.
        self._heard_s = 0.0
        self._looking: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Connect anew; what was not answered stays unanswered.

        Raises:
            QueueError: The server is away or refuses.
        """
        self.close()
        connection = self._store.make_connection()
        try:
            with self._store.told():
                await connection.connect()
                await connection.send_command("SCRIPT", "LOAD", _TURN.text)
                await connection.read_response()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # The client connects, logs in and speaks TLS. From here on its streams would cost more than the rest of a turn.
        self._writer, connection._writer = connection._writer, None  # noqa: SLF001 - it has no other way to it
        self._rest = b""
        self._transport = self._writer.transport
        self._transport.set_protocol(self)
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def close(self) -> None:
        """Hang up; nobody is told."""
        transport, self._transport = self._transport, None
        self._waiting.clear()
        if self._looking is not None:
            self._looking.cancel()
        if transport is not None:
            transport.close()

    def send(self, command: bytes, teller: Teller) -> None:
        """Send a turn.

        Args:
            command: As ``head()`` and ``words()`` give it.
            teller: Told its answer.

        Raises:
            QueueAwayError: There is no connection; it tells why.
        """
        transport = self._transport
        if transport is None:
            raise QueueAwayError(self._trouble.message, fix=self._trouble.fix)
        if not self._waiting:
            self._heard_s = asyncio.get_running_loop().time()
        self._waiting.append(teller)
        transport.write(command)

    def insist(self) -> None:
        """Have a connection.

        Raises:
            QueueAwayError: There is none; it tells why.
        """
        if self._transport is None:
            raise QueueAwayError(self._trouble.message, fix=self._trouble.fix)

    # The transport calls.

    def data_received(self, data: bytes) -> None:
        """Take answers: a line each, how many were refused, or an error."""
        if self._transport is None:
            return
        self._heard_s = asyncio.get_running_loop().time()
        if data == _DONE and not self._rest:
            self._waiting.popleft().answered(refused=False)
            return
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            if not line.startswith(b":"):
                self._fail(self._refusal(line[1:].decode("utf-8", "replace")))
                return
            self._waiting.popleft().answered(refused=line != b":0")

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the server is away."""
        if self._transport is not None:
            self._fail(self._away(exc or ConnectionError("Connection closed by server.")))

    # Inside.

    def _look(self) -> None:
        """Hang up where the server has not answered for too long."""
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK_S, self._look)
        if self._waiting and loop.time() - self._heard_s > self._store.timeout_s:
            self._fail(self._away(TimeoutError("Timeout reading from socket")))

    def _refusal(self, text: str) -> QueueError:
        """Return what an error that the server answered with means."""
        if text.startswith("NOSCRIPT"):
            # Somebody has flushed its scripts, or it is another server by now: whoever connects loads them.
            return QueueAwayError(f"The queue at {self._store.shown} has forgotten its scripts.")
        return self._store.meaning_of(text)

    def _away(self, error: Exception) -> QueueError:
        try:
            with self._store.told():
                raise error
        except QueueError as meaning:
            return meaning

    def _fail(self, error: QueueError) -> None:
        tellers = dict.fromkeys(self._waiting)
        if isinstance(error, QueueAwayError):
            self._trouble = error
        self.close()
        for teller in tellers:
            teller.lost(error)


def head(keys: Iterable[str], arguments: Iterable[str]) -> bytes:
    """Return what turns of one campaign begin with, in Redis' protocol (RESP): the script, keys, first arguments."""
    keys = list(keys)
    first = ["EVALSHA", _TURN.sha, str(len(keys)), *keys, *arguments]
    # Five more follow, see ``words()``.
    return "".join([f"*{len(first) + 5}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in first)]).encode("ascii")


def words(number: str, final: str, again: str, states: str, marks: str) -> bytes:
    """Return the rest of a turn; all is ASCII."""
    return (
        f"${len(number)}\r\n{number}\r\n${len(final)}\r\n{final}\r\n${len(again)}\r\n{again}\r\n"
        f"${len(states)}\r\n{states}\r\n${len(marks)}\r\n{marks}\r\n"
    ).encode("ascii")

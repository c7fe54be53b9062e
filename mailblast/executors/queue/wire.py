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


class Wire:
    """The connection of a worker, whose answers come on the event loop.

    Args:
        store: Whose server it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._link: _Link | None = None
        #: Why there is no connection.
        self._trouble = QueueAwayError(f"The queue at {store.shown} does not answer.")
        #: Who sent each turn that is not answered, in order.
        self._waiting: deque[Teller] = deque()
        #: Loop's seconds of the last answer, or of the turn that found nothing unanswered before it.
        self._heard_s = 0.0
        self._looking: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Connect anew; who waits for an answer of an old connection is told that none will come.

        Raises:
            QueueError: The server is away or refuses.
        """
        if self._link is not None:
            self.cut(QueueAwayError(f"The connection to the queue at {self._store.shown} was given up."))
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
        writer, connection._writer = connection._writer, None  # noqa: SLF001 - it has no other way to it
        self._link = _Link(self, writer)
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def close(self) -> None:
        """Hang up when all that was sent is with the system."""
        link = self._let_go()
        if link is not None:
            link.transport.close()

    def cut(self, error: QueueError) -> None:
        """Hang up at once: nothing that is told to have no answer may still arrive afterwards, behind newer turns."""
        tellers = dict.fromkeys(self._waiting)
        if isinstance(error, QueueAwayError):
            self._trouble = error
        link = self._let_go()
        if link is not None:
            link.transport.abort()
        for teller in tellers:
            teller.lost(error)

    def send(self, command: bytes, teller: Teller) -> None:
        """Send a turn.

        Args:
            command: As ``head()`` and ``words()`` give it.
            teller: Told its answer.

        Raises:
            QueueAwayError: There is no connection; it tells why.
        """
        link = self.insist()
        if not self._waiting:
            self._heard_s = asyncio.get_running_loop().time()
        self._waiting.append(teller)
        link.transport.write(command)

    def insist(self) -> _Link:
        """Return the connection.

        Raises:
            QueueAwayError: There is none; it tells why.
        """
        link = self._link
        if link is None or link.transport.is_closing():
            raise QueueAwayError(self._trouble.message, fix=self._trouble.fix)
        return link

    # The link calls.

    def take(self, line: bytes) -> None:
        """Take an answer: how many were refused, or an error."""
        if not line.startswith(b":"):
            self.cut(self._refusal(line[1:].decode("utf-8", "replace")))
            return
        self._heard_s = asyncio.get_running_loop().time()
        self._waiting.popleft().answered(refused=line != b":0")

    def ended(self, link: _Link, error: Exception | None) -> None:
        """Take note that a connection has ended; a former one says nothing about this one."""
        if link is self._link:
            # A defect, too, has closed it, and the loop has told of it.
            lost = error if isinstance(error, OSError) else ConnectionError(f"{error or 'closed by the server'}")
            self.cut(self._away(lost))

    # Inside.

    def _let_go(self) -> _Link | None:
        link, self._link = self._link, None
        self._waiting.clear()
        if self._looking is not None:
            self._looking.cancel()
        return link

    def _look(self) -> None:
        """Hang up where the server has not answered for too long."""
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK_S, self._look)
        if self._waiting and loop.time() - self._heard_s > self._store.timeout_s:
            self.cut(self._away(TimeoutError("Timeout reading from socket")))

    def _refusal(self, text: str) -> QueueError:
        """Return what an error that the server answered with means."""
        if text.startswith("NOSCRIPT"):
            # Somebody has flushed its scripts, or it is another server by now: whoever connects loads them.
            return QueueAwayError(f"The queue at {self._store.shown} has forgotten its scripts.")
        if text.startswith("GAP"):
            return QueueAwayError(f"The queue at {self._store.shown} has not taken what was told before.")
        return self._store.meaning_of(text)

    def _away(self, error: Exception) -> QueueError:
        try:
            with self._store.told():
                raise error
        except QueueError as meaning:
            return meaning


class _Link(asyncio.Protocol):
    """One connection of a wire.

    Args:
        wire: Told its answers and its end.
        writer: The client's stream, kept because it closes the transport when it is let go.
    """

    def __init__(self, wire: Wire, writer: Any) -> None:
        self._wire = wire
        self._writer = writer
        self._rest = b""
        self.transport: asyncio.Transport = writer.transport
        self.transport.set_protocol(self)

    def data_received(self, data: bytes) -> None:
        """Pass on answers, a line each."""
        *lines, self._rest = (self._rest + data).split(b"\r\n")
        for line in lines:
            # After an error, those behind it are told once more.
            if not self.transport.is_closing():
                self._wire.take(line)

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on the end."""
        self._wire.ended(self, exc)


def head(keys: Iterable[str], arguments: Iterable[str]) -> bytes:
    """Return what turns of one campaign begin with, in Redis' protocol (RESP): the script, keys, first arguments."""
    keys = list(keys)
    first = ["EVALSHA", _TURN.sha, str(len(keys)), *keys, *arguments]
    # Six more follow, see ``words()``.
    return "".join([f"*{len(first) + 6}\r\n", *(f"${len(word)}\r\n{word}\r\n" for word in first)]).encode("ascii")


def words(number: str, oldest: str, final: str, again: str, states: str, marks: str) -> bytes:
    """Return the rest of a turn; all is ASCII."""
    return (
        f"${len(number)}\r\n{number}\r\n${len(oldest)}\r\n{oldest}\r\n${len(final)}\r\n{final}\r\n"
        f"${len(again)}\r\n{again}\r\n${len(states)}\r\n{states}\r\n${len(marks)}\r\n{marks}\r\n"
    ).encode("ascii")

"""One session on one socket: writes what the transactions ask for, reads what the server says."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from mailblast.providers.body import UnreadablePartError
from mailblast.providers.smtp import framing
from mailblast.providers.smtp.classify import classifier
from mailblast.providers.smtp.phases import Phase
from mailblast.providers.smtp.transaction import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt
    from mailblast.providers.smtp.opening import Opened
    from mailblast.providers.smtp.settings import SmtpSettings

#: Blocks of a large body that are written before others have their turn: 4 MB at most.
BLOCKS_A_TURN = 16


class Owner(Protocol):
    """What a connection asks of its pool. All calls are plain: no connection ever waits."""

    def take(self) -> Message | None:
        """Return the next message, or None where there is none right now."""
        ...

    def finish(self, message: Message, attempt: Attempt) -> None:
        """Tell what came of a message."""
        ...

    def schedule(self, connection: Connection) -> None:
        """Call ``mark()``, ``look_ahead()`` and, when the marks are on file, ``write_body()``, together with others."""
        ...

    def idle(self, connection: Connection) -> None:
        """Take note of a connection that has nothing to do."""
        ...

    def lost(self, connection: Connection) -> None:
        """Take note of a connection that is gone."""
        ...

    def failed(self, error: Exception) -> None:
        """Take note of an error that ends the run."""
        ...


class Connection(asyncio.Protocol):
    """One session.

    Args:
        opened: Ready for the first transaction; its transport is taken over.
        settings: When to leave.
        owner: Gives and gets messages.
        monotonic: Seconds that never go back.
    """

    def __init__(self, opened: Opened, settings: SmtpSettings, owner: Owner, monotonic: Callable[[], float]) -> None:
        self.session = Session(opened.extensions, classifier(settings.host, settings.extra_rules))
        self.offered = opened.offered
        self._pipelining = opened.extensions.pipelining
        self._transport = opened.transport
        self._settings = settings
        self._owner = owner
        self._monotonic = monotonic
        self._opened_s = monotonic()
        self._messages = 0
        #: Time of the last step forward; what the sweep measures from.
        self.since_s = self._opened_s
        #: Whether QUIT is sent.
        self.leaving = False
        #: Whether the connection can no longer be used.
        self.closed = False
        self._paused = False
        #: The message whose body is being written, its blocks if it is large, and the envelope that follows it.
        self._message: Message | None = None
        self._blocks: Iterator[bytes] | None = None
        self._envelope = b""
        self._is_scheduled = False
        #: Whether it was asked if the server is still there, and has not answered.
        self.probing = False
        #: Since when there was nothing to do, as noted by the pool, and how many messages it had had then.
        self.unused_since_s = self._opened_s
        self.messages_when_unused = 0
        opened.transport.set_protocol(self)

    # The pool calls.

    @property
    def messages(self) -> int:
        """Messages that it was given so far."""
        return self._messages

    def start(self, message: Message) -> None:
        """Begin with a message; only while idle."""
        now = self._monotonic()
        self.since_s = now
        self._messages += 1
        envelope = self.session.start(message, now)
        if envelope:
            self._transport.write(envelope)
        else:
            self._proceed(now)

    def probe(self) -> None:
        """Ask whether the server is still there; then it goes on with a message, or is lost."""
        self.probing = True
        self.since_s = self._monotonic()
        self._transport.write(self.session.probe(self.since_s))

    def quit(self) -> None:
        """Take leave; the connection is lost a little later."""
        self.leaving = True
        self.since_s = self._monotonic()
        self._transport.write(framing.QUIT)

    def mark(self, begin: Callable[[Message], None]) -> bool:
        """Prepare the body that is due: mark its message, and take the next one behind it. False: nothing to write."""
        message = self.session.body_due
        if message is None or self.closed or self._transport.is_closing():
            self._is_scheduled = False
            return False
        self._message = message
        begin(message)
        return True

    def look_ahead(self) -> None:
        """Take the message whose envelope goes behind the body that was marked."""
        if self._pipelining and not self._envelope and not self.closed and not self.is_worn(self._monotonic()):
            self._envelope = self._next_envelope()

    def write_body(self) -> None:
        """Write what was prepared, unless the connection is gone; the marks are on file."""
        message, envelope = self._message, self._envelope
        self._message, self._envelope, self._is_scheduled = None, b"", False
        if self.closed or self._transport.is_closing():
            return
        assert message is not None
        end = framing.TERMINATOR if self._blocks is not None else framing.small_body(message)
        self._blocks = None
        self.session.terminate()
        self.since_s = self._monotonic()
        self._transport.write(end + envelope)
        if self.session.finished:
            self._report()

    def abort(self) -> None:
        """Cut the connection at once and settle what it holds."""
        self._transport.abort()
        self._end()

    def is_worn(self, now_s: float) -> bool:
        """Whether the connection has had its share of messages, time or refusals."""
        settings = self._settings
        return (
            self._messages >= settings.messages_per_connection
            or self.session.refusals >= settings.refusals_per_connection
            or now_s - self._opened_s >= settings.max_age_s
        )

    def is_overdue(self, now_s: float) -> bool:
        """Whether the time for what is awaited is over (RFC 5321 section 4.5.3.2)."""
        timeouts = self._settings.timeouts
        if self.leaving:
            return now_s - self.since_s >= timeouts.quit
        allowed = {
            Phase.MAIL: timeouts.mail,
            Phase.RCPT: timeouts.rcpt,
            Phase.DATA: timeouts.data,
            Phase.BODY: timeouts.block,
            Phase.TERMINATOR_SENT: timeouts.final,
            Phase.LONE_DOT: timeouts.final,
            Phase.RESET: timeouts.rset,
        }.get(self.session.phase)
        return allowed is not None and now_s - self.since_s >= allowed

    # The transport calls.

    def data_received(self, data: bytes) -> None:
        """Take what the server sent."""
        if self.closed:
            return
        if self.leaving:
            self._transport.close()
            return
        try:
            self._receive(data)
        except Exception as error:  # noqa: BLE001 - the transport would swallow it; it must end the run
            self.abort()
            self._owner.failed(error)

    def eof_received(self) -> bool:
        """Let the transport close: a server that says nothing more cannot be worked with."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Settle what the connection holds."""
        del exc
        self._end()

    def pause_writing(self) -> None:
        """Write no further block."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on with the blocks."""
        self._paused = False
        self._write_blocks()

    # Inside.

    def _receive(self, data: bytes) -> None:
        now = self._monotonic()
        session = self.session
        before = session.phase
        session.receive(data, now)
        due = None if session.fault else session.body_due
        if due is not None:
            # First, so that its mark and the outcomes told below are written together, by one turn of the loop.
            self._body_due(due)
        if session.finished:
            self._report()
            self.since_s = now
        elif session.phase is not before:
            self.since_s = now
        if session.fault:
            self.abort()
        elif due is not None:
            return
        elif session.may_start:
            self._proceed(now)
        elif session.outgoing:
            self._transport.write(session.take_outgoing())

    def _body_due(self, message: Message) -> None:
        if self._blocks is not None or self._is_scheduled:
            return
        if framing.is_small(message):
            self._schedule()
        else:
            # The transport keeps nothing back: when it takes more, all before is with the system, and the final dot
            # leaves with nothing in front of it that could still fail.
            self._transport.set_write_buffer_limits(high=1, low=0)
            self._blocks = framing.blocks(message.parts)
            self._write_blocks()

    def _write_blocks(self) -> None:
        """Write until the transport has enough; the final dot follows when all else is handed over."""
        if self._blocks is None or self._is_scheduled:
            return
        for _ in range(BLOCKS_A_TURN):
            if self._paused or self._transport.is_closing():
                return
            try:
                block = next(self._blocks, None)
            except UnreadablePartError as error:
                # Nobody may take what has left already for a message, so there is no final dot and no further use.
                self.session.give_up(error.reply(), self._monotonic())
                self.abort()
                return
            if block is None:
                self._schedule()
                return
            self.since_s = self._monotonic()
            self._transport.write(block)
        # A system that takes everything at once must not keep the loop from all others.
        asyncio.get_running_loop().call_soon(self._write_blocks)

    def _schedule(self) -> None:
        self._is_scheduled = True
        self._owner.schedule(self)

    def _proceed(self, now: float) -> None:
        """Go on where an envelope may be written: with the next message, or not at all."""
        session = self.session
        self.probing = False
        if self.is_worn(now):
            if session.finished:
                self._report()
            if session.is_empty:
                self.quit()
                self._owner.idle(self)
            elif session.outgoing:
                self._transport.write(session.take_outgoing())
            return
        envelope = self._next_envelope()
        if session.finished:
            self._report()
        if envelope or session.outgoing:
            self.since_s = now
            self._transport.write(session.take_outgoing() + envelope)
        elif session.is_empty:
            self._owner.idle(self)

    def _next_envelope(self) -> bytes:
        """Take messages until one can be sent over this session; empty where there is none."""
        while (message := self._owner.take()) is not None:
            self._messages += 1
            envelope = self.session.start(message, self._monotonic())
            if envelope:
                return envelope
        return b""

    def _report(self) -> None:
        finished = self.session.finished
        self.session.finished = []
        for message, attempt in finished:
            self._owner.finish(message, attempt)

    def _end(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._blocks = None
        self.session.lost(self._monotonic())
        try:
            self._report()
        finally:
            self._owner.lost(self)

"""Transactions of one session without sockets: bytes of the server in, what came of messages and what to do next out.

Replies carry no name of the command they answer, so they are matched by order alone (RFC 2920 section 3.1). Once the
order is in doubt, nothing that follows can be believed and the session is over.
"""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from mailblast.model.outcome import Advice, Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.smtp import framing
from mailblast.providers.smtp.classify import classify
from mailblast.providers.smtp.phases import STEPS, Phase
from mailblast.providers.smtp.replies import accepted_reply, parse_reply, provider_id
from mailblast.providers.smtp.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.model.message import Message
    from mailblast.providers.smtp.classify import Verdict
    from mailblast.providers.smtp.phases import Step

#: Longest line and longest reply that are read; RFC 5321 section 4.5.3.1.5 asks for 512.
MAX_LINE_BYTES = 8_192
MAX_REPLY_BYTES = 32_768
CODES = {b"%d" % code: code for code in range(200, 600)}
CLOSING = 421
#: Asked for with each message: names of this module, for before Python 3.12 a member of an enumeration takes 0.1 µs.
_MAIL, _BODY, _TERMINATOR_SENT, _LONE_DOT = Phase.MAIL, Phase.BODY, Phase.TERMINATOR_SENT, Phase.LONE_DOT
_ACCEPTED, _RECIPIENT = Disposition.ACCEPTED, Scope.RECIPIENT
#: All that comes back in one turn while nothing is refused: the reply to a dot, and those to the next envelope.
SMOOTH = re.compile(
    rb"(?:(2\d\d [^\r\n]{0,500})\r\n)?2\d\d [^\r\n]{0,500}\r\n2\d\d [^\r\n]{0,500}\r\n3\d\d [^\r\n]{0,500}\r\n"
).fullmatch


class Extensions(NamedTuple):
    """What the current EHLO offers and we use."""

    pipelining: bool = False
    smtputf8: bool = False
    #: Whether MAIL may carry SIZE (RFC 1870).
    size: bool = False
    #: Largest message in bytes; None where the server names none.
    size_limit: int | None = None


class Transaction:
    """One message on its way through the phases; without a message, a reset."""

    __slots__ = ("answered", "envelope_taken", "message", "phase", "rcpt", "started_s")

    def __init__(self, message: Message | None, phase: Phase, started_s: float, rcpt: bytes = b"") -> None:
        self.message = message
        self.phase = phase
        self.started_s = started_s
        #: The RCPT command, kept where it is not written together with MAIL.
        self.rcpt = rcpt
        #: Whether what came of the message is known already.
        self.answered = message is None
        #: Whether a RCPT was accepted, so that a dot would send something.
        self.envelope_taken = False


class Session:
    """The transactions of one session, at most two at once: one that awaits its final reply, and the next envelope.

    After each ``receive()`` look at ``finished``, ``fault``, ``outgoing``, ``body_due`` and ``may_start``.

    Args:
        extensions: What the current EHLO offers.
        judge: Says what a refusal comes to.
    """

    def __init__(self, extensions: Extensions, judge: Callable[[Reply], Verdict] = classify) -> None:
        self.extensions = extensions
        self._judge = judge
        #: What came of messages; the caller empties it.
        self.finished: list[tuple[Message, Attempt]] = []
        #: Bytes to be written now; the caller takes them with ``take_outgoing()``.
        self.outgoing = b""
        #: Why the session is over; empty while it is not.
        self.fault = ""
        #: Messages refused so far.
        self.refusals = 0
        #: What the last refusal asked of this session; ``NONE`` where it was about something else.
        self.advice = Advice.NONE
        self._open: deque[Transaction] = deque()
        self._pipelining = extensions.pipelining
        self._partial = b""
        self._lines: list[bytes] = []
        self._lines_bytes = 0
        self._sender = ("", False)
        self._mail = b"MAIL FROM:<>"

    # What the caller asks.

    @property
    def body_due(self) -> Message | None:
        """The message whose body the server waits for."""
        if self._open and self._open[0].phase is _BODY:
            return self._open[0].message
        return None

    @property
    def may_start(self) -> bool:
        """Whether an envelope may be written now, behind what is in ``outgoing``."""
        if not self._open:
            return True
        return self._pipelining and len(self._open) == 1 and self._open[0].phase >= _LONE_DOT

    @property
    def is_empty(self) -> bool:
        """Whether no reply is awaited."""
        return not self._open

    @property
    def phase(self) -> Phase:
        """What the oldest transaction waits for."""
        return self._open[0].phase if self._open else Phase.READY

    # What the caller does.

    def start(self, message: Message, now_s: float) -> bytes:
        """Begin a transaction; return what is to be written.

        Empty where the message cannot be sent over this session at all; it is in ``finished`` then.
        """
        size = message.size
        extensions = self.extensions
        limit = extensions.size_limit
        if limit is not None and size > limit:
            return self._refuse(message, framing.too_large(size, limit), Scope.MESSAGE, now_s)
        utf8 = message.needs_smtputf8
        if utf8 and not extensions.smtputf8:
            return self._refuse(message, framing.needs_smtputf8(), Scope.MESSAGE, now_s)
        if (message.sender, utf8) != self._sender and not self._set_sender(message.sender, utf8=utf8):
            return self._refuse(message, framing.bad_sender(), Scope.MESSAGE, now_s)
        recipient = framing.wire_address(message.recipient, utf8=utf8)
        if recipient is None:
            return self._refuse(message, framing.bad_recipient(), Scope.RECIPIENT, now_s)
        parameters = b" SIZE=%d" % size if extensions.size else b""
        if utf8:
            parameters += b" SMTPUTF8"
        if self._pipelining:
            self._open.append(Transaction(message, _MAIL, now_s))
            return b"%b%b\r\nRCPT TO:<%b>\r\nDATA\r\n" % (self._mail, parameters, recipient)
        self._open.append(Transaction(message, _MAIL, now_s, b"RCPT TO:<%b>\r\n" % recipient))
        return b"%b%b\r\n" % (self._mail, parameters)

    def probe(self, now_s: float) -> bytes:
        """Ask whether the server is still there; return what is to be written."""
        self._open.append(Transaction(None, Phase.RESET, now_s))
        return framing.RSET

    def terminate(self) -> None:
        """Note that the final dot of the body that is due is handed over now."""
        self._open[0].phase = _TERMINATOR_SENT

    def give_up(self, reply: Reply, now_s: float) -> None:
        """Note that the body that is due cannot be brought to its end; the session is over with it.

        Args:
            reply: Our own refusal, for this message alone.
            now_s: As everywhere here.
        """
        self._finish(self._open[0], Disposition.TEMPORARY, reply, Scope.MESSAGE, now_s)
        self.fault = "the message could not be written to its end"

    def take_outgoing(self) -> bytes:
        """Return what is to be written, and forget it."""
        outgoing, self.outgoing = self.outgoing, b""
        return outgoing

    def lost(self, now_s: float) -> None:
        """Note that nothing can be read or written any more; what is open becomes not sent or in doubt."""
        self.fault = self.fault or "the connection was lost"
        for transaction in self._open:
            if not transaction.answered:
                in_doubt = transaction.phase is Phase.TERMINATOR_SENT
                disposition = Disposition.IN_DOUBT if in_doubt else Disposition.NOT_SENT
                self._finish(transaction, disposition, None, Scope.CONNECTION, now_s)
        self._open.clear()

    def receive(self, data: bytes, now_s: float) -> None:
        """Take what the server sent, in pieces of any size."""
        if self._pipelining and not (self._partial or self._lines or self.fault) and self._smooth(data, now_s):
            return
        lines = (self._partial + data if self._partial else data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            if self.fault:
                return
            code = CODES.get(line[:3])
            # A bare LF ends a line too: it cannot change what a reply means, and some old servers write it.
            mark = line[3:4]
            if code is None or len(line) > MAX_LINE_BYTES:
                self._desynchronised("a line that is no reply")
            elif mark == b" " and not self._lines:
                self._reply(code, line, now_s)
            else:
                self._line(code, mark, line, now_s)
        if len(self._partial) > MAX_LINE_BYTES:
            self._desynchronised("a line without end")

    # Inside.

    def _smooth(self, data: bytes, now_s: float) -> bool:
        """Take the replies of a whole round trip at once, where none refuses anything; say whether they were that.

        The long way comes to the same; this takes 3 µs a message instead of 9.
        """
        match = SMOOTH(data)
        if match is None or not self._open:
            return False
        said, ended, following = match[1], self._open[0], self._open[-1]
        if following.phase is not _MAIL or following.answered:
            return False
        if said is None:
            if ended is not following:
                return False
        elif ended.phase is not _TERMINATOR_SENT or ended.answered:
            return False
        else:
            self._open.popleft()
            reply = accepted_reply(CODES[said[:3]], said)
            self._finish(ended, _ACCEPTED, reply, _RECIPIENT, now_s)
        following.phase = _BODY
        return True

    def _set_sender(self, sender: str, *, utf8: bool) -> bool:
        wire = framing.wire_address(sender, utf8=utf8) if sender else b""
        if wire is None:
            return False
        self._sender = (sender, utf8)
        self._mail = b"MAIL FROM:<%b>" % wire
        return True

    def _line(self, code: int, mark: bytes, line: bytes, now_s: float) -> None:
        """Take a line of a reply that has several, or a line without text."""
        self._lines_bytes += len(line)
        if self._lines and not self._lines[0].startswith(line[:3]):
            self._desynchronised("a reply with two codes")
        elif self._lines_bytes > MAX_REPLY_BYTES:
            self._desynchronised("a reply without end")
        elif mark == b"-":
            self._lines.append(line)
        elif mark in {b" ", b"\r", b""}:
            text = b"\n".join([*self._lines, line])
            self._lines.clear()
            self._lines_bytes = 0
            self._reply(code, text, now_s)
        else:
            self._desynchronised("a line that is no reply")

    def _reply(self, code: int, text: bytes, now_s: float) -> None:
        if not self._open:
            self.fault = "the server closed the session" if code == CLOSING else "a reply that nothing asked for"
            return
        transaction = self._open[0]
        step = STEPS.get(transaction.phase)
        if step is None:
            self._early_reply(transaction, code, text, now_s)
        elif code // 100 == step.digit and not (transaction.answered and transaction.message):
            self._lead_on(transaction, step, code, text, now_s)
        else:
            self._refused(transaction, step, code, text, now_s)

    def _lead_on(self, transaction: Transaction, step: Step, code: int, text: bytes, now_s: float) -> None:
        then = transaction.phase = step.then
        if then is Phase.REPLIED:
            self._open.popleft()
            if transaction.message is not None:
                reply = accepted_reply(code, text)
                self._finish(transaction, Disposition.ACCEPTED, reply, Scope.RECIPIENT, now_s)
        elif not self._pipelining:
            if then is Phase.RCPT:
                self.outgoing = transaction.rcpt
            elif then is Phase.DATA:
                self.outgoing = framing.DATA

    def _refused(self, transaction: Transaction, step: Step, code: int, text: bytes, now_s: float) -> None:
        """Take a reply that does not lead on, or that follows one."""
        if not transaction.answered:
            if code < 400:  # noqa: PLR2004 - 2yz and 3yz refuse nothing
                self._desynchronised(f"{code} to {step.stage.value.upper()}")
                return
            self._settle(transaction, parse_reply(code, text, step.stage), now_s)
            self.refusals += 1
        if code == CLOSING:
            self.fault = "the server closed the session"
        elif self.advice is not Advice.NONE:
            # A place among the sender's sessions that the server would rather have back.
            self.fault = "the server wants fewer sessions, or a new one"
        elif transaction.phase is Phase.RESET:
            if code // 100 == step.digit:
                self._open.popleft()
            else:
                self._desynchronised(f"{code} to RSET")
        elif transaction.phase is Phase.TERMINATOR_SENT:
            self._open.popleft()
        else:
            self._after_refusal(transaction, step, code)

    def _after_refusal(self, transaction: Transaction, step: Step, code: int) -> None:
        """Bring a refused transaction to its end: read what is still to come, then reset."""
        phase = transaction.phase
        if phase is Phase.RCPT:
            transaction.envelope_taken = transaction.envelope_taken or code < 300  # noqa: PLR2004 - 2yz
        if self._pipelining and phase in {Phase.MAIL, Phase.RCPT}:
            transaction.phase = step.then
        elif phase is Phase.DATA and code // 100 == step.digit:
            if transaction.envelope_taken:
                # A dot would send an empty message to somebody.
                self._desynchronised("go-ahead for an envelope that was refused")
            else:
                # Only pipelining brings us here: otherwise DATA is not written after a refusal.
                transaction.phase = Phase.LONE_DOT
                self.outgoing += framing.LONE_DOT + framing.RSET
        else:
            transaction.phase = Phase.RESET
            # Behind a lone dot it is written already.
            self.outgoing += framing.RSET if phase is not Phase.LONE_DOT else b""

    def _early_reply(self, transaction: Transaction, code: int, text: bytes, now_s: float) -> None:
        """Take a reply while the body is still being written: the server has given up on it."""
        if code < 400:  # noqa: PLR2004 - it cannot have taken what it does not have
            self._desynchronised(f"{code} before the end of the message")
            return
        self._settle(transaction, parse_reply(code, text, Stage.BODY), now_s)
        self.fault = "the server replied before the end of the message"

    def _refuse(self, message: Message, reply: Reply, scope: Scope, now_s: float) -> bytes:
        del now_s
        self.finished.append((message, Attempt(Disposition.PERMANENT, reply, scope)))
        return b""

    def _settle(self, transaction: Transaction, reply: Reply, now_s: float) -> None:
        """Take a refusal as the answer to a message."""
        message = transaction.message
        assert message is not None
        transaction.answered = True
        disposition, scope, advice = self._judge(reply)
        if scope is Scope.CONNECTION:
            self.advice = advice
        attempt = Attempt(
            disposition,
            reply,
            scope,
            now_s - transaction.started_s,
            retry_after_s=retry_after_s(reply),
            advice=advice,
        )
        self.finished.append((message, attempt))

    def _finish(
        self, transaction: Transaction, disposition: Disposition, reply: Reply | None, scope: Scope, now_s: float
    ) -> None:
        message = transaction.message
        assert message is not None
        transaction.answered = True
        name = provider_id(reply.text) if reply is not None and disposition is _ACCEPTED else ""
        attempt = Attempt(disposition, reply, scope, now_s - transaction.started_s, name)
        self.finished.append((message, attempt))

    def _desynchronised(self, what: str) -> None:
        self.fault = f"the server sent {what}"

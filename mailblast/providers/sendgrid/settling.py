"""What follows from one call: attempts for those it decides, further requests for the others. Pure.

A request goes again at once only where the answer says that nobody in it was sent to, and only smaller than before:
without the entries that were named, or in halves. Everything else is the pipeline's business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.model.outcome import Advice, Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.sendgrid.answers import Reading, Verdict
from mailblast.providers.sendgrid.wire import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.providers.sendgrid.payload import Entry, Request
    from mailblast.providers.sendgrid.wire import Failure

#: Single recipients of one request that were refused in a row, in the same words and without a name of what is wrong:
#: what they have in common is at fault, and the rest of the list would fail alike.
MAX_EQUAL_REFUSALS = 8

NOT_SENT = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)
IN_DOUBT = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)
#: Fields of an entry that are about the person, not about what is said.
RECIPIENT_FIELDS = ("to", "cc", "bcc")


class Settled(NamedTuple):
    """What a call came to."""

    attempts: tuple[tuple[Entry, Attempt], ...] = ()
    #: To be sent now, in this order.
    again: tuple[Request, ...] = ()
    #: Whoever comes back from this request comes alone.
    alone: bool = False
    #: Nothing further of what belongs together is sent now.
    halt: bool = False


class Splitting:
    """What was learnt while one request and what became of it was sent."""

    def __init__(self) -> None:
        self._text = ""
        self._refusals = 0

    def settle(self, request: Request, result: Reading | Failure) -> Settled:
        """Return what a call came to."""
        if not isinstance(result, Reading):
            attempt = IN_DOUBT if result.phase is Phase.WRITTEN else NOT_SENT
            return Settled(_all(request.entries, attempt), halt=result.phase is Phase.CONNECTING)
        if result.verdict is Verdict.TAKEN:
            self._refusals = 0
            return Settled(_all(request.entries, _taken(result)))
        if result.verdict is Verdict.ENTRIES:
            return _without_the_named(request, result)
        if result.verdict in {Verdict.UNNAMED, Verdict.TOO_LARGE}:
            return self._halve(request, result)
        if result.verdict is Verdict.UNCLEAR:
            # The reply is kept: it is all that is known.
            attempt = Attempt(Disposition.IN_DOUBT, result.reply, Scope.CONNECTION)
            return Settled(_all(request.entries, attempt))
        return Settled(
            _all(request.entries, _refused(result)),
            alone=result.verdict is Verdict.UNAVAILABLE and len(request.entries) > 1,
            halt=True,
        )

    def _halve(self, request: Request, reading: Reading) -> Settled:
        if len(request.entries) > 1:
            return Settled(again=request.halves())
        if reading.verdict is Verdict.UNNAMED:
            self._refusals = self._refusals + 1 if reading.reply.text == self._text else 1
            self._text = reading.reply.text
            if self._refusals >= MAX_EQUAL_REFUSALS:
                attempt = Attempt(Disposition.PERMANENT, reading.reply, Scope.ACCOUNT)
                return Settled(_all(request.entries, attempt), halt=True)
        return Settled(_all(request.entries, Attempt(Disposition.PERMANENT, reading.reply, Scope.MESSAGE)))


def unfit(reason: str) -> Attempt:
    """Return the attempt of a message that was not even tried."""
    return Attempt(Disposition.PERMANENT, Reply(0, "", reason, Stage.REQUEST), Scope.MESSAGE)


def _all(entries: Sequence[Entry], attempt: Attempt) -> tuple[tuple[Entry, Attempt], ...]:
    return tuple((entry, attempt) for entry in entries)


def _taken(reading: Reading) -> Attempt:
    attempt = Attempt(Disposition.ACCEPTED, reading.reply, Scope.RECIPIENT, provider_id=reading.provider_id)
    if reading.retry_after_s:
        # Taken, and the last one that fits into this window.
        return attempt._replace(retry_after_s=reading.retry_after_s, advice=Advice.SLOW_DOWN)
    return attempt


def _refused(reading: Reading) -> Attempt:
    """Return the attempt where nobody was sent to."""
    if reading.verdict is Verdict.TOO_FAST:
        return Attempt(
            Disposition.TEMPORARY,
            reading.reply,
            Scope.ACCOUNT,
            retry_after_s=reading.retry_after_s,
            advice=Advice.SLOW_DOWN,
        )
    if reading.verdict is Verdict.NO_CREDITS:
        return Attempt(Disposition.TEMPORARY, reading.reply, Scope.ACCOUNT, advice=Advice.TOMORROW)
    if reading.verdict is Verdict.UNAVAILABLE:
        return Attempt(Disposition.TEMPORARY, reading.reply, Scope.CONNECTION, retry_after_s=reading.retry_after_s)
    return Attempt(Disposition.PERMANENT, reading.reply, Scope.ACCOUNT)


def _without_the_named(request: Request, reading: Reading) -> Settled:
    named: dict[int, Attempt] = {}
    for fault in reading.faults:
        if fault.entry is None or fault.entry >= len(request.entries):
            continue
        about_person = fault.field.partition(".")[0].partition("[")[0] in RECIPIENT_FIELDS
        reply = reading.reply._replace(text=fault.message)
        scope = Scope.RECIPIENT if about_person else Scope.MESSAGE
        named.setdefault(fault.entry, Attempt(Disposition.PERMANENT, reply, scope))
    rest = [entry for index, entry in enumerate(request.entries) if index not in named]
    return Settled(
        tuple((request.entries[index], attempt) for index, attempt in named.items()),
        (request.of(rest),) if rest else (),
    )

"""The result of a call read message by message: pure, no sending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.model.outcome import Advice, Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.ses.calls import Answer, Broken
from mailblast.providers.ses.verdicts import SUCCESS, Refusal, attempt_of, entry_verdict, error_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mailblast.clock import Clock
    from mailblast.model.message import Message
    from mailblast.providers.ses.calls import Result

NOT_SENT = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)
IN_DOUBT = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)
ACCEPTED = Reply(200, "", "accepted", Stage.REQUEST)

#: A message and when it was taken.
Held = tuple["Message", float]


class Settled(NamedTuple):
    """What a call came to."""

    attempts: tuple[tuple[Message, Attempt], ...]
    #: To be sent at once, each in a call of its own; certainly not sent so far.
    again_alone: tuple[Message, ...] = ()
    #: Whether these, when they come again, go each in a call of its own.
    alone_next_time: bool = False


class Settling:
    """Read results.

    Args:
        clock: Durations.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def of(self, held: Sequence[Held], result: Result, *, many: bool) -> Settled:
        """Return what became of each message of a call.

        Args:
            held: The call's messages in its order.
            result: What came of it.
            many: Whether it was a call of many, however many they were.
        """
        if isinstance(result, Broken):
            attempt = IN_DOUBT if result.written else NOT_SENT
            return Settled(tuple((message, self._timed(attempt, since)) for message, since in held))
        if isinstance(result, Refusal):
            return self._refused(held, result, many=many)
        if many:
            return self._entries(held, result)
        (message, since) = held[0]
        return Settled(((message, self._accepted(result.response, since)),))

    def _refused(self, held: Sequence[Held], refusal: Refusal, *, many: bool) -> Settled:
        verdict = error_verdict(refusal, held[0][0].sender)
        if many and (verdict.alone or verdict.scope is Scope.RECIPIENT):
            # One of them may be at fault, or the call itself: each is asked about by itself.
            return Settled((), tuple(message for message, _ in held))
        attempts = tuple(
            (message, attempt_of(verdict, refusal, self._clock.monotonic() - since)) for message, since in held
        )
        is_temporary = verdict.disposition is Disposition.TEMPORARY and verdict.advice is not Advice.TOMORROW
        return Settled(attempts, alone_next_time=many and is_temporary)

    def _entries(self, held: Sequence[Held], answer: Answer) -> Settled:
        results = answer.response.get("BulkEmailEntryResults", [])
        attempts = []
        again = []
        for index, (message, since) in enumerate(held):
            entry: Mapping[str, Any] = results[index] if len(results) == len(held) else {}
            status = str(entry.get("Status", ""))
            if status == SUCCESS:
                attempts.append((message, self._accepted(entry, since)))
                continue
            if not status:
                # The answer does not say which entry it means: any may have been taken.
                attempts.append((message, self._timed(IN_DOUBT, since)))
                continue
            refusal = Refusal(status, 0, str(entry.get("Error", "") or ""))
            verdict = entry_verdict(refusal, message.sender)
            if verdict.alone:
                again.append(message)
            else:
                attempts.append((message, attempt_of(verdict, refusal, self._clock.monotonic() - since)))
        return Settled(tuple(attempts), tuple(again))

    def _accepted(self, response: Mapping[str, Any], since: float) -> Attempt:
        return Attempt(
            Disposition.ACCEPTED,
            ACCEPTED,
            Scope.RECIPIENT,
            self._clock.monotonic() - since,
            str(response.get("MessageId", "")),
        )

    def _timed(self, attempt: Attempt, since: float) -> Attempt:
        return attempt._replace(duration_s=self._clock.monotonic() - since)

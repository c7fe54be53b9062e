"""What follows from one attempt: pure decisions, no waiting and no sending."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mailblast.model.outcome import Advice, Attempt, Disposition, State
from mailblast.model.reply import Reply, Scope, Stage

#: Times one message may go back to the queue in one run, for reasons that are not its own. More than the executor's
#: attempts to connect again, so that a server which is away stops the run before it defers anybody.
MAX_REQUEUES = 8
#: Failures of the connection in a row, without a single answer to a message between them, that stop the run.
MAX_BROKEN_IN_ROW = 25
#: At least so many for each message in flight: one restart of the server breaks all of these at once.
MAX_BROKEN_PER_IN_FLIGHT = 3
#: Equal refusals of the sender's domain in a row that stop the run: the rest of the list would fail alike.
MAX_DOMAIN_REFUSALS_IN_ROW = 10
#: The reply that ends a session (RFC 5321 section 3.8).
CLOSING = 421
#: First wait before a deferred recipient is tried again; doubled each time (RFC 6647 greylists pass after minutes).
DEFERRED_BASE_S = 300.0
#: Longest such wait; Postfix's maximal_backoff_time. A reply that names a time is heard up to here, too.
DEFERRED_MAX_S = 4000.0
#: A reply that names a time is given at least this.
DEFERRED_MIN_S = 1.0

#: An API that says "too fast" is asked again so often, after 100 ms, 200 ms, 400 ms, before the pace is lowered: it
#: turns away what is a moment early. The limits hand these out one after the other, so no two meet.
API_RETRIES = 3
API_BASE_S = 0.1


class Action(Enum):
    """What to do with a message after an attempt."""

    #: It has its outcome.
    SETTLE = "settle"
    #: Back to the queue, no attempt charged.
    REQUEUE = "requeue"
    #: The account or the provider is the trouble: this message is unsent and the run stops.
    STOP = "stop"


class Decision(NamedTuple):
    """An action and, where the message settles, its state."""

    action: Action
    state: State = State.UNSENT
    #: Seconds before a requeued message is handed out again.
    delay_s: float = 0.0
    #: What is to be sent to more slowly from now on: a domain or the account; None for neither.
    slows: Scope | None = None


SETTLED = {
    Disposition.ACCEPTED: State.ACCEPTED,
    Disposition.IN_DOUBT: State.IN_DOUBT,
    Disposition.PERMANENT: State.FAILED,
}

#: Ends of an attempt without an answer.
BROKEN = {Disposition.NOT_SENT, Disposition.IN_DOUBT}


def decide(attempt: Attempt, *, requeues: int) -> Decision:
    """Decide what follows from an attempt.

    Args:
        attempt: How it ended.
        requeues: How often this message went back to the queue before.

    Returns:
        A decision; the same arguments always give the same one.
    """
    disposition = attempt.disposition
    if disposition in {Disposition.ACCEPTED, Disposition.IN_DOUBT}:
        return Decision(Action.SETTLE, SETTLED[disposition])
    if attempt.advice is Advice.TOMORROW or attempt.scope is Scope.ACCOUNT:
        return _for_the_account(attempt, requeues)
    if attempt.scope is Scope.DOMAIN and attempt.advice is Advice.SLOW_DOWN:
        action = Action.REQUEUE if requeues < MAX_REQUEUES else Action.SETTLE
        return Decision(action, State.DEFERRED, slows=Scope.DOMAIN)
    if disposition is Disposition.NOT_SENT or attempt.scope is Scope.CONNECTION:
        if requeues >= MAX_REQUEUES:
            return Decision(Action.SETTLE, State.DEFERRED)
        # The first repeat costs nothing (a stale or rotated connection); after that the server gets room.
        is_free = requeues == 0 or attempt.advice is Advice.ROTATE
        return Decision(Action.REQUEUE, delay_s=0.0 if is_free else 0.25 * 2.0 ** (requeues - 1))
    return Decision(Action.SETTLE, SETTLED.get(disposition, State.DEFERRED))


def _for_the_account(attempt: Attempt, requeues: int) -> Decision:
    """Decide about a reply that is not about the recipient: nothing is charged, and it is the pace that gives up."""
    waits = attempt.advice is Advice.SLOW_DOWN or attempt.disposition is not Disposition.PERMANENT
    if waits and attempt.advice is not Advice.TOMORROW:
        is_api = attempt.reply is not None and attempt.reply.stage is Stage.REQUEST
        if is_api and attempt.retry_after_s is None and requeues < API_RETRIES:
            return Decision(Action.REQUEUE, delay_s=API_BASE_S * 2.0**requeues)
        return Decision(Action.REQUEUE, slows=Scope.ACCOUNT)
    return Decision(Action.STOP)


def deferred_delay_s(attempts: int, jitter: float, retry_after_s: float | None = None) -> float:
    """Return the wait before a deferred recipient's next attempt.

    Args:
        attempts: Attempts made so far, at least 1.
        jitter: Between 0 and 1; spreads the wait over ± 20 %, and over + 20 % where the reply named a time.
        retry_after_s: The time that the reply named; it goes before the usual one.
    """
    if retry_after_s is not None:
        return min(max(retry_after_s, DEFERRED_MIN_S), DEFERRED_MAX_S) * (1.0 + 0.2 * jitter)
    wait = min(DEFERRED_BASE_S * 2.0 ** min(attempts - 1, 16), DEFERRED_MAX_S)
    return wait * (0.8 + 0.4 * jitter)


def _turned_away(attempt: Attempt) -> bool:
    """Whether the server would not have this message, or any. What it says to the dot may be about the content."""
    reply = attempt.reply
    return (
        attempt.disposition is Disposition.TEMPORARY
        and attempt.scope is Scope.CONNECTION
        and (reply is None or reply.stage is not Stage.BODY or reply.code == CLOSING)
    )


class Breaker:
    """Counts failures in a row that mean the whole run, not one recipient."""

    def __init__(self) -> None:
        self._broken = 0
        self._broken_in_flight = 0
        self._domain_refusals = 0
        self._last_refusal = ""

    def accepted(self) -> None:
        """Take note of a message that was taken, as ``see()`` does; 0.05 µs in place of 0.3."""
        self._broken = self._broken_in_flight = self._domain_refusals = 0

    def see(self, attempt: Attempt, *, in_flight: int) -> str:
        """Take note of an attempt; return why the run must stop, or an empty text.

        Args:
            attempt: How it ended.
            in_flight: Messages that the provider held until then, this one included.
        """
        if attempt.disposition in BROKEN or _turned_away(attempt):
            self._broken += 1
            self._broken_in_flight = max(self._broken_in_flight, in_flight)
            if self._broken >= max(MAX_BROKEN_IN_ROW, MAX_BROKEN_PER_IN_FLIGHT * self._broken_in_flight):
                return f"{self._broken} attempts in a row ended without an answer to the message"
            return ""
        self._broken = self._broken_in_flight = 0
        if attempt.disposition is Disposition.ACCEPTED:
            self._domain_refusals = 0
        elif (
            attempt.scope is Scope.DOMAIN
            and attempt.disposition is Disposition.PERMANENT
            and attempt.advice is not Advice.SLOW_DOWN
        ):
            return self._see_domain_refusal(attempt.reply)
        return ""

    def _see_domain_refusal(self, reply: Reply | None) -> str:
        refusal = f"{reply.code} {reply.enhanced}".rstrip() if reply else ""
        self._domain_refusals = self._domain_refusals + 1 if refusal == self._last_refusal else 1
        self._last_refusal = refusal
        if self._domain_refusals >= MAX_DOMAIN_REFUSALS_IN_ROW:
            return f"the sending domain was refused {self._domain_refusals} times in a row with {refusal}"
        return ""

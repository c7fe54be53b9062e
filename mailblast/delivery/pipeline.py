"""One campaign's messages on their way: batches in, outcomes out, the provider pulls in between."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from typing import TYPE_CHECKING, Protocol

from mailblast.delivery.composer import ContentChangedError
from mailblast.delivery.retry import Action, Breaker, decide
from mailblast.errors import AccountError, MailblastError, ProviderUnavailableError, RowFaultError
from mailblast.model.outcome import Attempt, Disposition, Outcome, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.clock import Clock
    from mailblast.delivery.composer import Composer
    from mailblast.delivery.throttle import Throttle
    from mailblast.model.message import Message
    from mailblast.model.recipient import Batch, Claim


#: What an outcome says where there is no reply to quote.
LOST_REPLY = "the connection broke after the message was complete and before the reply"


class Log(Protocol):
    """Where marks and outcomes are kept: a journal's segment."""

    def begin(self, claim_id: int, digest: int, time_s: float) -> None:
        """Note that this message may be complete on the wire from now on."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a message that was begun."""
        ...

    def commit(self) -> None:
        """Write all notes."""
        ...


class _Pending:
    """A batch under way."""

    __slots__ = ("done", "outcomes", "remaining")

    def __init__(self, size: int, done: asyncio.Future[list[Outcome]]) -> None:
        self.outcomes: list[Outcome | None] = [None] * size
        self.remaining = size
        self.done = done


class _Work:
    """One claim under way."""

    __slots__ = ("begun", "claim", "index", "message", "pending", "requeues")

    def __init__(self, claim: Claim, pending: _Pending, index: int) -> None:
        self.claim = claim
        self.pending = pending
        self.index = index
        self.requeues = 0
        self.begun = False
        self.message: Message | None = None


class Pipeline:
    """The ``Deliveries`` of one provider, fed by batches.

    Everything happens on the event loop's thread. Messages are rendered when the provider takes them, so nothing
    but what is in flight is held as bytes.

    Args:
        composer: Makes the messages.
        log: Gets a mark before and an outcome after each message that may have left.
        throttle: The limits on handing out.
        provider_name: For outcomes.
        clock: Times and waits.
        on_outcome: Called once for each outcome, when it is known.
    """

    def __init__(
        self,
        composer: Composer,
        log: Log,
        throttle: Throttle,
        *,
        provider_name: str,
        clock: Clock,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._compose = composer.compose
        self._log = log
        self._throttle = throttle
        self._limited = throttle.per_second is not None
        self._provider = provider_name
        self._clock = clock
        self._on_outcome = on_outcome
        self._queue: deque[_Work] = deque()
        self._delayed: list[tuple[float, int, _Work]] = []
        self._in_flight: dict[int, _Work] = {}
        self._changed = asyncio.Event()
        self._breaker = Breaker()
        self._flush_due = False
        self._unwritten = False
        self._closed = False
        self._sequence = 0
        #: Why the run stops; None while it does not.
        self.stopped: MailblastError | None = None
        #: Set together with ``stopped``.
        self.stopping = asyncio.Event()
        #: Messages that were answered, whatever the answer; grows while the provider works.
        self.answered = 0

    @property
    def in_flight(self) -> int:
        """Messages that the provider holds."""
        return len(self._in_flight)

    # Batches come in.

    async def deliver_batch(self, batch: Batch) -> list[Outcome]:
        """Deliver one batch; return one outcome for each claim, in the order of the claims.

        A refused recipient is an outcome, not an error. After ``stop()`` what was not handed out is ``unsent``.
        """
        pending = _Pending(len(batch.claims), asyncio.get_running_loop().create_future())
        # Not kept here: a piece of work holds its message, and is let go when it is settled.
        works = (_Work(claim, pending, index) for index, claim in enumerate(batch.claims))
        if self.stopped is None:
            self._queue.extend(works)
            self._changed.set()
        else:
            for work in works:
                self._settle(work, State.UNSENT)
        return await pending.done if batch.claims else []

    def close(self) -> None:
        """Say that no further batch will come; the provider ends when what is there is done."""
        self._closed = True
        self._changed.set()

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more. What is in flight finishes; all else is ``unsent``. The first reason stays."""
        if self.stopped is not None:
            return
        self.stopped = reason
        self.stopping.set()
        waiting = [*self._queue, *(work for _, _, work in self._delayed)]
        self._queue.clear()
        self._delayed.clear()
        for work in waiting:
            self._settle(work, State.UNSENT)
        self._changed.set()

    def stop_if_unfinished(self, reason: MailblastError) -> None:
        """Settle what is left when no provider will pull any more: begun is in doubt, all else unsent."""
        if not self._closed or self._queue or self._delayed or self._in_flight:
            self.stop(reason)
        for work in list(self._in_flight.values()):
            del self._in_flight[work.claim.id]
            if work.begun:
                self._settle(work, State.IN_DOUBT, charged=1)
            else:
                self._settle(work, State.UNSENT)

    def connect_again(self) -> None:
        """Count broken connections anew: the provider has none, and whoever has it connect again counts from here."""
        self._breaker = Breaker()

    # The provider pulls.

    def take(self) -> Message | None:
        """Return the next message whose time has come, or None."""
        if self._delayed:
            self._release_delayed()
        while self._queue:
            if self._limited:
                now = self._clock.monotonic()
                if self._throttle.delay_s(now) > 0:
                    return None
            # In the queue until it is composed, so that a defect there leaves nobody waiting for its outcome.
            work = self._queue[0]
            message = work.message or self._composed(work)
            self._queue.popleft()
            if message is None:
                continue
            if self._limited:
                self._throttle.take(now)
            work.message = message
            self._in_flight[message.id] = work
            return message
        return None

    async def wait(self) -> bool:
        """Wait until ``take()`` may give a message; False when none will come any more."""
        while self.stopped is None:
            delay = self._next_delay_s()
            if delay is not None and delay <= 0:
                return True
            if delay is None and self._closed and not self._in_flight:
                return False
            self._changed.clear()
            await self._sleep_or_change(delay)
        return False

    def begin(self, message: Message) -> None:
        """Mark a message as being sent; on file with the next ``commit()``."""
        self._in_flight[message.id].begun = True
        self._log.begin(message.id, message.digest, self._clock.now())

    def commit(self) -> None:
        """Write all marks and outcomes. Raises ``JournalError``."""
        self._log.commit()
        self._unwritten = False

    def finish(self, message: Message, attempt: Attempt) -> None:
        """Take what one attempt came to and decide what follows."""
        work = self._in_flight.pop(message.id)
        decision = decide(attempt, requeues=work.requeues)
        if attempt.reply is not None:
            self.answered += 1
        if decision.action is Action.SETTLE:
            self._settle(work, decision.state, attempt, charged=1)
        elif decision.action is Action.REQUEUE and self.stopped is None:
            self._requeue(work, decision.delay_s, attempt)
        else:
            self._settle(work, State.UNSENT, attempt)
        self._consider_stopping(decision.action, attempt)
        if (self._closed or self.stopped is not None) and not self._in_flight:
            self._changed.set()

    # Inside.

    def _composed(self, work: _Work) -> Message | None:
        try:
            return self._compose(work.claim)
        except RowFaultError as fault:
            reason = f"column '{fault.column}': {fault.reason}" if fault.column else fault.reason
            self._settle(work, State.INVALID, text=reason)
        except ContentChangedError:
            reason = "in doubt, and its template or row has changed since: it can no longer be repeated as it was"
            self._settle(work, State.IN_DOUBT, text=reason)
        return None

    def _requeue(self, work: _Work, delay_s: float, attempt: Attempt) -> None:
        if work.begun:
            # The mark is taken back: killed now, this message is certainly not with the provider.
            self._note(self._outcome(work, State.UNSENT, attempt, "", 0))
            work.begun = False
        work.requeues += 1
        if delay_s > 0:
            self._sequence += 1
            heapq.heappush(self._delayed, (self._clock.monotonic() + delay_s, self._sequence, work))
        else:
            self._queue.appendleft(work)
        self._changed.set()

    def _settle(
        self, work: _Work, state: State, attempt: Attempt | None = None, text: str = "", charged: int = 0
    ) -> None:
        outcome = self._outcome(work, state, attempt, text, charged)
        if work.begun:
            self._note(outcome)
        pending = work.pending
        pending.outcomes[work.index] = outcome
        pending.remaining -= 1
        self._on_outcome(outcome)
        if pending.remaining == 0 and not pending.done.done():
            pending.done.set_result([outcome for outcome in pending.outcomes if outcome is not None])

    def _outcome(self, work: _Work, state: State, attempt: Attempt | None, text: str, charged: int) -> Outcome:
        claim, message = work.claim, work.message
        recipient = claim.recipient
        reply = attempt.reply if attempt else None
        return Outcome(
            claim.id,
            recipient.key,
            recipient.address,
            recipient.row,
            state,
            self._clock.now(),
            self._provider if attempt else "",
            reply.code if reply else 0,
            reply.enhanced if reply else "",
            reply.text if reply else text or (LOST_REPLY if state is State.IN_DOUBT else ""),
            claim.attempts + charged,
            attempt.duration_s if attempt else 0.0,
            message.message_id if message else "",
            attempt.provider_id if attempt else "",
            message.digest if message else claim.digest,
            None if state is State.ACCEPTED else recipient.fields,
        )

    def _note(self, outcome: Outcome) -> None:
        self._log.finish(outcome)
        self._unwritten = True
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self._let_marks_go_first)

    def _let_marks_go_first(self) -> None:
        # The provider's commit of this turn, which carries outcomes too, may stand behind us in the loop.
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        """Write outcomes that no mark of their turn carried to the file; they must not wait for one."""
        self._flush_due = False
        if not self._unwritten:
            return
        try:
            self.commit()
        except MailblastError as error:
            self.stop(error)

    def _consider_stopping(self, action: Action, attempt: Attempt) -> None:
        why = self._breaker.see(attempt, in_flight=len(self._in_flight) + 1)
        if action is Action.STOP:
            reply = attempt.reply
            said = f"{reply.code} {reply.enhanced} {reply.text}".replace("  ", " ") if reply else "no reason"
            self.stop(AccountError(f"{self._provider} refused the account: {said}."))
        elif why:
            kind = AccountError if attempt.disposition is Disposition.PERMANENT else ProviderUnavailableError
            self.stop(kind(f"{self._provider} stopped the run: {why}."))

    def _release_delayed(self) -> None:
        now = self._clock.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            self._queue.append(heapq.heappop(self._delayed)[2])

    def _next_delay_s(self) -> float | None:
        now = self._clock.monotonic()
        if self._queue:
            return self._throttle.delay_s(now) if self._limited else 0.0
        return self._delayed[0][0] - now if self._delayed else None

    async def _sleep_or_change(self, delay: float | None) -> None:
        if delay is None:
            await self._changed.wait()
            return
        changed = asyncio.ensure_future(self._changed.wait())
        slept = asyncio.ensure_future(self._clock.sleep(delay))
        try:
            await asyncio.wait({changed, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
            slept.cancel()

"""One campaign's messages on their way: batches in, outcomes out, the provider pulls in between."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING

from mailblast.delivery.composer import ContentChangedError
from mailblast.delivery.line import Line
from mailblast.delivery.pace import PATIENCE_S, said_of
from mailblast.delivery.retry import Action, Breaker, decide
from mailblast.delivery.work import Pending, Work
from mailblast.errors import AccountError, MailblastError, ProviderUnavailableError, RowFaultError
from mailblast.model.outcome import Attempt, Disposition, Outcome, State
from mailblast.model.reply import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailblast.clock import Clock
    from mailblast.delivery.composer import Composer
    from mailblast.delivery.log import Log
    from mailblast.delivery.pace import Pace
    from mailblast.delivery.retry import Decision
    from mailblast.delivery.work import Late
    from mailblast.model.message import Message
    from mailblast.model.recipient import Batch

#: Asked for with each message: names of this module, for before Python 3.12 a member of an enumeration takes 0.1 µs.
_TAKEN, _ACCEPTED = Disposition.ACCEPTED, State.ACCEPTED
#: Claims of slow domains that are held in memory, about 1.5 KB each. Further ones go back to the journal, and are
#: sent when the list is at its end, so that those who come after them in the list need not wait.
MAX_PARKED = 5_000
#: Outcomes alone wait so long for marks that share their round trip, where the log is a remote one. There is one for
#: each connection at most, for its next mark takes it along; a kill meanwhile leaves these in doubt like all in flight.
OUTCOMES_WAIT_S = 0.003
#: How often it is looked whether what was slowed down has recovered.
RECOVER_S = 1.0


class Pipeline:
    """The ``Deliveries`` of one provider, fed by batches.

    Everything happens on the event loop's thread. Messages are rendered when the provider takes them, so nothing
    but what is in flight is held as bytes.

    Args:
        composer: Makes the messages.
        log: Gets a mark before and an outcome after each message that may have left.
        pace: The limits on handing out, and what follows from replies that ask to slow down.
        provider_name: For outcomes.
        clock: Times and waits.
        on_outcome: Called once for each outcome, when it is known.
    """

    def __init__(
        self,
        composer: Composer,
        log: Log,
        pace: Pace,
        *,
        provider_name: str,
        clock: Clock,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._compose = composer.compose
        self._log = log
        self.commit_is_remote = log.is_remote
        self._pace = pace
        self._provider = provider_name
        self._clock = clock
        self._on_outcome = on_outcome
        self._line: Line[Work] = Line(pace, clock, attrgetter("domain"), self._park)
        # All there is while the line is plain.
        self._queue = self._line.main
        self._counts_days = pace.counts_days
        #: Whether anything is slower than usual, and when it is looked at again.
        self._slowed = False
        self._recover_at_s = 0.0
        self._in_flight: dict[int, Work] = {}
        self._changed = asyncio.Event()
        self._breaker = Breaker()
        self._flush_due = False
        self._unwritten = False
        #: Loop's seconds from which outcomes wait for no mark any more.
        self._flush_at_s = 0.0
        self._closed = False
        #: Claims in the lanes of slow domains.
        self.parked = 0
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

    async def deliver_batch(self, batch: Batch, late: Late | None = None) -> list[Outcome]:
        """Deliver one batch; return one outcome for each claim, in the order of the claims.

        A refused recipient is an outcome, not an error. After ``stop()`` what was not handed out is ``unsent``.

        Args:
            batch: What to deliver.
            late: Called where the rest of the batch waits for slow domains only, with the outcomes of that rest to
                come; those of the others are returned then. Batches of the list, numbered from 0, then also have
                claims come back ``unsent`` at once where too many of a slow domain wait already.
        """
        done: asyncio.Future[list[Outcome]] = asyncio.get_running_loop().create_future()
        pending = Pending(len(batch.claims), done, late)
        # Not kept here: a piece of work holds its message, and is let go when it is settled.
        works: Iterable[Work] = (Work(claim, pending, index) for index, claim in enumerate(batch.claims))
        if self.stopped is None:
            if self.parked >= MAX_PARKED and late is not None and batch.sequence >= 0:
                works = (work for work in list(works) if not self._is_too_many(work))
            self._line.push(works)
            self._changed.set()
        else:
            for work in works:
                self._settle(work, State.UNSENT)
        # Not ``pending.done``, which is that of the rest where all of them wait for slow domains.
        return await done if batch.claims else []

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
        for work in self._line.drain():
            self._settle(work, State.UNSENT)
        self._changed.set()

    def stop_if_unfinished(self, reason: MailblastError) -> None:
        """Settle what is left when no provider will pull any more: begun is in doubt, all else unsent."""
        if not self._closed or self._line or self._in_flight:
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
        if not self._line.is_plain:
            return self._take_in_turn()
        queue = self._queue
        while queue:
            # In the queue until it is composed, so that a defect there leaves nobody waiting for its outcome.
            work = queue[0]
            message = work.message or self._composed(work)
            queue.popleft()
            if message is None:
                continue
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

    def commit(self) -> asyncio.Future[None] | None:
        """Write all marks and outcomes; see ``Deliveries``. Raises ``JournalError``."""
        written = self._log.commit()
        self._unwritten = False
        if written is not None:
            written.add_done_callback(self._written)
        return written

    def finish(self, message: Message, attempt: Attempt) -> None:
        """Take what one attempt came to and decide what follows."""
        work = self._in_flight.pop(message.id)
        if attempt.reply is not None:
            self.answered += 1
        if attempt.disposition is _TAKEN and not self._slowed:
            # Nearly all are such, and for them there is nothing to decide.
            self._breaker.accepted()
            self._settle(work, _ACCEPTED, attempt, charged=1)
        else:
            self._follow(work, attempt)
        if (self._closed or self.stopped is not None) and not self._in_flight:
            self._changed.set()

    def limiting(self) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it. For once a second."""
        self._pace.measure(self.answered)
        if self._line.is_plain:
            return ""
        return self._pace.limiting(self._line.held_by(), self._line.slowed())

    # Inside.

    def _composed(self, work: Work) -> Message | None:
        try:
            return self._compose(work.claim)
        except RowFaultError as fault:
            reason = f"column '{fault.column}': {fault.reason}" if fault.column else fault.reason
            self._settle(work, State.INVALID, text=reason)
        except ContentChangedError:
            reason = "in doubt, and its template or row has changed since: it can no longer be repeated as it was"
            self._settle(work, State.IN_DOUBT, text=reason)
        return None

    def _take_in_turn(self) -> Message | None:
        """Return the next message that all limits allow, or None."""
        if self._slowed and self._clock.monotonic() >= self._recover_at_s:
            self._recover()
        line = self._line
        while (work := line.first()) is not None:
            message = work.message or self._composed(work)
            if message is None:
                line.drop()
                continue
            work.message = message
            if not line.take():
                # Another process was faster.
                break
            self._in_flight[message.id] = work
            return message
        if line and (over := self._pace.day_is_over()) is not None:
            self.stop(over)
        return None

    def _follow(self, work: Work, attempt: Attempt) -> None:
        """Do what an attempt asks for."""
        decision = decide(attempt, requeues=work.requeues)
        if self._counts_days and (decision.action is not Action.SETTLE or decision.state is State.DEFERRED):
            self._pace.give_back()
        if decision.slows is not None or self._slowed:
            self._note_pace(work, decision, attempt)
        if decision.action is Action.STOP:
            # Before its outcome, which is unsent because of that.
            self._consider_stopping(decision.action, attempt)
            self._settle(work, State.UNSENT, attempt)
        elif decision.action is Action.SETTLE:
            self._settle(work, decision.state, attempt, charged=1)
        elif decision.action is Action.REQUEUE and self.stopped is None:
            self._requeue(work, decision, attempt)
        else:
            self._settle(work, State.UNSENT, attempt)
        if decision.action is not Action.STOP:
            self._consider_stopping(decision.action, attempt)

    def _requeue(self, work: Work, decision: Decision, attempt: Attempt) -> None:
        if work.begun:
            # The mark is taken back: killed now, this message is certainly not with the provider.
            self._note(work.outcome(State.UNSENT, attempt, "", 0, self._provider, self._clock.now()))
            work.begun = False
        if decision.slows is not Scope.ACCOUNT:
            work.requeues += 1
        if decision.delay_s > 0:
            self._line.push_delayed(work, decision.delay_s)
        else:
            self._line.push_front(work)
        self._changed.set()

    def _note_pace(self, work: Work, decision: Decision, attempt: Attempt) -> None:
        """Slow down what a reply speaks of, or take note that it has taken a message."""
        line, pace = self._line, self._pace
        if decision.slows is Scope.ACCOUNT:
            slow = pace.slow_account(attempt.reply, attempt.retry_after_s, self.answered)
            if slow.is_hopeless(self._clock.monotonic()):
                self.stop(AccountError(f"{self._provider} takes nothing for now: {slow.said}"))
        elif decision.slows is Scope.DOMAIN:
            self._slow_domain(work.domain, attempt)
        elif attempt.disposition is Disposition.ACCEPTED:
            if pace.account is not None:
                pace.account.accepted()
            lane = line.lane(work.domain)
            if lane is not None and lane.slow is not None:
                lane.slow.accepted()
            return
        self._slowed = True
        line.settle()

    def _slow_domain(self, domain: str, attempt: Attempt) -> None:
        waiting = [*self._queue, *self._in_flight.values()]
        share = (1 + sum(each.domain == domain for each in waiting)) / (1 + len(waiting))
        lane = self._line.slow_lane(domain)
        slow = self._pace.slow_domain(lane, attempt.reply, attempt.retry_after_s, self.answered, share)
        if slow.is_hopeless(self._clock.monotonic()):
            slow.accepted()
            waiting = [*lane.waiting]
            lane.waiting.clear()
            for work in waiting:
                self._settle(work, State.DEFERRED, text=f"{domain} takes nothing for now: {slow.said}")

    def _recover(self) -> None:
        self._recover_at_s = self._clock.monotonic() + RECOVER_S
        self._pace.recover()
        self._line.recover()
        self._slowed = self._pace.account is not None or bool(self._line.slowed())

    def _park(self, work: Work) -> None:
        """Take note that a piece of work is in a lane; what is done of its batch need not wait for it."""
        if not work.parked:
            work.parked = True
            self.parked += 1
            pending = work.pending
            pending.parked += 1
            if pending.remaining == pending.parked:
                pending.hand_in()

    def _is_too_many(self, work: Work) -> bool:
        if not self._line.has_lane(work):
            return False
        self._settle(work, State.UNSENT)
        return True

    def _settle(
        self, work: Work, state: State, attempt: Attempt | None = None, text: str = "", charged: int = 0
    ) -> None:
        outcome = work.outcome(state, attempt, text, charged, self._provider, self._clock.now())
        if work.begun:
            self._note(outcome)
        pending = work.pending
        pending.outcomes[work.index] = outcome
        pending.remaining -= 1
        if work.parked:
            pending.parked -= 1
            self.parked -= 1
        self._on_outcome(outcome)
        if pending.remaining == pending.parked:
            pending.hand_in()

    def _note(self, outcome: Outcome) -> None:
        self._log.finish(outcome)
        if not self._unwritten:
            self._unwritten = True
            # A commit of marks carries outcomes, too; where that is a local one, it was scheduled before this.
            loop = asyncio.get_running_loop()
            self._flush_at_s = loop.time() + OUTCOMES_WAIT_S if self.commit_is_remote else 0.0
            if not self._flush_due:
                self._flush_due = True
                loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write outcomes that no mark has carried to the file; they must not wait for one."""
        self._flush_due = False
        if not self._unwritten:
            return
        if self.commit_is_remote:
            loop = asyncio.get_running_loop()
            if loop.time() < self._flush_at_s:
                self._flush_due = True
                loop.call_at(self._flush_at_s, self._flush)
                return
        try:
            self.commit()
        except MailblastError as error:
            self.stop(error)

    def _written(self, written: asyncio.Future[None]) -> None:
        error = None if written.cancelled() else written.exception()
        if isinstance(error, MailblastError):
            self.stop(error)

    def _consider_stopping(self, action: Action, attempt: Attempt) -> None:
        why = self._breaker.see(attempt, in_flight=len(self._in_flight) + 1)
        if action is Action.STOP:
            self.stop(AccountError(f"{self._provider} refused the account: {said_of(attempt.reply)}."))
        elif why:
            kind = AccountError if attempt.disposition is Disposition.PERMANENT else ProviderUnavailableError
            self.stop(kind(f"{self._provider} stopped the run: {why}."))

    def _next_delay_s(self) -> float | None:
        if self._line.is_plain:
            return 0.0 if self._queue else None
        delay = self._line.next_delay_s()
        if delay is not None and delay > PATIENCE_S and (over := self._pace.day_is_over()) is not None:
            self.stop(over)
        return delay

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

"""The side of a campaign that has its list and its journal: puts batches, takes outcomes home."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Self

from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.executors.gathering import Gathering
from mailblast.executors.queue.home import settle
from mailblast.executors.queue.outcomes import from_text
from mailblast.executors.queue.patience import Patience
from mailblast.executors.queue.room import Room
from mailblast.executors.queue.states import CODES
from mailblast.executors.queue.stopping import Stopping
from mailblast.journal.codes import STATES
from mailblast.model.outcome import Outcome, State, unsent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.executors.executor import OnDone, OnOutcome
    from mailblast.executors.queue.engine import Engine
    from mailblast.executors.queue.store import Store
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Batch, Claim

#: Batches that are put together, and how long the first of them waits for others.
TOGETHER = 8
GATHER_S = 0.05
#: How often the stream is looked at, and whether there is room for more batches.
POLL_S = (0.02, 0.1)
FULL_S = 0.25


class QueueExecutor:
    """Run batches on whatever workers there are; see ``Executor``.

    Args:
        store: The server.
        engine: Its queues.
        journal: Open.
        clock: Times.
        priority: Of the campaign.
        waits: Stay until every batch has its outcomes; else who is not settled when the list is put is unsent on
            record, and their outcomes are taken home later.
        on_outcome: Called for each outcome.
        on_done: Called with outcomes, several at a time, to fold them.
        say: Told what its operator should know.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        journal: Journal,
        clock: Clock,
        *,
        priority: int,
        waits: bool,
        on_outcome: OnOutcome,
        on_done: OnDone,
        say: Callable[[str], None],
    ) -> None:
        self._ending = Stopping()
        self.stopping = self._ending.begun
        self.queued = 0
        self._store = store
        self._engine = engine
        self._journal = journal
        self._token = journal.token
        self._clock = clock
        self._priority = priority
        self._waits = waits
        self._on_outcome = on_outcome
        self._gathering = Gathering(on_done, clock)
        self._patience = Patience(self._ending, say)
        self._room = Room(store, self._token, clock, self._ending, say)
        #: Claims without an outcome, where it waits.
        self._open: dict[int, Claim] = {}
        #: Batches that are put next.
        self._gathered: list[Batch] = []
        self._putting = asyncio.Lock()
        self._gathering_task: asyncio.Task[None] | None = None
        #: Up to where the outcomes at the server are in the journal.
        self._home = ""

    @property
    def stopped(self) -> MailblastError | None:
        """Why nothing more is put; None while it is."""
        return self._ending.reason

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop(error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off."))
        await self.drain()

    async def submit(self, batch: Batch) -> None:
        """Put a batch, soon, together with others; wait first while the queue is full."""
        while self.stopped is None and self._room.left <= 0:
            await self._put()
            if not await self._patience.call(self._has_room):
                await self._take_home()
                await self._ending.first_of(asyncio.sleep(FULL_S))
        if self.stopped is not None:
            self._finish([unsent(claim, self._clock.now()) for claim in batch.claims])
            return
        self._room.left -= 1
        self._open.update({claim.id: claim for claim in batch.claims})
        self._gathered.append(batch)
        if len(self._gathered) >= TOGETHER:
            await self._put()
            await self._take_home()
        elif self._gathering_task is None or self._gathering_task.done():
            self._gathering_task = asyncio.create_task(self._put_soon())

    async def drain(self) -> None:
        """Wait until every batch has its outcomes, where it waits."""
        await self._put()
        poll_s = POLL_S[0]
        while self._open and self._waits and self.stopped is None:
            if not await self._take_home() and await self._patience.call(self._is_over):
                await self._take_home()
                self._give_up()
            elif self._open:
                await self._ending.first_of(asyncio.sleep(poll_s))
                poll_s = min(2 * poll_s, POLL_S[1])
        if self.stopped is not None:
            self._give_up()
        self._flush()
        if self._home:
            await self._patience.call(lambda: self._store.take_outcomes(self._token, self._home, 0) is None)

    def limiting(self) -> str:
        """Return what the run waits for, in a few words."""
        if self._patience.is_away:
            return "the queue is away"
        return "no worker is there" if self._room.is_unattended else ""

    def stop(self, reason: MailblastError) -> None:
        """Put nothing more. What is queued stays queued: workers go on with it."""
        self._ending.begin(reason)

    def abort(self) -> None:
        """Do not wait for the server either."""
        self._patience.give_up()

    # Inside.

    async def _put_soon(self) -> None:
        await asyncio.sleep(GATHER_S)
        try:
            await self._put()
        except MailblastError as error:
            self.stop(error)

    async def _put(self) -> None:
        """Put what is gathered."""
        async with self._putting:
            batches, self._gathered = self._gathered, []
            claims = [claim for batch in batches for claim in batch.claims]
            if not claims or self.stopped is not None:
                return
            if not self._waits:
                # On record as not sent yet: what comes of them may be taken home by somebody else.
                now_s = self._clock.now()
                self._journal.fold([unsent(claim, now_s) for claim in claims])
            puts = await self._patience.call(lambda: self._store.put(self._token, [batch.claims for batch in batches]))
            if puts is None:
                return
            sequences = [put.sequence for put in puts if put.sequence]
            await self._patience.call(lambda: self._hand_on(sequences))
            self.queued += len(claims)
            for put in puts:
                self.queued -= len(put.refused)
                self._take_refused(put.refused)
            if not self._waits:
                for claim in claims:
                    self._open.pop(claim.id, None)

    def _hand_on(self, sequences: Sequence[int]) -> bool:
        self._engine.put_all(self._token, sequences, self._priority)
        self._store.put_was_heard(self._token, *sequences)
        return True

    def _has_room(self) -> bool:
        return self._room.look(len(self._gathered))

    def _is_over(self) -> bool:
        """Return whether no outcome will come any more; who was being sent to by the dead is in doubt then."""
        is_empty = not self._store.open_batches(self._token)
        # So it is with a server that has lost its memory, too.
        self._room.look(len(self._gathered), closely=is_empty)
        if self.stopped is not None:
            return True
        if self._store.open_batches(self._token):
            return False
        settle(self._store, self._token, self._clock.now())
        return not any(True for _ in self._store.sending(self._token)) and not self._store.has_outcomes(self._token)

    async def _take_home(self) -> bool:
        """Take what outcomes there are into the journal; return whether there were any."""
        arrived = await self._patience.call(lambda: self._store.take_outcomes(self._token, self._home))
        if arrived is None:
            return False
        self._home = ""
        claims, stopped, on_outcome, waits = self._open, self.stopped, self._on_outcome, self._waits
        final = {outcome.id: outcome for outcome in from_text(arrived.final, claims)}
        again = [outcome for outcome in from_text(arrived.again, claims) if outcome.id not in final]
        for claim_id, outcome in final.items():
            if claims.pop(claim_id, None) is not None or not waits:
                on_outcome(outcome)
        # In the journal before they are removed there, which the next look at them does.
        self._add([*final.values(), *again])
        self._flush()
        if self.stopped is stopped:
            self._home = arrived.last
        return True

    def _take_refused(self, refused: dict[int, int]) -> None:
        """Take note of those who were served before the journal knew; those who are under way will be told."""
        outcomes = [
            unsent(self._open.pop(claim_id), self._clock.now())._replace(state=STATES[byte], text="known to the queue")
            for claim_id, byte in refused.items()
            if byte == CODES[State.ACCEPTED]
        ]
        self._finish(outcomes)

    def _give_up(self) -> None:
        """Record as unsent who has no outcome here: queued still, or not put."""
        now = self._clock.now()
        claims, self._open = list(self._open.values()), {}
        self._finish([unsent(claim, now) for claim in claims])

    def _finish(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._on_outcome(outcome)
        if outcomes:
            self._add(outcomes)

    def _add(self, outcomes: Sequence[Outcome]) -> None:
        try:
            self._gathering.add(outcomes)
        except MailblastError as error:
            self.stop(error)

    def _flush(self) -> None:
        try:
            self._gathering.flush()
        except MailblastError as error:
            self.stop(error)

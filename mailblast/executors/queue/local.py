"""The queue of one machine: rows in a campaign's journal, and beside it all that a worker needs to deliver them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.delivery.retry import deferred_delay_s
from mailblast.errors import ListError, MailblastError
from mailblast.executors.queue.files import is_paused
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.lists.chunks import chunks
from mailblast.model.outcome import Outcome, State, unsent
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.intake import Intake
    from mailblast.executors.executor import MakeExecutor
    from mailblast.journal.journal import Journal
    from mailblast.journal.table import QueuePlace
    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow
    from mailblast.monitor.metrics import Monitor
    from mailblast.recipients.suppression import SuppressionList

#: Rows queued in one transaction.
ROWS = 1_000
#: Before all places of a queue.
FRONT: QueuePlace = (-1.0, 0)


def queue_rows(
    recipients: Iterator[Recipient | BadRow], intake: Intake, journal: Journal, clock: Clock
) -> ListError | None:
    """Claim what a list gives and put it into the journal's queue; return what broke the list.

    Raises:
        JournalError: Something cannot be written; what was queued before stays queued.
    """

    def put(batches: Iterator[Batch]) -> None:
        for batch in batches:
            now_s = clock.now()
            outcomes = [unsent(claim, now_s) for claim in batch.claims]
            journal.fold(outcomes, retry_at=dict.fromkeys((claim.id for claim in batch.claims), 0.0))

    broken: ListError | None = None
    try:
        for rows in chunks(recipients, ROWS):
            put(intake.take(rows))
            if intake.full:
                break
    except ListError as error:
        # What was read before the broken row is good.
        broken = error
    put(intake.rest())
    return broken


class PausedError(MailblastError):
    """Somebody has paused the campaign; what is left stays queued."""


class QueuedRun(CampaignRun):
    """Deliver what is due of a journal's queue; see ``CampaignRun``.

    Who is deferred stays in the queue and is due again later, until the patience of the campaign is at its end. A
    recipient is taken out of the queue together with its outcome, so that a kill leaves everybody else in it.

    Args:
        journal: Open, its run begun.
        make_executor: As for ``CampaignRun``.
        settings: Batch sizes and rates.
        clock: Times.
        monitor: Told about each outcome.
        patience_until_s: Unix seconds up to which deferred ones are tried again.
        suppressions: Who must not be mailed; None asks nobody.
    """

    def __init__(
        self,
        journal: Journal,
        make_executor: MakeExecutor,
        settings: RunSettings,
        *,
        clock: Clock,
        monitor: Monitor,
        patience_until_s: float,
        suppressions: SuppressionList | None = None,
    ) -> None:
        source = Source(iter(()), may_block=False, position_bytes=lambda: 0)
        super().__init__(
            journal, make_executor, source, settings, clock=clock, monitor=monitor, suppressions=suppressions
        )
        self._patience_until_s = patience_until_s
        #: When those under way were due, by id.
        self._due: dict[int, float] = {}
        #: Deferred in this run.
        self._deferred: set[int] = set()
        self._taken = 0

    async def run(self) -> RunResult:
        """Run until nothing is due."""
        result = await super().run()
        return result._replace(rows=self._taken)

    def heed_pause(self) -> None:
        """Stop where somebody has paused the campaign; to be called about once a second."""
        if is_paused(self._journal.folder):
            name = self._journal.campaign
            self._executor.stop(PausedError(f"{name} is paused.", fix=f"To go on: mailblast resume {name}"))

    def note_progress(self) -> None:
        """Tell the journal how far the run is, for those who look on, and the monitor what limits it."""
        self._monitor.pace(self._settings.rate_limit_per_s, self._executor.limiting())
        self._journal.note_progress(counts=self._counts, rows=self._taken)

    async def _send_list(self) -> None:
        journal, place = self._journal, FRONT
        while self._executor.stopped is None:
            claims, places = journal.queued_due(self._clock.now(), place, limit=self._settings.batch_size)
            if claims:
                place = places[-1]
                self._take(places)
                await self._submit(Batch(-1, claims))
            elif self._due:
                # Some of these may be due again by then.
                await self._executor.drain()
            else:
                self._whole_list = True
                return

    async def _submit(self, batch: Batch) -> None:
        left = batch if self._suppressing is None else self._suppressing.left(batch)
        if len(left.claims) < len(batch.claims):
            kept = {claim.id for claim in left.claims}
            gone = [claim.id for claim in batch.claims if claim.id not in kept]
            self._journal.fold([], done=[(self._due.pop(claim_id), claim_id) for claim_id in gone])
        if left.claims:
            await self._executor.submit(left)

    def _take(self, places: Sequence[QueuePlace]) -> None:
        for at_s, claim_id in places:
            self._due[claim_id] = at_s
            if claim_id in self._deferred:
                self._deferred.discard(claim_id)
                self._counts[State.DEFERRED] -= 1
                self._monitor.retry(1)
            else:
                self._taken += 1

    def _fold(self, outcomes: Sequence[Outcome]) -> None:
        now = self._clock.now()
        done: list[QueuePlace] = []
        retries: dict[int, float] = {}
        for outcome in outcomes:
            if outcome.state is State.UNSENT:
                # It keeps its place.
                self._due.pop(outcome.id)
                continue
            done.append((self._due.pop(outcome.id), outcome.id))
            if outcome.state is State.DEFERRED:
                self._deferred.add(outcome.id)
                jitter = self._jitter.random()
                at = now + deferred_delay_s(max(outcome.attempts, 1), jitter, outcome.retry_after_s)
                if at <= self._patience_until_s:
                    retries[outcome.id] = at
        self._journal.fold(outcomes, retry_at=retries, done=done)
        self._suppress_hard_bounces(outcomes)

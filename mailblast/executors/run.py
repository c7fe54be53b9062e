"""One run of a campaign, from the first row to the last outcome."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.intake import Intake, Selection
from mailblast.delivery.retry import deferred_delay_s
from mailblast.delivery.suppressed import SuppressionFilter, hard_bounces
from mailblast.errors import JournalError, ListError, MailblastError, RunInterruptedError
from mailblast.executors.executor import DRAIN_S
from mailblast.executors.reading import chunks
from mailblast.journal.journal import ClaimPolicy
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailblast.clock import Clock
    from mailblast.executors.executor import MakeExecutor
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow
    from mailblast.monitor.metrics import Monitor
    from mailblast.recipients.suppression import SuppressionList

#: Rows read and claimed at once, for one transaction of the journal takes many as cheaply as a few.
READ_ROWS = 500
#: Names of this module: before Python 3.12 a member of an enumeration takes 0.1 µs.
_DEFERRED = State.DEFERRED
_UNSENT = State.UNSENT


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How one run goes about its list."""

    batch_size: int = 100
    batches_in_flight: int = 5
    #: How long deferred recipients are tried again in this run, in seconds from its start.
    retry_for_s: float = 3600.0
    selection: Selection = field(default_factory=Selection)
    policy: ClaimPolicy = field(default_factory=ClaimPolicy)
    #: Whether addresses that a server refuses for good as unknown go on the do-not-mail list.
    suppress_hard_bounces: bool = False
    #: The rate that the run keeps, for the monitor; None for none.
    rate_limit_per_s: float | None = None


class Source(NamedTuple):
    """The list as a run sees it."""

    recipients: Iterator[Recipient | BadRow]
    #: Whether reading may wait for a pipe.
    may_block: bool
    #: Bytes of the list read so far.
    position_bytes: Callable[[], int]


class RunResult(NamedTuple):
    """What one run came to. ``rows`` is ``skipped`` plus the sum of ``counts``."""

    rows: int
    skipped: int
    held: int
    counts: dict[State, int]
    started_s: float
    finished_s: float
    #: Why it ended before its time; None where it did not.
    stopped: MailblastError | None
    #: Whether every row of the list was read and none was left out on purpose.
    whole_list: bool = True


class CampaignRun:
    """Send a list once through: what is left of it, and no one twice.

    Args:
        journal: Open, its run begun.
        make_executor: Makes what runs the batches, from what it is to call for each outcome and for each batch.
        source: The list.
        settings: How.
        clock: Times and waits.
        monitor: Told about each outcome.
        suppressions: Who must not be mailed; None asks nobody.
        on_list_read: Called when the whole list has been submitted.
    """

    def __init__(
        self,
        journal: Journal,
        make_executor: MakeExecutor,
        source: Source,
        settings: RunSettings,
        *,
        clock: Clock,
        monitor: Monitor,
        suppressions: SuppressionList | None = None,
        on_list_read: Callable[[], None] = lambda: None,
    ) -> None:
        self._journal = journal
        self._on_list_read = on_list_read
        self._suppressions = suppressions
        self._suppressing = (
            None if suppressions is None else SuppressionFilter(suppressions, journal, clock, self._count)
        )
        self._executor = make_executor(self._count, self._fold)
        self._source = source
        self._settings = settings
        #: The rate that the run keeps by now, for the monitor.
        self.rate_limit_per_s = settings.rate_limit_per_s
        self._clock = clock
        self._monitor = monitor
        self._counts = dict.fromkeys(State, 0)
        self._intake = Intake(
            journal,
            settings.policy,
            settings.selection,
            batch_size=settings.batch_size,
            clock=clock,
            on_outcome=self._count,
        )
        #: Claims of slow domains that came back to the journal and are to be sent when the list is at its end.
        self._put_off = 0
        self._interrupted = False
        self._whole_list = False
        self._started_s = clock.now()
        self._jitter = random.Random(journal.token)  # noqa: S311 - spreads waits, guards nothing

    async def run(self) -> RunResult:
        """Run to the end of the list, of the second tries, or of patience.

        What ends it early is in the result: a signal, the provider, a journal that cannot be written, a broken list.
        """
        error: MailblastError | None = None
        with self._signals():
            async with self._executor:
                try:
                    error = await self._send_list()
                except MailblastError as stop:
                    self._executor.stop(stop)
                await self._executor.drain()
        self._counts[State.UNSENT] += self._put_off
        intake = self._intake
        return RunResult(
            intake.rows,
            intake.skipped,
            intake.held,
            self._counts,
            self._started_s,
            self._clock.now(),
            self._executor.stopped or error,
            self._whole_list,
        )

    def note_progress(self) -> None:
        """Tell the journal how far the run is, for those who look on, and the monitor what limits it."""
        self._monitor.pace(self.rate_limit_per_s, self._executor.limiting())
        self._journal.note_progress(counts=self._counts, rows=self._intake.rows)

    async def _send_list(self) -> ListError | None:
        """Send the list and try again what was deferred; return what broke the list."""
        broken: ListError | None = None
        try:
            await self._read_list()
        except ListError as error:
            # What was read before the broken row is good and is sent.
            broken = error
        except JournalError as error:
            self._executor.stop(error)
        for batch in self._intake.rest():
            await self._submit(batch)
        if self._executor.stopped is None:
            self._on_list_read()
        await self._send_put_off()
        await self._executor.drain()
        if broken is None:
            await self._second_tries()
        return broken

    async def _submit(self, batch: Batch) -> None:
        """Hand a batch out, without those who must not be mailed by now."""
        if self._suppressing is not None:
            batch = self._suppressing.left(batch)
        if batch.claims:
            await self._executor.submit(batch)

    async def _read_list(self) -> None:
        source, intake, monitor = self._source, self._intake, self._monitor
        reading = chunks(
            source.recipients,
            max(self._settings.batch_size, READ_ROWS),
            may_block=source.may_block,
            until=self._executor.stopping,
        )
        async with contextlib.aclosing(reading):
            async for rows in reading:
                skipped = intake.skipped
                for batch in intake.take(rows):
                    await self._submit(batch)
                if source.may_block:
                    # The next row may be long in coming; these need not wait for it.
                    for batch in intake.rest():
                        await self._submit(batch)
                monitor.skip(intake.skipped - skipped)
                monitor.progress(intake.rows, source.position_bytes(), left=intake.left)
                if intake.full:
                    return
        self._whole_list = self._executor.stopped is None and self._settings.selection.sample == 1

    async def _send_put_off(self) -> None:
        """Send to those of slow domains that were put off, who are due since the run began."""
        is_folded = False
        while self._executor.stopped is None and self._put_off:
            claims = self._journal.due(self._started_s, limit=self._settings.batch_size)
            if claims:
                is_folded = False
                self._put_off -= len(claims)
                await self._submit(Batch(-1, claims))
            elif is_folded:
                return
            else:
                # They are gathered, to be folded together.
                await self._executor.drain()
                is_folded = True

    async def _second_tries(self) -> None:
        """Try deferred recipients again while this run has patience."""
        if self._settings.retry_for_s <= 0:
            return
        deadline = self._started_s + self._settings.retry_for_s
        while self._executor.stopped is None:
            due_s = self._journal.next_due_s()
            if due_s is None or due_s > deadline:
                return
            await self._sleep(due_s - self._clock.now())
            while self._executor.stopped is None and (
                claims := self._journal.due(self._clock.now(), limit=self._settings.batch_size)
            ):
                self._counts[State.DEFERRED] -= len(claims)
                self._monitor.retry(len(claims))
                await self._submit(Batch(-1, claims))
            await self._executor.drain()

    async def _sleep(self, seconds: float) -> None:
        slept = asyncio.ensure_future(self._clock.sleep(max(seconds, 0.0)))
        stopped = asyncio.ensure_future(self._executor.stopping.wait())
        try:
            await asyncio.wait({slept, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            stopped.cancel()

    def _count(self, outcome: Outcome) -> None:
        state = outcome.state
        if state is _UNSENT and self._executor.stopped is None:
            self._put_off += 1
            return
        self._counts[state] += 1
        self._monitor.record(outcome)

    def _fold(self, outcomes: Sequence[Outcome]) -> None:
        now = self._clock.now()
        retries = {
            outcome.id: now + deferred_delay_s(max(outcome.attempts, 1), self._jitter.random(), outcome.retry_after_s)
            for outcome in outcomes
            if outcome.state is _DEFERRED
        }
        if self._put_off:
            # Earlier than any second try, so that they can be told apart.
            retries |= {outcome.id: self._started_s for outcome in outcomes if outcome.state is _UNSENT}
        self._journal.fold(outcomes, retry_at=retries)
        self._suppress_hard_bounces(outcomes)

    def _suppress_hard_bounces(self, outcomes: Sequence[Outcome]) -> None:
        """Put who was refused for good because of the address on the do-not-mail list, where that is asked for."""
        if self._settings.suppress_hard_bounces and self._suppressions is not None:
            entries = hard_bounces(outcomes, self._journal.campaign)
            if entries:
                self._suppressions.add(entries)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt, number)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _interrupt(self, number: int) -> None:
        """First signal: hand out nothing more, wait a bounded time for what is in flight. Second: cut it."""
        if self._interrupted:
            self._executor.abort()
            return
        self._interrupted = True
        name = signal.Signals(number).name
        self._executor.stop(RunInterruptedError(f"Interrupted by {name}.", signal_number=number))
        asyncio.get_running_loop().call_later(DRAIN_S, self._executor.abort)

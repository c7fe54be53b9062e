"""The worker of this machine's own queue: one campaign after the other, from their journals."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

from mailblast.cli import loop, outcome_text
from mailblast.cli.exit_codes import ExitCode, exit_code_of, exit_code_of_counts
from mailblast.cli.run_end import record_end, record_not_begun
from mailblast.cli.worker_options import keys_for, transport_for
from mailblast.clock import SystemClock
from mailblast.delivery.composer import Composer
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import CampaignLockedError, MailblastError, RunInterruptedError
from mailblast.executors.inline import InlineExecutor
from mailblast.executors.queue.files import is_paused, is_queued_here, read_queue_file, remove_queue_file
from mailblast.executors.queue.local import PausedError, QueuedRun
from mailblast.executors.run import RunSettings
from mailblast.journal.folder import CampaignFolder, list_campaigns
from mailblast.journal.journal import Journal
from mailblast.message.attachments.size import check_total_size
from mailblast.model.outcome import State
from mailblast.monitor.metrics import Monitor
from mailblast.recipients.suppression import SuppressionList

if TYPE_CHECKING:
    from types import FrameType

    from mailblast.cli.campaigns import Transport
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.cli.worker_options import WorkerOptions
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.executors.queue.document import Delivery
    from mailblast.executors.run import RunResult
    from mailblast.model.campaign import Campaign
    from mailblast.monitor.metrics import Snapshot

#: How often the home folder is looked at for something to deliver.
POLL_S = 1.0
#: A campaign that could not be delivered is left alone for so long.
HOLD_S = 30.0


def work_here(options: WorkerOptions, settings: Settings, terminal: Terminal) -> int:
    """Deliver what is queued in the home folder; return the exit code."""
    return LocalWorker(options, settings, terminal).run()


class LocalWorker:
    """Delivers queued campaigns, the one with the lowest priority number first.

    Args:
        options: As given.
        settings: Behind the options; keys and passwords are there.
        terminal: Where to tell.
    """

    def __init__(self, options: WorkerOptions, settings: Settings, terminal: Terminal) -> None:
        self._options = options
        self._settings = settings
        self._terminal = terminal
        self._clock = SystemClock()
        #: Monotonic seconds until which campaigns are left alone.
        self._held: dict[str, float] = {}
        self._code = int(ExitCode.OK)

    def run(self) -> int:
        """Work until nothing is due, or for ever."""
        _listen()
        if not self._options.once:
            self._terminal.note(f"mailblast: waiting for what is queued in {self._settings.home}")
        while True:
            _listen()
            for name in self._names():
                self._deliver(name)
                _listen()
            if self._options.once:
                return self._code
            time.sleep(POLL_S)

    def _names(self) -> list[str]:
        now = self._clock.monotonic()
        home = self._settings.home
        return [
            name
            for name in list_campaigns(home)
            if is_queued_here(folder := CampaignFolder(home, name).path)
            and not is_paused(folder)
            and self._held.get(name, 0.0) <= now
        ]

    def _deliver(self, name: str) -> None:
        try:
            code = self._deliver_campaign(name)
        except RunInterruptedError:
            raise
        except CampaignLockedError as error:
            # Another worker is at it, or somebody is adding to it.
            if self._options.once:
                self._terminal.note(f"mailblast: {error}")
            return
        except MailblastError as error:
            self._terminal.warn(f"mailblast: {name}: {error}")
            self._held[name] = self._clock.monotonic() + HOLD_S
            code = exit_code_of(error)
        self._code = max(self._code, code)

    def _deliver_campaign(self, name: str) -> int:
        with Journal.open(self._settings.home, name, clock=self._clock) as journal:
            if not journal.trim_queue():
                remove_queue_file(journal.folder)
                return ExitCode.OK
            due_s = journal.next_due_s()
            if due_s is not None and due_s > self._clock.now():
                self._held[name] = self._clock.monotonic() + due_s - self._clock.now()
                return ExitCode.OK
            campaign, delivery = read_queue_file(journal.folder)
            transport = transport_for(self._options, delivery, self._settings, self._clock)
            journal.begin_run(
                provider=transport.provider.name, template_fingerprint=delivery.fingerprint, keeps_queue=True
            )
            try:
                result, snapshot = loop.run(self._run(journal, campaign, delivery, transport))
            except MailblastError as error:
                record_not_begun(journal, error)
                raise
            paused = result.stopped if isinstance(result.stopped, PausedError) else None
            if paused is not None:
                result = result._replace(stopped=None, whole_list=False)
            code = exit_code_of(result.stopped) if result.stopped else _code_of(result)
            record_end(journal, result, snapshot, code)
            if not journal.trim_queue():
                remove_queue_file(journal.folder)
        outcome_text.tell(self._terminal, self._settings.home, name, result, snapshot, code)
        if paused is not None:
            self._terminal.warn(f"mailblast: {paused}")
        if isinstance(result.stopped, RunInterruptedError):
            raise result.stopped
        if result.stopped is not None:
            self._held[name] = self._clock.monotonic() + HOLD_S
        return code

    async def _run(
        self, journal: Journal, campaign: Campaign, delivery: Delivery, transport: Transport
    ) -> tuple[RunResult, Snapshot]:
        provider, clock = transport.provider, self._clock
        keys = keys_for(delivery, self._settings)
        Composer(campaign, keys)
        await provider.open()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(provider.close)
            check_total_size(campaign.attachments, provider.limits.size_bytes, provider=provider.name)
            pace = transport.make_pace(clock)
            stack.callback(pace.close)
            monitor = Monitor(clock, rate_limit_per_s=pace.per_second)

            def make(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
                pipeline = Pipeline(
                    Composer(campaign, keys, composition=provider.wants_composition),
                    journal.segment(),
                    pace,
                    provider_name=provider.name,
                    clock=clock,
                    on_outcome=on_outcome,
                )
                return InlineExecutor(pipeline, provider, clock, batches_in_flight=delivery.batches, on_done=on_done)

            run = QueuedRun(
                journal,
                make,
                RunSettings(
                    delivery.batch_size,
                    delivery.batches,
                    suppress_hard_bounces=delivery.suppress_hard_bounces,
                    rate_limit_per_s=pace.per_second,
                ),
                clock=clock,
                monitor=monitor,
                patience_until_s=delivery.queued_s + delivery.retry_for_s,
                suppressions=stack.enter_context(SuppressionList(self._settings.home)),
            )

            def refresh() -> None:
                run.heed_pause()
                run.note_progress()

            shown = outcome_text.shown(
                self._terminal,
                monitor,
                refresh,
                title=campaign.name,
                provider=provider.name,
                json_log=self._options.json_log,
                clock=clock,
                watching=self._options.watching,
            )
            async with shown as watch:
                result = await run.run()
                watch.ended(None if isinstance(result.stopped, PausedError) else result.stopped)
                return result, monitor.snapshot()


def _code_of(result: RunResult) -> ExitCode:
    """Return the exit code of what was delivered; who stays queued, for the campaign is paused, is no trouble."""
    return exit_code_of_counts({**result.counts, State.UNSENT: 0}, held=0)


def _listen() -> None:
    """Have signals end the wait between campaigns; a run takes them itself, and leaves none behind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise RunInterruptedError(f"Interrupted by {signal.Signals(number).name}.", signal_number=number)

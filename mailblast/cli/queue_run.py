"""``bulk --queue redis://…``: puts a list into a server's queue, and takes home what comes of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from mailblast.cli import campaigns, loop, outcome_text
from mailblast.cli.exit_codes import ExitCode, exit_code_of
from mailblast.cli.outcome_text import counts_json
from mailblast.cli.queue_url import shown
from mailblast.cli.queueing import delivery_of, may_queue
from mailblast.cli.run_end import record_not_begun
from mailblast.delivery.composer import Composer
from mailblast.errors import CampaignLockedError, MailblastError, UsageError
from mailblast.executors.queue.coordinator import QueueExecutor
from mailblast.executors.queue.document import to_document
from mailblast.executors.queue.engine import LEASE_S, Engine
from mailblast.executors.queue.files import ServerQueue, is_queued_here, read_server_file, write_server_file
from mailblast.executors.queue.home import take_home
from mailblast.executors.queue.includes import with_included_files
from mailblast.executors.queue.server_blobs import ServerBlobs
from mailblast.executors.queue.store import Store
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.journal.folder import CampaignFolder
from mailblast.journal.lock import read_owner
from mailblast.model.outcome import State
from mailblast.monitor.metrics import Monitor
from mailblast.recipients.suppression import SuppressionList
from mailblast.render.template import fingerprint

if TYPE_CHECKING:
    from mailblast.cli.bulk_job import BulkJob
    from mailblast.cli.settings import Settings
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.journal.journal import Journal
    from mailblast.monitor.metrics import Snapshot

#: Outcomes are taken home in less time than this; a lock that is older is a run's.
HOME_S = 3.0
POLL_S = 0.05


def lease_of(settings: Settings) -> float:
    """Return after how many seconds of silence a worker counts as gone.

    Raises:
        UsageError: The setting is no number.
    """
    return float(settings.number("MAILBLAST_QUEUE_LEASE", None) or LEASE_S)


def queue_at_server(job: BulkJob) -> int:
    """Queue a mailing at the server, and stay where that was asked for; return the exit code."""
    url = job.options.queue
    assert url is not None
    store = Store(url, shown(url))
    job.stack.callback(store.close)
    for notice in store.check_server(job.clock.now()):
        job.terminal.warn(f"mailblast: {notice}")
    return ServerRun(job, store).run()


class ServerRun:
    """One run of a campaign whose batches go to a server.

    Args:
        job: The mailing.
        store: The server.
    """

    def __init__(self, job: BulkJob, store: Store) -> None:
        self._job = job
        self._store = store
        self._engine = Engine(store, lease_of(job.settings))
        self._executor: QueueExecutor

    def run(self) -> int:
        """Run, tell, and return the exit code."""
        job, options = self._job, self._job.options
        journal = self._open_journal()
        if is_queued_here(journal.folder):
            raise UsageError(
                f"Campaign '{options.name}' is queued on this machine.",
                fix=f"Deliver that first with 'mailblast worker --once', or end it: mailblast cancel {options.name}.",
            )
        if not may_queue(job, journal):
            job.terminal.warn("mailblast: nothing was queued.")
            return ExitCode.USAGE
        started_s = job.clock.monotonic()
        self._begin(journal)
        try:
            result, snapshot = loop.run(self._run(journal))
        except MailblastError as error:
            record_not_begun(journal, error)
            raise
        if options.wait:
            return self._end_of_wait(journal, result, snapshot)
        return self._end_of_putting(journal, result, snapshot, job.clock.monotonic() - started_s)

    def _open_journal(self) -> Journal:
        """Open the campaign's journal; who takes outcomes home holds it for a moment, and is waited for."""
        job = self._job
        folder = CampaignFolder(job.settings.home, job.options.name)
        ends_s = job.clock.now() + HOME_S
        while True:
            try:
                return job.open_journal()
            except CampaignLockedError:
                owner, now_s = read_owner(folder.lock), job.clock.now()
                is_run = now_s > ends_s or (owner is not None and now_s - owner.started_s > HOME_S)
                if is_run or read_server_file(folder.path) is None:
                    raise
            time.sleep(POLL_S)

    def _begin(self, journal: Journal) -> None:
        job, store, token = self._job, self._store, journal.token
        campaign = job.campaign(journal)
        Composer(campaign, job.keys)
        delivery = delivery_of(job)
        # What earlier runs of this command have not taken home; then what the server may have lost.
        take_home(store, token, journal.fold)
        journal.begin_run(provider=job.provider.name, template_fingerprint=fingerprint(job.template))
        if not store.info(token):
            # It is new, was over, or is lost; nobody will hand on what may be left of it.
            store.drop_batches(token)
        store.restore(token, journal.settled_codes())
        document = to_document(campaign, delivery, ServerBlobs(store).put)
        document["files"] = with_included_files(campaign.template)
        store.begin_campaign(
            token,
            {"name": campaign.name, "document": json.dumps(document), "priority": str(delivery.priority)},
        )
        write_server_file(journal.folder, ServerQueue(store.shown, token))
        for sequence in store.unput(token):
            # The run that put them ended before it could hand them on.
            self._engine.put(token, sequence, delivery.priority)
            store.put_was_heard(token, sequence)

    async def _run(self, journal: Journal) -> tuple[RunResult, Snapshot]:
        job, options = self._job, self._job.options
        monitor = Monitor(job.clock, total_bytes=job.reader.size_bytes, rate_limit_per_s=None)

        def make(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
            self._executor = QueueExecutor(
                self._store,
                self._engine,
                journal,
                job.clock,
                priority=options.priority,
                waits=options.wait,
                on_outcome=on_outcome,
                on_done=on_done,
                say=lambda text: job.terminal.note(f"mailblast: {text}"),
            )
            return self._executor

        run = CampaignRun(
            journal,
            make,
            Source(job.recipients, campaigns.may_block(options.list_source), job.reader.position_bytes),
            # Second tries are the workers'.
            RunSettings(
                options.batch_size,
                options.batches,
                0.0,
                options.selection,
                options.policy,
                suppress_hard_bounces=options.suppress_hard_bounces,
            ),
            clock=job.clock,
            monitor=monitor,
            suppressions=job.stack.enter_context(SuppressionList(job.settings.home)),
            on_list_read=lambda: self._store.complete_campaign(journal.token),
        )
        async with outcome_text.shown(
            job.terminal,
            monitor,
            run.note_progress,
            title=options.name,
            provider=f"workers at {self._store.shown}",
            json_log=options.json_log,
            clock=job.clock,
            watching=options.watching,
        ) as watch:
            result = await run.run()
            watch.ended(result.stopped)
            return result, monitor.snapshot()

    def _end_of_wait(self, journal: Journal, result: RunResult, snapshot: Snapshot) -> int:
        job, name = self._job, self._job.options.name
        if result.stopped is None:
            self._store.forget(journal.token)
            write_server_file(journal.folder, ServerQueue(self._store.shown, journal.token, is_over=True))
        code = job.record_end(journal, result, snapshot)
        outcome_text.tell(job.terminal, job.settings.home, name, result, snapshot, code)
        return code

    def _end_of_putting(self, journal: Journal, result: RunResult, snapshot: Snapshot, seconds: float) -> int:
        job, name, queued = self._job, self._job.options.name, self._executor.queued
        trouble = result.counts[State.INVALID] or result.held
        result.counts[State.UNSENT] += result.rows - result.skipped - sum(result.counts.values())
        code = exit_code_of(result.stopped) if result.stopped else int(ExitCode.INCOMPLETE if trouble else ExitCode.OK)
        code = job.record_end(journal, result, snapshot, code)
        job.terminal.json(
            {
                "campaign": name,
                "queue": self._store.shown,
                "queued": queued,
                "rows": result.rows,
                "skipped": result.skipped,
                "counts": counts_json(result.counts),
                "stopped": str(result.stopped) if result.stopped else None,
                "exit_code": code,
            }
        )
        job.terminal.result(
            f"{name}: {queued:,} of {result.rows:,} rows queued at {self._store.shown} in {seconds:,.1f} s"
        )
        for state in (State.INVALID, State.DUPLICATE, State.SUPPRESSED):
            if result.counts[state]:
                job.terminal.result(f"  {state.value:<10} {result.counts[state]:>9,}")
        if result.skipped:
            job.terminal.result(f"  {'skipped':<10} {result.skipped:>9,}  nothing to do: settled before")
        job.terminal.result(f"To see how far it is: mailblast status {name}")
        if result.stopped is not None:
            job.terminal.warn(f"mailblast: {result.stopped}")
        return code

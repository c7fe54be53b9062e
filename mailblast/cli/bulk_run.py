"""What ``bulk`` does once its options are read: open everything, run, tell."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from mailblast.cli import campaigns, loop, outcome_text
from mailblast.cli.at import keeps_mail, wait_for
from mailblast.cli.bulk_job import BulkJob
from mailblast.cli.bulk_routes import BulkRoute
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.named_transports import NamedTransports, words_of
from mailblast.cli.rehearsal import rehearse
from mailblast.cli.run_end import record_not_begun
from mailblast.cli.test_message import send_test_message
from mailblast.cli.watch import tell_not_begun
from mailblast.errors import MailblastError, UsageError
from mailblast.executors.failover import FailoverExecutor, open_first
from mailblast.executors.queue.files import is_queued
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.model.outcome import State
from mailblast.monitor.metrics import Monitor
from mailblast.providers.provider import PooledProvider
from mailblast.render.template import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.cli.bulk_options import BulkOptions
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.executors.failover import Switch
    from mailblast.journal.journal import Journal
    from mailblast.monitor.metrics import Snapshot
    from mailblast.providers.transport_cache import CacheStatistics

__all__ = ["BulkRun", "run_bulk"]


def run_bulk(options: BulkOptions, settings: Settings, terminal: Terminal) -> int:
    """Run the command and return its exit code."""
    with ExitStack() as stack:
        job = BulkJob(options, settings, terminal, stack)
        for notice in job.notices:
            terminal.warn(f"mailblast: {notice}")
        if options.dry_run:
            return rehearse(job)
        if options.test_to:
            return send_test_message(job, options.test_to)
        if options.queue is not None:
            if job.named:
                raise UsageError("--via-column is for a run of this command.", fix="Leave --queue out.")
            if len(job.transports) > 1:
                raise UsageError("What is queued goes by one provider.", fix="Give --via once, or leave --queue out.")
            if options.token_command is not None:
                raise UsageError(
                    "--token-command is not queued.", fix="Set MAILBLAST_TOKEN_COMMAND where the worker runs."
                )
            from mailblast.cli.queueing import queue_bulk

            return queue_bulk(job)
        return BulkRun(job).run()


class BulkRun:
    """One run of a mailing by this command itself.

    Args:
        job: The mailing.
    """

    def __init__(self, job: BulkJob) -> None:
        self._job = job
        #: What the transports that rows chose came to; None where there are none.
        self._cache_statistics: CacheStatistics | None = None

    def run(self) -> int:
        """Send, and return the exit code."""
        job = self._job
        options, journal = job.options, job.open_journal()
        if is_queued(journal.folder):
            raise UsageError(
                f"Campaign '{options.name}' is queued.",
                fix="Deliver it with 'mailblast worker', add to it with --queue, or end it: "
                f"mailblast cancel {options.name}.",
            )
        counts = journal.counts()
        job.refuse_after_outbox(journal, accepted=counts[State.ACCEPTED])
        if not any(counts.values()) and not job.may_start():
            job.terminal.warn("mailblast: nothing was sent.")
            return ExitCode.USAGE
        if job.when_s is not None and not keeps_mail(job.provider):
            wait_for(job.when_s, job.terminal, job.clock)
        self._begin(journal)
        try:
            result, snapshot = loop.run(self._deliver(journal))
        except MailblastError as error:
            # Nothing was handed out: no connection, no login, or a template that does not compile.
            record_not_begun(journal, error)
            if not isinstance(error, UsageError):
                tell_not_begun(
                    options.watching, options.name, error, lambda text: job.terminal.warn(f"mailblast: {text}")
                )
            raise
        return self._end(journal, result, snapshot)

    def _begin(self, journal: Journal) -> None:
        """Record that a run begins, and tell what has happened since the last one."""
        job = self._job
        transports = (*job.transports, *job.named.values())
        names = ", ".join(dict.fromkeys(transport.provider.name for transport in transports))
        start = journal.begin_run(provider=names, template_fingerprint=fingerprint(job.template))
        if start.template_changed:
            job.terminal.note(
                f"mailblast: the template has changed since the last run of '{job.options.name}'; who has been sent "
                "the old one is not sent the new one. A new mailing is a new --campaign."
            )
        if journal.recovered:
            job.terminal.warn(
                f"mailblast: {journal.recovered} in doubt from a run that was killed; "
                f"see 'mailblast failures {job.options.name}'."
            )

    def _end(self, journal: Journal, result: RunResult, snapshot: Snapshot) -> int:
        """Record and tell how the run ended; return the exit code."""
        job, statistics = self._job, self._cache_statistics
        code = job.record_end(journal, result, snapshot)
        more: dict[str, Any] = {}
        if statistics is not None:
            more["transports"] = {**statistics._asdict(), "hit_rate": statistics.hit_rate}
        outcome_text.tell(job.terminal, job.settings.home, job.options.name, result, snapshot, code, more=more)
        if statistics is not None and job.options.debug:
            job.terminal.warn(f"mailblast: transports: {words_of(statistics)}")
        return code

    async def _deliver(self, journal: Journal) -> tuple[RunResult, Snapshot]:
        job = self._job
        routes = [BulkRoute(job, each, journal, choice) for choice, each in enumerate(job.transports)]
        by_name = NamedTransports(job, journal)
        # Compiled and connected here first, so that a mistake is told once and before anything starts.
        routes[0].composer()
        try:
            # Those that rows choose are opened when the first of them does.
            opened = routes if job.named else await open_first(routes, self._tell_switch)
            return await self._send(journal, routes, opened, by_name)
        finally:
            await by_name.close()
            for route in routes:
                await route.close()

    async def _send(
        self, journal: Journal, routes: Sequence[BulkRoute], opened: Sequence[BulkRoute], by_name: NamedTransports
    ) -> tuple[RunResult, Snapshot]:
        job, options = self._job, self._job.options
        monitor = Monitor(job.clock, total_bytes=job.reader.size_bytes, rate_limit_per_s=_rate_of(routes))

        def make_executor(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
            if job.named:
                return by_name.make_executor(on_outcome, on_done)
            if len(opened) == 1:
                return opened[0].make_executor(on_outcome, on_done)
            return FailoverExecutor(
                opened,
                job.clock,
                on_outcome=on_outcome,
                on_done=on_done,
                on_switch=lambda switch: watch.switched(str(switch)),
            )

        run = CampaignRun(
            journal,
            make_executor,
            Source(job.recipients, campaigns.may_block(options.list_source), job.reader.position_bytes),
            _settings_of(options, _rate_of(routes)),
            clock=job.clock,
            monitor=monitor,
            suppressions=job.suppressions,
        )

        def refresh() -> None:
            run.rate_limit_per_s = _rate_of(routes)
            run.note_progress()
            _tell_monitor(monitor, routes)
            if (cache := by_name.statistics()) is not None:
                monitor.transports(cache.size, cache.hit_rate)

        async with outcome_text.shown(
            job.terminal,
            monitor,
            refresh,
            title=options.name,
            provider=opened[0].name,
            json_log=options.json_log,
            clock=job.clock,
            watching=options.watching,
        ) as watch:
            result = await run.run()
            watch.ended(result.stopped)
            self._cache_statistics = by_name.statistics()
            # Before connections are closed, which takes its time and is no part of the rate.
            return result, monitor.snapshot()

    def _tell_switch(self, switch: Switch) -> None:
        self._job.terminal.warn(f"mailblast: {switch}")


def _settings_of(options: BulkOptions, rate_limit_per_s: float | None) -> RunSettings:
    return RunSettings(
        options.batch_size,
        options.batches,
        options.retry_for_s,
        options.selection,
        options.policy,
        suppress_hard_bounces=options.suppress_hard_bounces,
        rate_limit_per_s=rate_limit_per_s,
    )


def _tell_monitor(monitor: Monitor, routes: Sequence[BulkRoute]) -> None:
    """Tell the monitor what the provider in use has open, and what is used up of its day."""
    for route in routes:
        if route.pace is not None and (quota := route.pace.quota()) is not None:
            monitor.quota(*quota)
        if isinstance(route.provider, PooledProvider):
            monitor.connections(route.provider.open_connections)


def _rate_of(routes: Sequence[BulkRoute]) -> float | None:
    """Return the rate that the provider in use allows."""
    return next((route.pace.per_second for route in routes if route.pace is not None), None)

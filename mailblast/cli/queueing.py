"""``bulk --queue``: rows are checked and stored, and somebody else delivers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.cli.exit_codes import ExitCode, exit_code_of, exit_code_of_counts
from mailblast.cli.outcome_text import counts_json
from mailblast.cli.queue_url import HERE
from mailblast.delivery.composer import Composer
from mailblast.delivery.intake import Intake
from mailblast.executors.queue.document import Delivery
from mailblast.executors.queue.files import write_queue_file
from mailblast.executors.queue.local import queue_rows
from mailblast.model.outcome import State
from mailblast.render.template import fingerprint

if TYPE_CHECKING:
    from mailblast.cli.bulk_job import BulkJob
    from mailblast.errors import ListError
    from mailblast.journal.journal import Journal
    from mailblast.model.outcome import Outcome


def queue_bulk(job: BulkJob) -> int:
    """Queue a mailing, and return the exit code."""
    if job.options.queue != HERE:
        from mailblast.cli.queue_run import queue_at_server

        return queue_at_server(job)
    return _Queueing(job).run()


def delivery_of(job: BulkJob) -> Delivery:
    """Return how a mailing was asked to be delivered."""
    options, pacing = job.options, job.options.pacing
    dkim_key = options.authenticity.dkim_key
    return Delivery(
        options.via[0] if options.via else None,
        options.connections,
        options.messages_per_connection,
        options.rates,
        tuple(pacing.domain_rates),
        pacing.daily_cap,
        pacing.warm_up,
        str(pacing.warm_up_table.absolute()) if pacing.warm_up_table is not None else None,
        options.retry_for_s,
        options.batch_size,
        options.batches,
        options.durable,
        str(dkim_key.absolute()) if dkim_key is not None else None,
        job.clock.now(),
        job.provider.name,
        fingerprint(job.template),
        options.priority,
        suppress_hard_bounces=options.suppress_hard_bounces,
    )


def may_queue(job: BulkJob, journal: Journal) -> bool:
    """Refuse what a queue cannot do, and ask where a run would ask.

    Raises:
        UsageError: The campaign, or an option, cannot be queued.
    """
    counts = journal.counts()
    job.refuse_after_outbox(journal, accepted=counts[State.ACCEPTED])
    return any(counts.values()) or job.may_start()


class _Queueing:
    """Puts a list into the queue of its journal."""

    def __init__(self, job: BulkJob) -> None:
        self._job = job
        self._counts = dict.fromkeys(State, 0)

    def run(self) -> int:
        job, options = self._job, self._job.options
        started_s = job.clock.monotonic()
        journal = job.open_journal()
        if not may_queue(job, journal):
            job.terminal.warn("mailblast: nothing was queued.")
            return ExitCode.USAGE
        campaign = job.campaign(journal)
        Composer(campaign, job.keys)
        write_queue_file(journal.folder, campaign, delivery_of(job))
        journal.begin_run(provider=job.provider.name, template_fingerprint=fingerprint(job.template), keeps_queue=True)
        journal.trim_queue()
        journal.hasten_queue()
        intake = Intake(
            journal,
            options.policy,
            options.selection,
            batch_size=options.batch_size,
            clock=job.clock,
            on_outcome=self._count,
        )
        broken = queue_rows(job.recipients, intake, journal, job.clock)
        return self._end(journal, intake, broken, started_s)

    def _count(self, outcome: Outcome) -> None:
        self._counts[outcome.state] += 1

    def _end(self, journal: Journal, intake: Intake, broken: ListError | None, started_s: float) -> int:
        job, name = self._job, self._job.options.name
        queued = intake.rows - intake.skipped - sum(self._counts.values())
        code = exit_code_of(broken) if broken else exit_code_of_counts(self._counts, held=intake.held)
        self._counts[State.UNSENT] = queued
        journal.end_run(counts=self._counts, rows=intake.rows, exit_code=code, whole_list=broken is None)
        job.terminal.json(
            {
                "campaign": name,
                "queued": queued,
                "rows": intake.rows,
                "skipped": intake.skipped,
                "counts": counts_json(self._counts),
                "exit_code": int(code),
            }
        )
        seconds = job.clock.monotonic() - started_s
        job.terminal.result(f"{name}: {queued:,} of {intake.rows:,} rows queued in {seconds:,.1f} s")
        for state in (State.INVALID, State.DUPLICATE, State.SUPPRESSED):
            if self._counts[state]:
                job.terminal.result(f"  {state.value:<10} {self._counts[state]:>9,}")
        if intake.skipped:
            job.terminal.result(f"  {'skipped':<10} {intake.skipped:>9,}  nothing to do: settled before")
        job.terminal.result("To deliver: mailblast worker; to see how far it is: mailblast status " + name)
        if broken is not None:
            job.terminal.warn(f"mailblast: {broken}")
        return code

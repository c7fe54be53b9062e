"""A provider of ``bulk``, used by this process or by several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.cli.authenticity import SIGNING_PROVIDERS
from mailblast.cli.child_process import ChildOptions, command
from mailblast.cli.scheduled import SchedulingProvider, schedule_run
from mailblast.delivery.composer import Composer
from mailblast.executors.child import ChildWork
from mailblast.executors.inline import MAX_RECONNECTS, MAX_RECONNECTS_BEFORE_ANOTHER
from mailblast.executors.inline_route import InlineRoute
from mailblast.executors.processes import ProcessesExecutor

if TYPE_CHECKING:
    from mailblast.cli.bulk_job import BulkJob
    from mailblast.cli.campaigns import Transport
    from mailblast.delivery.pace import Pace
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.journal.journal import Journal
    from mailblast.model.campaign import Campaign


class BulkRoute(InlineRoute):
    """One of the providers that a mailing may go by, used by this process or by several; see ``failover.Route``.

    Args:
        job: The mailing.
        transport: The provider and how fast it may be used.
        journal: Open, its run begun.
        choice: Which of the job's providers it is, from 0.
    """

    def __init__(self, job: BulkJob, transport: Transport, journal: Journal, choice: int) -> None:
        is_last = choice == len(job.transports) - 1
        super().__init__(
            transport.provider,
            lambda: job.make_pace(transport),
            lambda composition: Composer(self.campaign, job.keys, composition=composition),
            journal.segment(),
            job.clock,
            batches_in_flight=job.options.batches,
            attachments=job.attachments,
            reconnects=MAX_RECONNECTS if is_last else MAX_RECONNECTS_BEFORE_ANOTHER,
        )
        self._job = job
        self._transport = transport
        self._journal = journal
        self._choice = choice
        self._processes = 1

    @property
    def campaign(self) -> Campaign:
        """The campaign as this provider gets it: one that signs itself gets no signature of ours."""
        campaign = self._job.campaign(self._journal)
        return campaign._replace(dkim=None) if self._transport.dsn.scheme in SIGNING_PROVIDERS else campaign

    async def open(self) -> None:
        """Connect, read the limits, and have mail kept where it is for later.

        Raises:
            ProviderError: The provider cannot be used.
            UsageError: The attachments are larger than it takes, or it does not keep mail that long.
            JournalError: It cannot be recorded what it keeps.
        """
        await super().open()
        job, provider, pace = self._job, self.provider, self.pace
        assert pace is not None, "it is open"
        # Limits that are not shared would be kept by each process for itself.
        self._processes = 1 if pace.trouble else job.options.processes_for(provider.limits.concurrency)
        if job.when_s is not None and isinstance(provider, SchedulingProvider):
            # What is kept until then is told to this process's provider alone.
            self._processes = 1
            via = self._transport.dsn.shown()
            await schedule_run(provider, self._journal.folder, job.when_s, via=via, clock=job.clock)
        if self._processes > 1:
            await provider.close()

    def make_executor(self, on_outcome: OnOutcome, on_done: OnDone) -> Executor:
        """Return what delivers by this provider, which is open."""
        if self._processes > 1:
            assert self.pace is not None, "it is open"
            return self._many(self.pace, on_outcome, on_done)
        return super().make_executor(on_outcome, on_done)

    def _many(self, pace: Pace, on_outcome: OnOutcome, on_done: OnDone) -> Executor:
        job, options = self._job, self._job.options
        dkim_key = options.authenticity.dkim_key
        shared = ChildOptions(
            options.via,
            1,
            options.messages_per_connection,
            self._processes,
            dkim_key=str(dkim_key) if dkim_key is not None else None,
            choice=self._choice,
            token_command=options.token_command,
        )
        return ProcessesExecutor(
            lambda index, fd: command(index, fd, self._transport, shared),
            ChildWork(self.campaign, self._journal.folder, options.durable, pace.resolved(), self._reconnects),
            self._journal,
            job.clock,
            count=self._processes,
            batches_in_flight=options.batches,
            on_outcome=on_outcome,
            on_done=on_done,
            spares=job.take_spares(),
        )

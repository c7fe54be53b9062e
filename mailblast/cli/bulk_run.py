"""What ``bulk`` does once its options are read: open everything, run, tell."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailblast.cli import campaigns, loop, outcome_text
from mailblast.cli.child_process import ChildOptions, command
from mailblast.cli.exit_codes import ExitCode, exit_code_of, exit_code_of_counts
from mailblast.cli.rehearsal import rehearse
from mailblast.cli.test_message import send_test_message
from mailblast.clock import SystemClock
from mailblast.delivery.composer import Composer
from mailblast.delivery.intake import Selection
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import JournalError, MailblastError, UsageError
from mailblast.executors.child import ChildWork
from mailblast.executors.inline import InlineExecutor
from mailblast.executors.processes import ProcessesExecutor
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.campaign import Campaign
from mailblast.model.outcome import State
from mailblast.monitor.metrics import Monitor
from mailblast.recipients.recipients import RecipientSettings, read_recipients
from mailblast.render.renderer import Renderer
from mailblast.render.template import fingerprint, load_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailblast.cli.campaigns import Transport
    from mailblast.cli.options import ListFormat
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.executors.executor import Executor, MakeExecutor, OnDone, OnOutcome
    from mailblast.lists.rows import RowReader
    from mailblast.model.campaign import Template
    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow
    from mailblast.monitor.metrics import Snapshot

#: A first run of more recipients than this to a real provider is asked about on a terminal.
ASK_ABOVE = 1000
#: A rate up to this is kept by one process: shared, part of it would be lost whenever one of several has nothing to do.
ONE_PROCESS_PER_S = 1000.0


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """The options of ``bulk``, read and checked each by itself."""

    list_source: str
    template: Path
    subject: str | None
    sender: str | None
    reply_to: str | None
    via: str | None
    campaign: str | None
    key: str | None
    list_format: ListFormat | None
    encoding: str
    email_column: str | None
    batch_size: int
    batches: int
    connections: int | None
    messages_per_connection: int | None
    rates: tuple[str, ...]
    retry_for_s: float
    limit: int | None
    sample: float
    test_to: str | None
    dry_run: bool
    retry_failed: bool
    resend_in_doubt: bool
    durable: bool
    processes: int
    yes: bool
    json_log: bool

    @property
    def selection(self) -> Selection:
        """Which part of the list is taken."""
        return Selection(self.limit, self.sample)

    @property
    def policy(self) -> ClaimPolicy:
        """Who is taken again."""
        return ClaimPolicy(retry_failed=self.retry_failed, resend_in_doubt=self.resend_in_doubt)

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self.campaign or campaigns.campaign_name(self.template, self.list_source)


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
        return job.run()


class BulkJob:
    """A mailing whose parts are all there: list, template, provider.

    Args:
        options: As given.
        settings: Behind the options.
        terminal: Where to tell.
        stack: Closes what is opened here.

    Raises:
        MailblastError: A part cannot be used; nothing was sent.
    """

    def __init__(self, options: BulkOptions, settings: Settings, terminal: Terminal, stack: ExitStack) -> None:
        self.options = options
        self.settings = settings
        self.terminal = terminal
        self.stack = stack
        self.clock = SystemClock()
        self.template: Template = load_template(options.template, subject=options.subject)
        self.transport: Transport = campaigns.transport_of(
            settings,
            options.via,
            connections=options.connections,
            messages_per_connection=options.messages_per_connection,
            rates=options.rates,
            clock=self.clock,
        )
        self.provider = self.transport.provider
        self.notices = campaigns.show_notices(settings, self.transport)
        self._sender = campaigns.sender_of(settings, options.sender, self.template, self.provider)
        self._reply_to = campaigns.reply_to_of(settings, options.reply_to, self.template)
        self.reader: RowReader = stack.enter_context(
            campaigns.open_rows(options.list_source, options.list_format, options.encoding)
        )
        self.recipients: Iterator[Recipient | BadRow] = self.read(self.reader)
        # Compiled before anything is recorded, so that a mistake leaves no campaign behind.
        Renderer(self.template)

    def read(self, reader: RowReader) -> Iterator[Recipient | BadRow]:
        """Read recipients by this mailing's options."""
        columns = RecipientSettings(email_column=self.options.email_column, key_column=self.options.key)
        return read_recipients(reader, columns, columns=reader.columns, name=reader.name)

    def campaign(self, journal: Journal) -> Campaign:
        """Return the campaign as executors get it."""
        return Campaign(self.options.name, journal.token, self.template, self._sender, self._reply_to)

    def run(self) -> int:
        """Send, and return the exit code."""
        options, journal = self.options, self._open_journal()
        counts = journal.counts()
        self._refuse_after_outbox(journal, accepted=counts[State.ACCEPTED])
        if not any(counts.values()) and not self._may_start():
            self.terminal.warn("mailblast: nothing was sent.")
            return ExitCode.USAGE
        start = journal.begin_run(provider=self.provider.name, template_fingerprint=fingerprint(self.template))
        if start.template_changed:
            self.terminal.note(
                f"mailblast: the template has changed since the last run of '{options.name}'; who has been sent the "
                "old one is not sent the new one. A new mailing is a new --campaign."
            )
        if journal.recovered:
            self.terminal.warn(
                f"mailblast: {journal.recovered} in doubt from a run that was killed; "
                f"see 'mailblast failures {options.name}'."
            )
        try:
            result, snapshot = loop.run(self._deliver(journal))
        except MailblastError as error:
            # Nothing was handed out: no connection, no login, or a template that does not compile.
            journal.end_run(counts={}, rows=0, exit_code=exit_code_of(error), whole_list=False)
            raise
        code = self._record_end(journal, result, snapshot)
        outcome_text.tell(self.terminal, self.settings.home, options.name, result, snapshot, code)
        return code

    def _record_end(self, journal: Journal, result: RunResult, snapshot: Snapshot) -> int:
        """Record how the run ended and let the campaign go; return the exit code.

        Where that cannot be written, the outcomes are in the segments all the same, and the next run settles them.
        """
        code = _exit_code(result)
        ending = functools.partial(
            journal.end_run,
            counts=result.counts,
            rows=result.rows,
            exit_code=code,
            whole_list=result.whole_list,
            grade=snapshot.grade.letter,
        )
        for step in (ending, journal.close):
            try:
                step()
            except JournalError as error:
                self.terminal.warn(f"mailblast: {error}")
                code = max(code, ExitCode.STOPPED)
        return code

    def _refuse_after_outbox(self, journal: Journal, *, accepted: int) -> None:
        """Refuse to go on by mail with a campaign that was written into a folder: nobody has got that."""
        if accepted and self.provider.leaves_machine and journal.earlier_providers() == {campaigns.OUTBOX}:
            raise UsageError(
                f"Campaign '{self.options.name}' was written to an outbox, so its {accepted:,} recipients count as "
                "served although nobody has got anything.",
                fix=f"Give the real mailing a name of its own, such as --campaign {self.options.name}-sent.",
            )

    def _open_journal(self) -> Journal:
        journal = Journal.open(self.settings.home, self.options.name, clock=self.clock, durable=self.options.durable)
        self.stack.callback(journal.close)
        return journal

    async def _deliver(self, journal: Journal) -> tuple[RunResult, Snapshot]:
        options = self.options
        # Compiled and connected here first, so that a mistake is told once and before anything starts.
        Composer(self.campaign(journal))
        await self.provider.open()
        processes = self._processes()
        if processes > 1:
            await self.provider.close()
        try:
            monitor = Monitor(
                self.clock,
                total_bytes=self.reader.size_bytes,
                rate_limit_per_s=self.transport.throttle.per_second,
            )
            settings = RunSettings(
                options.batch_size, options.batches, options.retry_for_s, options.selection, options.policy
            )
            make_executor = (
                self._many(journal, settings, processes) if processes > 1 else self._inline(journal, settings)
            )
            run = CampaignRun(
                journal,
                make_executor,
                Source(self.recipients, campaigns.may_block(options.list_source), self.reader.position_bytes),
                settings,
                clock=self.clock,
                monitor=monitor,
            )
            async with outcome_text.shown(
                self.terminal,
                monitor,
                run.note_progress,
                title=options.name,
                provider=self.provider.name,
                json_log=options.json_log,
                clock=self.clock,
            ):
                result = await run.run()
                # Before connections are closed, which takes its time and is no part of the rate.
                return result, monitor.snapshot()
        finally:
            await self.provider.close()

    def _processes(self) -> int:
        limit = self.transport.throttle.per_second
        if limit is not None and limit <= ONE_PROCESS_PER_S:
            return 1
        return min(self.options.processes, self.provider.limits.concurrency)

    def _inline(self, journal: Journal, settings: RunSettings) -> MakeExecutor:
        def make(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
            pipeline = Pipeline(
                Composer(self.campaign(journal)),
                journal.segment(),
                self.transport.throttle,
                provider_name=self.provider.name,
                clock=self.clock,
                on_outcome=on_outcome,
            )
            batches = settings.batches_in_flight
            return InlineExecutor(pipeline, self.provider, self.clock, batches_in_flight=batches, on_done=on_done)

        return make

    def _many(self, journal: Journal, settings: RunSettings, processes: int) -> MakeExecutor:
        options = self.options
        shared = ChildOptions(options.via, 1, options.messages_per_connection, options.rates, processes)

        def make(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
            return ProcessesExecutor(
                lambda index, fd: command(index, fd, self.transport, shared),
                ChildWork(self.campaign(journal), journal.folder, options.durable),
                journal,
                self.clock,
                count=processes,
                batches_in_flight=settings.batches_in_flight,
                on_outcome=on_outcome,
                on_done=on_done,
            )

        return make

    def _may_start(self) -> bool:
        """Ask before a large first run to a real provider, where somebody can answer."""
        options = self.options
        if options.yes or not self.provider.leaves_machine or not self.terminal.interactive:
            return True
        if campaigns.may_block(options.list_source) or (options.limit or ASK_ABOVE + 1) <= ASK_ABOVE:
            return True
        with campaigns.open_rows(options.list_source, options.list_format, options.encoding) as reader:
            try:
                count = sum(1 for _ in reader)
            except MailblastError:
                # The run itself says what is wrong with the list, at the row where it is.
                return True
        return count <= ASK_ABOVE or self.terminal.ask(
            f"Send '{self.template.name}' to {count:,} recipients by {self.provider.name}?"
        )


def _exit_code(result: RunResult) -> int:
    if result.stopped is not None:
        return exit_code_of(result.stopped)
    return exit_code_of_counts(result.counts, held=result.held)

"""What ``bulk`` does once its options are read: open everything, run, tell."""

from __future__ import annotations

import functools
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailblast.cli import campaigns, loop, outcome_text
from mailblast.cli.at import keeps_mail, read_at, wait_for
from mailblast.cli.attachments import load_attachments
from mailblast.cli.authenticity import authenticity_of, signed_by_us
from mailblast.cli.bulk_routes import BulkRoute
from mailblast.cli.child_process import make_spares
from mailblast.cli.exit_codes import ExitCode, exit_code_of, exit_code_of_counts
from mailblast.cli.named_transports import NamedTransports, named_transports, words_of
from mailblast.cli.rehearsal import rehearse
from mailblast.cli.test_message import send_test_message
from mailblast.cli.watch import tell_not_begun
from mailblast.clock import SystemClock
from mailblast.delivery.intake import Selection
from mailblast.errors import JournalError, MailblastError, UsageError
from mailblast.executors.failover import FailoverExecutor, open_first
from mailblast.executors.queue.files import is_queued
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.message.attachments.size import check_total_size
from mailblast.message.builder import UNSUBSCRIBE_URL, MessageBuilder
from mailblast.model.campaign import Campaign
from mailblast.model.outcome import State
from mailblast.monitor.metrics import Monitor
from mailblast.providers.provider import PooledProvider
from mailblast.recipients.recipients import RecipientSettings, read_recipients
from mailblast.recipients.row_routes import check_rows, column_of, transport_of
from mailblast.recipients.suppression import SuppressionList
from mailblast.render.inline_images import with_inline_images
from mailblast.render.renderer import Renderer
from mailblast.render.template import fingerprint, load_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailblast.cli.attachments import AttachOptions
    from mailblast.cli.authenticity import AuthenticityOptions
    from mailblast.cli.campaigns import Transport
    from mailblast.cli.options import ListFormat
    from mailblast.cli.pacing import PaceFlags
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.cli.watch import WatchSettings
    from mailblast.delivery.pace import Pace
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.executors.spares import Spare
    from mailblast.lists.rows import RowReader
    from mailblast.model.campaign import Template
    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow
    from mailblast.monitor.metrics import Snapshot
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.provider import Provider
    from mailblast.providers.transport_cache import CacheStatistics

#: A first run of more recipients than this to a real provider is asked about on a terminal.
ASK_ABOVE = 1000


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """The options of ``bulk``, read and checked each by itself."""

    list_source: str
    template: Path
    subject: str | None
    sender: str | None
    reply_to: str | None
    via: tuple[str, ...]
    campaign: str | None
    key: str | None
    attach: AttachOptions
    authenticity: AuthenticityOptions
    list_format: ListFormat | None
    encoding: str
    email_column: str | None
    batch_size: int
    batches: int
    connections: int | None
    messages_per_connection: int | None
    rates: tuple[str, ...]
    pacing: PaceFlags
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
    watching: WatchSettings
    #: An URL, ``HERE``, or None where nothing is queued.
    queue: str | None = None
    wait: bool = False
    priority: int = 1
    token_command: str | None = None
    at: str | None = None
    suppress_hard_bounces: bool = False
    via_column: str | None = None
    from_column: str | None = None
    debug: bool = False

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
        pictures = with_inline_images(load_template(options.template, subject=options.subject))
        self.template: Template = pictures.template
        self._pictures = pictures.attachments
        flags = self._flags = campaigns.TransportFlags(
            options.connections,
            options.messages_per_connection,
            options.rates,
            options.pacing,
            options.token_command,
        )
        self.transports = campaigns.transports_of(settings, options.via, flags, self.clock)
        #: The first, which the others stand in for.
        self.transport: Transport = self.transports[0]
        #: Those that rows may choose, by name; empty without --via-column.
        self.named = named_transports(options, settings, self.transports, flags, self.clock)
        #: Unix seconds when it is to go; None for now.
        self.when_s = read_at(options.at, (*self.transports, *self.named.values()), self.clock)
        self.provider = self.transport.provider
        self._spares = self._make_spares()
        self.notices = campaigns.show_notices(settings, self.transport)
        self._sender = campaigns.sender_of(settings, options.sender, self.template, self.provider)
        self._reply_to = campaigns.reply_to_of(settings, options.reply_to, self.template)
        self._authenticity = authenticity_of(
            options.authenticity, settings, signed_by_us((*self.transports, *self.named.values())), self._sender.address
        )
        self.keys = self._authenticity.keys
        self.notices += self._authenticity.notices
        self.reader: RowReader = stack.enter_context(
            campaigns.open_rows(options.list_source, options.list_format, options.encoding)
        )
        columns, name = self.reader.columns, self.reader.name
        self.via_column = column_of(columns, options.via_column, "--via-column", name)
        self._sender_column = column_of(columns, options.from_column, "--from-column", name)
        self.recipients: Iterator[Recipient | BadRow] = self.read(self.reader)
        # Compiled before anything is recorded, so that a mistake leaves no campaign behind.
        renderer = Renderer(self.template)
        if UNSUBSCRIBE_URL not in (self.reader.columns or ()):
            self.notices += self._authenticity.notices_on(renderer.variables)
        self._attached = load_attachments(options.attach, settings, terminal, stack)
        self.check_attachments(self.provider)
        #: What the transports that rows chose came to; None where there are none.
        self.cache_statistics: CacheStatistics | None = None
        #: Who must not be mailed.
        self.suppressions = stack.enter_context(SuppressionList(settings.home))
        MessageBuilder(self._campaign("check"), self.keys)

    def read(self, reader: RowReader) -> Iterator[Recipient | BadRow]:
        """Read recipients by this mailing's options."""
        columns = RecipientSettings(email_column=self.options.email_column, key_column=self.options.key)
        recipients = read_recipients(reader, columns, columns=reader.columns, name=reader.name)
        if not (self.via_column or self._sender_column):
            return recipients
        return check_rows(
            recipients,
            sender_column=self._sender_column,
            via_column=self.via_column,
            transports=frozenset(self.named),
        )

    def campaign(self, journal: Journal) -> Campaign:
        """Return the campaign as executors get it."""
        return self._campaign(journal.token)

    def _campaign(self, token: str) -> Campaign:
        campaign = Campaign(self.options.name, token, self.template, self._sender, self._reply_to)
        campaign = self._authenticity.on(self._attached.on(campaign))
        return campaign._replace(
            attachments=(*self._pictures, *campaign.attachments), sender_column=self._sender_column
        )

    def check_attachments(self, provider: Provider) -> None:
        """Refuse what a provider would not take, by what is known of it by now."""
        check_total_size(self._attached.attachments, provider.limits.size_bytes, provider=provider.name)

    def run(self) -> int:
        """Send, and return the exit code."""
        options, journal = self.options, self.open_journal()
        if is_queued(journal.folder):
            raise UsageError(
                f"Campaign '{options.name}' is queued.",
                fix="Deliver it with 'mailblast worker', add to it with --queue, or end it: "
                f"mailblast cancel {options.name}.",
            )
        counts = journal.counts()
        self.refuse_after_outbox(journal, accepted=counts[State.ACCEPTED])
        if not any(counts.values()) and not self.may_start():
            self.terminal.warn("mailblast: nothing was sent.")
            return ExitCode.USAGE
        if self.when_s is not None and not keeps_mail(self.provider):
            wait_for(self.when_s, self.terminal, self.clock)
        transports = (*self.transports, *self.named.values())
        names = ", ".join(dict.fromkeys(transport.provider.name for transport in transports))
        start = journal.begin_run(provider=names, template_fingerprint=fingerprint(self.template))
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
            if not isinstance(error, UsageError):
                tell_not_begun(
                    options.watching, options.name, error, lambda text: self.terminal.warn(f"mailblast: {text}")
                )
            raise
        code = self.record_end(journal, result, snapshot)
        outcome_text.tell(
            self.terminal, self.settings.home, options.name, result, snapshot, code, more=self._transports_json()
        )
        if self.cache_statistics is not None and options.debug:
            self.terminal.warn(f"mailblast: transports: {words_of(self.cache_statistics)}")
        return code

    def _transports_json(self) -> dict[str, Any]:
        statistics = self.cache_statistics
        return {} if statistics is None else {"transports": {**statistics._asdict(), "hit_rate": statistics.hit_rate}}

    def record_end(self, journal: Journal, result: RunResult, snapshot: Snapshot) -> int:
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

    def refuse_after_outbox(self, journal: Journal, *, accepted: int) -> None:
        """Refuse to go on by mail with a campaign that was written into a folder: nobody has got that."""
        if accepted and self.provider.leaves_machine and journal.earlier_providers() == {campaigns.OUTBOX}:
            raise UsageError(
                f"Campaign '{self.options.name}' was written to an outbox, so its {accepted:,} recipients count as "
                "served although nobody has got anything.",
                fix=f"Give the real mailing a name of its own, such as --campaign {self.options.name}-sent.",
            )

    def open_journal(self) -> Journal:
        """Open the campaign's journal; it is closed with the stack."""
        journal = Journal.open(self.settings.home, self.options.name, clock=self.clock, durable=self.options.durable)
        self.stack.callback(journal.close)
        return journal

    async def _deliver(self, journal: Journal) -> tuple[RunResult, Snapshot]:
        options = self.options
        routes = [BulkRoute(self, each, journal, choice) for choice, each in enumerate(self.transports)]
        by_name = NamedTransports(self, journal)
        # Compiled and connected here first, so that a mistake is told once and before anything starts.
        routes[0].composer()
        try:
            opened = routes
            if not self.named:
                # Those that rows choose are opened when the first of them does.
                opened = await open_first(routes, lambda switch: self.terminal.warn(f"mailblast: {switch}"))
            monitor = Monitor(
                self.clock,
                total_bytes=self.reader.size_bytes,
                rate_limit_per_s=_rate_of(routes),
            )

            def make_executor(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
                if self.named:
                    return by_name.make_executor(on_outcome, on_done)
                if len(opened) == 1:
                    return opened[0].make_executor(on_outcome, on_done)
                return FailoverExecutor(
                    opened,
                    self.clock,
                    on_outcome=on_outcome,
                    on_done=on_done,
                    on_switch=lambda switch: watch.switched(str(switch)),
                )

            run = CampaignRun(
                journal,
                make_executor,
                Source(self.recipients, campaigns.may_block(options.list_source), self.reader.position_bytes),
                self._run_settings(_rate_of(routes)),
                clock=self.clock,
                monitor=monitor,
                suppressions=self.suppressions,
            )

            def refresh() -> None:
                run.rate_limit_per_s = _rate_of(routes)
                run.note_progress()
                self._tell_monitor(monitor, routes)
                if (cache := by_name.statistics()) is not None:
                    monitor.transports(cache.size, cache.hit_rate)

            async with outcome_text.shown(
                self.terminal,
                monitor,
                refresh,
                title=options.name,
                provider=opened[0].name,
                json_log=options.json_log,
                clock=self.clock,
                watching=options.watching,
            ) as watch:
                result = await run.run()
                watch.ended(result.stopped)
                self.cache_statistics = by_name.statistics()
                # Before connections are closed, which takes its time and is no part of the rate.
                return result, monitor.snapshot()
        finally:
            await by_name.close()
            for route in routes:
                await route.close()

    def _run_settings(self, rate_limit_per_s: float | None) -> RunSettings:
        options = self.options
        return RunSettings(
            options.batch_size,
            options.batches,
            options.retry_for_s,
            options.selection,
            options.policy,
            suppress_hard_bounces=options.suppress_hard_bounces,
            rate_limit_per_s=rate_limit_per_s,
        )

    def _tell_monitor(self, monitor: Monitor, routes: Sequence[BulkRoute]) -> None:
        """Tell the monitor what the provider in use has open, and what is used up of its day."""
        for route in routes:
            if route.pace is not None and (quota := route.pace.quota()) is not None:
                monitor.quota(*quota)
            if isinstance(route.provider, PooledProvider):
                monitor.connections(route.provider.open_connections)

    def make_pace(self, transport: Transport) -> Pace:
        """Return what keeps to the limits; tell where others do not keep to them, or the past is not known."""
        pace = transport.make_pace(self.clock)
        if pace.trouble:
            self.terminal.warn(
                f"mailblast: limits are kept by this run alone, and forgotten at its end: {pace.trouble} "
                f"({transport.limits_file})."
            )
        if pace.damaged:
            self.terminal.warn(
                f"mailblast: {transport.limits_file} was damaged and is made anew; what was sent today before is "
                "not counted."
            )
        return pace

    def transports_of(self, recipient: Recipient) -> Sequence[Transport]:
        """Return the transports that one row's message may go by."""
        name = transport_of(recipient, self.via_column, frozenset(self.named)) if self.named else ""
        return (self.named[name],) if name else self.transports

    def make_provider(self, dsn: Dsn) -> Provider:
        """Return a provider of the mailing's own that is not open."""
        return campaigns.make_transport(self.settings, dsn, self._flags, self.clock).provider

    def take_spares(self) -> list[Spare]:
        """Return the processes that were made ahead, once."""
        spares, self._spares = self._spares, []
        return spares

    def _make_spares(self) -> list[Spare]:
        """Make the processes of the run ahead: before anything is opened that they must not share, such as the list."""
        options = self.options
        count = min(options.processes, self.provider.limits.concurrency)
        if count < 2 or options.dry_run or options.test_to or options.queue is not None:  # noqa: PLR2004 - several
            return []
        spares = make_spares(count)
        for spare in spares:
            self.stack.callback(spare.discard)
        return spares

    def may_start(self) -> bool:
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


def _rate_of(routes: Sequence[BulkRoute]) -> float | None:
    """Return the rate that the provider in use allows."""
    return next((route.pace.per_second for route in routes if route.pace is not None), None)


def _exit_code(result: RunResult) -> int:
    if result.stopped is not None:
        return exit_code_of(result.stopped)
    return exit_code_of_counts(result.counts, held=result.held)

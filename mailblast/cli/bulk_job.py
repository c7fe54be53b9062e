"""A mailing whose parts are all there: what ``bulk`` sends, queues, rehearses or tries out."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mailblast.cli import campaigns
from mailblast.cli.at import read_at
from mailblast.cli.attachments import load_attachments
from mailblast.cli.authenticity import authenticity_of, signed_by_us
from mailblast.cli.child_process import make_spares
from mailblast.cli.exit_codes import ExitCode, exit_code_of, exit_code_of_counts
from mailblast.cli.named_transports import named_transports
from mailblast.cli.run_end import record_end
from mailblast.clock import SystemClock
from mailblast.errors import JournalError, MailblastError, UsageError
from mailblast.journal.journal import Journal
from mailblast.message.attachments.size import check_total_size
from mailblast.message.builder import UNSUBSCRIBE_URL, MessageBuilder
from mailblast.model.campaign import Campaign
from mailblast.recipients.recipients import RecipientSettings, read_recipients
from mailblast.recipients.row_routes import check_rows, column_of, transport_of
from mailblast.recipients.suppression import SuppressionList
from mailblast.render.inline_images import with_inline_images
from mailblast.render.renderer import Renderer
from mailblast.render.template import load_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack

    from mailblast.cli.bulk_options import BulkOptions
    from mailblast.cli.campaigns import Transport
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.delivery.pace import Pace
    from mailblast.executors.run import RunResult
    from mailblast.executors.spares import Spare
    from mailblast.lists.rows import RowReader
    from mailblast.model.campaign import Template
    from mailblast.model.message import Attachment
    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow
    from mailblast.monitor.metrics import Snapshot
    from mailblast.providers.dsn import Dsn
    from mailblast.providers.provider import Provider

#: A first run of more recipients than this to a real provider is asked about on a terminal.
ASK_ABOVE = 1000


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
        flags = options.transport_flags
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
        self.reader: RowReader = stack.enter_context(self.open_rows())
        columns, name = self.reader.columns, self.reader.name
        self.via_column = column_of(columns, options.via_column, "--via-column", name)
        self._sender_column = column_of(columns, options.from_column, "--from-column", name)
        self.recipients: Iterator[Recipient | BadRow] = self.read(self.reader)
        # Compiled before anything is recorded, so that a mistake leaves no campaign behind.
        renderer = Renderer(self.template)
        if UNSUBSCRIBE_URL not in (self.reader.columns or ()):
            self.notices += self._authenticity.notices_on(renderer.variables)
        attached = load_attachments(options.attach, settings, terminal, stack)
        #: Files, those of every message after the pictures of the template.
        self._attached = attached._replace(attachments=(*pictures.attachments, *attached.attachments))
        self.check_attachments(self.provider)
        #: Who must not be mailed.
        self.suppressions = stack.enter_context(SuppressionList(settings.home))
        MessageBuilder(self._campaign("check"), self.keys)

    @property
    def attachments(self) -> Sequence[Attachment]:
        """Those of every message."""
        return self._attached.attachments

    def open_rows(self) -> RowReader:
        """Open the list once more."""
        options = self.options
        return campaigns.open_rows(options.list_source, options.list_format, options.encoding)

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
        return campaign._replace(sender_column=self._sender_column)

    def check_attachments(self, provider: Provider) -> None:
        """Refuse what a provider would not take, by what is known of it by now."""
        check_total_size(self.attachments, provider.limits.size_bytes, provider=provider.name)

    def record_end(self, journal: Journal, result: RunResult, snapshot: Snapshot, code: int | None = None) -> int:
        """Record how the run ended and let the campaign go; return the exit code.

        Where that cannot be written, the outcomes are in the segments all the same, and the next run settles them.

        Args:
            journal: Open.
            result: What came of the run.
            snapshot: Of its monitor.
            code: What the command is to end with; None for what follows from the outcomes.
        """
        code = _exit_code(result) if code is None else code
        ending = functools.partial(record_end, journal, result, snapshot, code)
        # A full disk is told once: where it stopped the run, as the reason of that.
        is_told = isinstance(result.stopped, JournalError)
        for step in (ending, journal.close):
            try:
                step()
            except JournalError as error:
                if not is_told:
                    self.terminal.warn(f"mailblast: {error}")
                is_told = True
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
        return campaigns.make_transport(self.settings, dsn, self.options.transport_flags, self.clock).provider

    def take_spares(self) -> list[Spare]:
        """Return the processes that were made ahead, once."""
        spares, self._spares = self._spares, []
        return spares

    def _make_spares(self) -> list[Spare]:
        """Make the processes of the run ahead: before anything is opened that they must not share, such as the list."""
        options = self.options
        count = options.processes_for(self.provider.limits.concurrency)
        elsewhere = options.dry_run or options.test_to or options.queue is not None or self.named
        if count < 2 or elsewhere:  # noqa: PLR2004 - several
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
        with self.open_rows() as reader:
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

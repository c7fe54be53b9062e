"""``mailblast verify``: what would go wrong, before it does."""

from __future__ import annotations

import contextlib
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailblast.checks.check import Check
    from mailblast.lists.rows import RowReader
    from mailblast.model.campaign import Template

#: Findings of one kind that are shown one by one; JSON has them all.
SHOWN_OF_A_KIND = 20


def verify(
    list_: Annotated[str | None, typer.Argument(metavar="LIST", help="The list; every row is read.")] = None,
    template: Annotated[
        Path | None, typer.Option("--template", "-t", metavar="FILE", help="The template; rendered with every row.")
    ] = None,
    subject: options.Subject = None,
    sender: options.Sender = None,
    via: options.Via = None,
    key: Annotated[
        str | None,
        typer.Option("--key", metavar="COLUMN", help="Column that makes a row unique. [default: the address]"),
    ] = None,
    list_format: options.ListFormatOption = None,
    encoding: options.Encoding = "utf-8",
    email_column: options.EmailColumn = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors in the exit code.")] = False,
    json_output: options.JsonOutput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Check a list, a template and a provider; send nothing.

    A list and a template are checked row by row. The provider is checked (connection, encryption, login) where --via
    is given, or nothing else.

    Examples:

      mailblast verify list.csv --template welcome.html

      mailblast verify --via smtp://me@mail.example.com:587
    """
    terminal, settings = Terminal(json_output=json_output, quiet=quiet), Settings.load()
    with contextlib.ExitStack() as stack:
        verification = Verification(
            settings, terminal, stack, subject=subject, sender=sender, email_column=email_column, key=key
        )
        parts: list[Iterable[Check]] = []
        if list_ is not None or template is not None:
            parts.append(verification.contents(list_, template, list_format, encoding))
        if via is not None or not parts:
            parts.append(verification.provider(via))
        report = Report()
        report.add_all(chain.from_iterable(parts))
    if json_output:
        terminal.json(report.as_json())
    else:
        for line in report.lines():
            terminal.result(line)
    return ExitCode.INCOMPLETE if report.errors or (strict and report.warnings) else ExitCode.OK


class Verification:
    """The checks that were asked for, each a stream of findings."""

    def __init__(
        self,
        settings: Settings,
        terminal: Terminal,
        stack: contextlib.ExitStack,
        *,
        subject: str | None,
        sender: str | None,
        email_column: str | None,
        key: str | None,
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._stack = stack
        self._subject = subject
        self._sender = sender
        self._email_column = email_column
        self._key = key

    def contents(
        self, source: str | None, path: Path | None, list_format: options.ListFormat | None, encoding: str
    ) -> Iterator[Check]:
        """Yield findings about list and template."""
        from mailblast.checks.check import Check, Level
        from mailblast.checks.template_check import check_template
        from mailblast.cli import campaigns
        from mailblast.errors import InputError, ListError
        from mailblast.render.template import load_template

        reader: RowReader | None = None
        template: Template | None = None
        if source is not None:
            try:
                reader = self._stack.enter_context(campaigns.open_rows(source, list_format, encoding))
            except ListError as error:
                yield Check("list.readable", Level.ERROR, source, error.message, error.fix)
        if path is not None:
            try:
                template = load_template(path, subject=self._subject)
                yield from check_template(template, reader.columns if reader else None)
            except InputError as error:
                template = None
                yield Check("template.compiles", Level.ERROR, str(path), error.message, error.fix)
        if reader is not None:
            yield from self._rows(reader, template)

    def _rows(self, reader: RowReader, template: Template | None) -> Iterator[Check]:
        from mailblast.checks.check import Check, Level
        from mailblast.checks.list_check import ListCheck
        from mailblast.cli import campaigns
        from mailblast.clock import SystemClock
        from mailblast.errors import ListError
        from mailblast.journal.journal import Journal
        from mailblast.model.campaign import Campaign, Mailbox
        from mailblast.recipients.recipients import RecipientSettings, read_recipients

        journal = Journal.scratch(clock=SystemClock())
        self._stack.callback(journal.close)
        columns = RecipientSettings(email_column=self._email_column, key_column=self._key)
        campaign = None
        if template is not None:
            text = self._sender or template.sender or self._settings.text("MAILBLAST_FROM")
            mailbox = campaigns.mailbox(text, "From") if text else Mailbox("", "sender@example.com")
            campaign = Campaign("verify", journal.token, template, mailbox, None)
        try:
            recipients = read_recipients(reader, columns, columns=reader.columns, name=reader.name)
        except ListError as error:
            yield Check("list.columns", Level.ERROR, reader.name, error.message, error.fix)
            return
        with self._progress(reader) as on_progress:
            yield from ListCheck(reader.name, recipients, journal, campaign, on_progress=on_progress).findings()

    @contextlib.contextmanager
    def _progress(self, reader: RowReader) -> Iterator[Any]:
        """Show a bar on a terminal while rows are checked."""
        if not self._terminal.live or self._terminal.quiet:
            yield lambda _: None
            return
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Checking", total=reader.size_bytes)
            yield lambda rows: progress.update(
                task, completed=reader.position_bytes(), description=f"Checking, {rows:,} rows"
            )

    def provider(self, via: str | None) -> Iterator[Check]:
        """Yield findings about the provider."""
        from mailblast.checks.provider_check import check_provider
        from mailblast.cli import campaigns, loop
        from mailblast.clock import SystemClock

        transport = campaigns.transport_of(
            self._settings, via, connections=None, messages_per_connection=None, rates=None, clock=SystemClock()
        )
        for notice in campaigns.show_notices(self._settings, transport):
            self._terminal.warn(f"mailblast: {notice}")
        text = self._sender or self._settings.text("MAILBLAST_FROM")
        sender = campaigns.mailbox(text, "--from").address if text else None
        yield from loop.run(check_provider(transport.provider, sender))


def _told(check: Check) -> str:
    if check.row is not None:
        return f"row {check.row}, {check.subject}: {check.message}"
    return check.message if check.message.startswith(check.subject) else f"{check.subject}: {check.message}"


class Report:
    """Findings, counted and grouped."""

    def __init__(self) -> None:
        self._findings: list[Check] = []
        self.errors = 0
        self.warnings = 0

    def add_all(self, findings: Iterable[Check]) -> None:
        """Take in findings."""
        for check in findings:
            self._findings.append(check)
            self.errors += check.level.value == "error"
            self.warnings += check.level.value == "warning"

    def as_json(self) -> dict[str, Any]:
        """Return all findings."""
        return {
            "checks": [
                {
                    "id": check.id,
                    "level": check.level.value,
                    "subject": check.subject,
                    "row": check.row,
                    "message": check.message,
                    "fix": check.fix,
                }
                for check in self._findings
            ],
            "errors": self.errors,
            "warnings": self.warnings,
        }

    def lines(self) -> Iterator[str]:
        """Yield a line for each finding, many of one kind cut short, then the sum."""
        shown: dict[str, int] = {}
        fixes: dict[str, str] = {}
        for check in self._findings:
            shown[check.id] = shown.get(check.id, 0) + 1
            if check.level.value != "ok" and check.fix:
                fixes.setdefault(check.id, check.fix)
            if shown[check.id] <= SHOWN_OF_A_KIND:
                yield f"{check.level.value:<8} {check.id:<20} {_told(check)}"
        for kind, count in shown.items():
            if count > SHOWN_OF_A_KIND:
                yield f"         {kind:<20} … and {count - SHOWN_OF_A_KIND:,} more; --json has them all"
        for kind, fix in fixes.items():
            yield f"to do    {kind:<20} {fix}"
        yield f"{self.errors:,} errors, {self.warnings:,} warnings"

"""``mailblast verify``: what would go wrong, before it does."""

from __future__ import annotations

import contextlib
import signal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import MailblastError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mailblast.checks.check import Check


def verify(
    list_: Annotated[str | None, typer.Argument(metavar="LIST", help="The list; every row is read.")] = None,
    template: Annotated[
        Path | None, typer.Option("--template", "-t", metavar="FILE", help="The template; rendered with every row.")
    ] = None,
    subject: options.Subject = None,
    sender: options.Sender = None,
    reply_to: options.ReplyTo = None,
    unsubscribe: options.Unsubscribe = None,
    attach: options.Attach = None,
    attach_folder: options.AttachFolder = None,
    via: options.Via = None,
    token_command: options.TokenCommand = None,
    key: options.Key = None,
    list_format: options.ListFormatOption = None,
    encoding: options.Encoding = "utf-8",
    email_column: options.EmailColumn = None,
    dns: Annotated[
        bool, typer.Option("--dns", help="Look the recipients' domains up as well; servers: MAILBLAST_DNS.")
    ] = False,
    domain: Annotated[
        str | None,
        typer.Option("--domain", metavar="DOMAIN", help="Check the sending domain: SPF, DKIM, DMARC, MX."),
    ] = None,
    dkim: options.DkimOption = None,
    dkim_key: options.DkimKey = None,
    address: Annotated[
        str | None, typer.Option("--ip", metavar="ADDRESS", help="Public address that mail comes from: check its name.")
    ] = None,
    message: Annotated[
        Path | None,
        typer.Option("--message", metavar="FILE.eml", help="Check one whole message, such as a received test mail."),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Let warnings count as errors in the exit code.")] = False,
    json_output: options.JsonOutput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Check a list, a template, a sending domain and a provider; send nothing.

    A list and a template are checked row by row. The provider is checked (connection, encryption, login) where --via
    is given, or nothing else.

    Examples:

      mailblast verify list.csv --template welcome.html

      mailblast verify --domain example.com --dkim mail@example.com

      mailblast verify --via smtp://me@mail.example.com:587
    """
    from mailblast.cli.attachments import CODE, AttachOptions
    from mailblast.cli.verification import Verification
    from mailblast.cli.verify_report import VerifyReport

    _refuse_idle(domain, {"--ip": address, "--dkim": dkim, "--dkim-key": dkim_key})
    terminal, settings = Terminal(json_output=json_output, quiet=quiet), Settings.load()
    with contextlib.ExitStack() as stack:
        verification = Verification(
            settings,
            terminal,
            stack,
            subject=subject,
            sender=sender,
            reply_to=reply_to,
            unsubscribe=tuple(unsubscribe or ()),
            email_column=email_column,
            key=key,
            dns=dns,
            attach=AttachOptions(tuple(attach or ()), attach_folder),
        )
        parts: list[Iterable[Check]] = []
        if list_ is not None or template is not None:
            parts.append(verification.contents(list_, template, list_format, encoding))
        if any(CODE not in path for path in attach or ()):
            parts.append(verification.attachments())
        if message is not None:
            parts.append(verification.message(message))
        if domain is not None:
            parts.append(verification.domain(domain, via[0] if via else None, dkim, dkim_key, address))
        if via is not None or not parts:
            parts.append(verification.provider(tuple(via or ()), token_command))
        report = VerifyReport(terminal)
        complete = True
        try:
            report.add_all(chain.from_iterable(parts))
        except KeyboardInterrupt:
            complete = False
        except MailblastError:
            if report.begun:
                report.close(complete=False)
            raise
        report.close(complete=complete)
    if not complete:
        return 128 + signal.SIGINT
    return ExitCode.INCOMPLETE if report.errors or (strict and report.warnings) else ExitCode.OK


def _refuse_idle(domain: str | None, about_domain: Mapping[str, object]) -> None:
    """Refuse options that would be without effect where no domain is named."""
    for name, value in about_domain.items():
        if value is not None and domain is None:
            raise UsageError(f"{name} is about a sending domain, and none is named.", fix="Add --domain example.com.")

"""``mailblast send``: one message, to one or a few."""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailblast.cli import options
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.model.recipient import Recipient


def send(
    to: Annotated[
        list[str],
        typer.Option(
            "--to", metavar="ADDR", help="Recipient; repeatable, each gets a message of its own.", show_default=False
        ),
    ],
    template: Annotated[
        Path | None, typer.Option("--template", "-t", metavar="FILE", help="A .html, .txt or .md template.")
    ] = None,
    text: Annotated[
        str | None, typer.Option("--text", metavar="TEXT", help="Text of the message; - reads it from stdin.")
    ] = None,
    html: Annotated[
        str | None, typer.Option("--html", metavar="HTML", help="HTML of the message; - reads it from stdin.")
    ] = None,
    subject: options.Subject = None,
    variables: Annotated[
        list[str] | None, typer.Option("--var", metavar="NAME=VALUE", help="Template variable; repeatable.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE.json", help="Template variables as one JSON object.")
    ] = None,
    attach: options.Attach = None,
    attach_folder: options.AttachFolder = None,
    compress: options.CompressOption = options.Compress.AUTO,
    unsubscribe: options.Unsubscribe = None,
    list_id: options.ListId = None,
    feedback_id: options.FeedbackId = None,
    auto_submitted: options.AutoSubmitted = False,
    dkim: options.DkimOption = None,
    dkim_key: options.DkimKey = None,
    no_inline_css: options.NoInlineCss = False,
    sender: options.Sender = None,
    reply_to: options.ReplyTo = None,
    via: options.Via = None,
    token_command: options.TokenCommand = None,
    at: options.At = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            "--idempotency-key",
            metavar="KEY",
            help="With the same key, a message is sent once, however often the command runs.",
        ),
    ] = None,
    json_output: options.JsonOutput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Send one message, and print the provider's id for it.

    Examples:

      mailblast send --to ann@example.com --template welcome.html --var name=Ann

      echo "All done" | mailblast send --to ops@example.com -s Backup --text -
    """
    from mailblast.cli.attachments import AttachOptions
    from mailblast.cli.authenticity import AuthenticityOptions
    from mailblast.cli.send_run import SendOptions, run_send
    from mailblast.render.template import inline_template, load_template

    given = [part for part in (template, text, html) if part is not None]
    if not given or (template is not None and len(given) > 1):
        raise UsageError("The message is missing, or given twice.", fix="Give --template, or --text and/or --html.")
    if text == html == "-":
        raise UsageError(
            "--text and --html cannot both be read from stdin.", fix="Give one of them as a template file."
        )
    content = (
        load_template(template, subject=subject)
        if template is not None
        else inline_template(text=from_stdin(text), html=from_stdin(html), subject=subject)
    )
    chosen = SendOptions(
        sender,
        reply_to,
        tuple(via or ()),
        token_command,
        at,
        AttachOptions(
            tuple(attach or ()), attach_folder, compress, stdin_reader="the message" if "-" in (text, html) else ""
        ),
        AuthenticityOptions(
            dkim=dkim,
            dkim_key=dkim_key,
            unsubscribe=tuple(unsubscribe or ()),
            list_id=list_id,
            feedback_id=feedback_id,
            auto_submitted=auto_submitted,
            inline_css=not no_inline_css,
        ),
    )
    return run_send(
        read_recipients_of(to, read_variables(variables or [], data), idempotency_key),
        content,
        chosen,
        Settings.load(),
        Terminal(json_output=json_output, quiet=quiet),
    )


def from_stdin(text: str | None) -> str | None:
    """Return the text, or what stdin holds where it is ``-``."""
    return sys.stdin.read() if text == "-" else text


def read_variables(pairs: list[str], path: Path | None) -> dict[str, Any]:
    """Return the template variables of ``--data`` and, over them, ``--var``.

    Raises:
        UsageError: A pair has no ``=``, or the file is no JSON object.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--data {path} cannot be read: {error}.", fix="Give a file with one JSON object."
            ) from error
        if not isinstance(document, dict):
            raise UsageError(f"--data {path} holds no JSON object.", fix='Write it like {"name": "Ann"}.')
        values.update(document)
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--var '{pair}' is no NAME=VALUE.", fix="Write it like --var name=Ann.")
        values[name.strip()] = value
    return values


def read_recipients_of(to: list[str], variables: dict[str, Any], idempotency_key: str | None) -> list[Recipient]:
    """Return one recipient for each address; without an idempotency key each call makes new ones.

    Raises:
        UsageError: An address is none.
    """
    from mailblast.model.row import BadRow, Row
    from mailblast.recipients.recipients import RecipientSettings, read_recipients

    rows = [Row(number, {**variables, "email": address}) for number, address in enumerate(to, 1)]
    prefix = idempotency_key or uuid.uuid4().hex
    recipients: list[Recipient] = []
    for read in read_recipients(rows, RecipientSettings(email_column="email"), columns=None, name="--to"):
        if isinstance(read, BadRow):
            raise UsageError(
                f"--to '{to[read.number - 1]}': {read.reason.rstrip('.')}.", fix="Write it as a@b.c or 'Name <a@b.c>'."
            )
        recipients.append(read._replace(key=f"{prefix}:{read.key}"))
    return recipients

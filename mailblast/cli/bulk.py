"""``mailblast bulk``: a list through a template."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.process_count import parse_processes
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError


def bulk(
    list_: Annotated[
        str,
        typer.Argument(metavar="LIST", help="A .csv, .tsv, .jsonl, .ndjson or .txt file, each also .gz; - is stdin."),
    ],
    template: Annotated[
        Path,
        typer.Option("--template", "-t", metavar="FILE", help="A .html, .txt or .md template.", show_default=False),
    ],
    subject: options.Subject = None,
    sender: options.Sender = None,
    reply_to: options.ReplyTo = None,
    via: options.Via = None,
    campaign: Annotated[
        str | None,
        typer.Option(
            "--campaign",
            "-c",
            metavar="NAME",
            help="Name of this mailing and of its record. [default: TEMPLATE-LIST, as in welcome-list]",
        ),
    ] = None,
    key: options.Key = None,
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
    list_format: options.ListFormatOption = None,
    encoding: options.Encoding = "utf-8",
    email_column: options.EmailColumn = None,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", min=1, max=10_000, metavar="N", help="Recipients in a batch. [default: 100]"),
    ] = None,
    batches: Annotated[
        int | None,
        typer.Option("--batches", min=1, max=100, metavar="N", help="Batches in flight at once. [default: 5]"),
    ] = None,
    connections: options.Connections = None,
    messages_per_connection: options.MessagesPerConnection = None,
    rate: options.Rates = None,
    via_column: options.ViaColumn = None,
    from_column: options.FromColumn = None,
    token_command: options.TokenCommand = None,
    domain_rate: options.DomainRates = None,
    daily_cap: options.DailyCap = None,
    warm_up: options.WarmUp = False,
    warm_up_table: options.WarmUpTable = None,
    retry_for: Annotated[
        str | None,
        typer.Option(
            "--retry-for",
            metavar="TIME",
            help="How long to try deferred recipients again: 90s, 30m, 2h, 0 for one try. [default: 1h]",
        ),
    ] = None,
    suppress_hard_bounces: Annotated[
        bool,
        typer.Option(
            "--suppress-hard-bounces", help="Put who does not exist, says their server, on the do-not-mail list."
        ),
    ] = False,
    at: options.At = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Send to N recipients at most in this run.")
    ] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="SHARE", help="Only a random share, such as 1%; the rest may follow later."),
    ] = None,
    test_to: Annotated[
        str | None,
        typer.Option(
            "--test-to", metavar="ADDR", help="Send only the first row's message, to ADDR instead; nothing is recorded."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do everything but the delivery; contact nobody, record nothing.")
    ] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Send also to those that failed for good before.")
    ] = False,
    resend_in_doubt: Annotated[
        bool,
        typer.Option("--resend-in-doubt", help="Send also to those in doubt, byte for byte; some may get it twice."),
    ] = False,
    processes: Annotated[
        str | None,
        typer.Option(
            "--processes",
            metavar="N",
            help="Local processes; auto is one a core, with 5 connections each. [default: 1]",
        ),
    ] = None,
    queue: options.Queue = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="With --queue URL: stay until everything is delivered, and show it.")
    ] = False,
    priority: Annotated[
        options.Priority, typer.Option("--priority", help="With --queue URL: which campaigns go first.")
    ] = options.Priority.NORMAL,
    durable: Annotated[bool, typer.Option("--durable", help="Survive a power cut, not only a kill; slower.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a first run of more than 1,000.")] = False,
    alert_command: options.AlertCommand = None,
    alert_webhook: options.AlertWebhook = None,
    metrics_file: options.MetricsFile = None,
    metrics_port: options.MetricsPort = None,
    json_output: options.JsonOutput = False,
    quiet: options.Quiet = False,
    log_format: options.LogFormatOption = options.LogFormat.TEXT,
    debug: options.Debug = False,
) -> int:
    """Send a template to every recipient of a list.

    Run the same command again to continue: who has it is skipped, who is new or left gets it.

    Examples:

      mailblast bulk list.csv --template welcome.html

      mailblast bulk list.csv -t welcome.html --dry-run

      mailblast bulk list.csv -t welcome.html --via smtp --rate 14/s
    """
    from mailblast.cli.attachments import AttachOptions
    from mailblast.cli.authenticity import AuthenticityOptions
    from mailblast.cli.bulk_options import BulkOptions
    from mailblast.cli.bulk_run import run_bulk
    from mailblast.cli.pacing import PaceFlags
    from mailblast.cli.queue_url import queue_of
    from mailblast.cli.watch import WatchSettings

    if dry_run and test_to:
        raise UsageError("--dry-run and --test-to exclude each other.", fix="Give one of them.")
    if wait and queue is None:
        raise UsageError("--wait is for --queue redis://…", fix="Without --queue the command stays anyway.")
    if at is not None and (test_to or queue is not None):
        what = "--test-to sends at once" if test_to else "what is queued goes when a worker is there"
        raise UsageError(f"--at is for the run itself; {what}.", fix="Leave one of the two out.")
    settings = Settings.load()
    given = BulkOptions(
        list_source=list_,
        template=template,
        subject=subject,
        sender=sender,
        reply_to=reply_to,
        via=tuple(via or ()),
        campaign=campaign,
        key=key,
        attach=AttachOptions(tuple(attach or ()), attach_folder, compress, stdin_reader="LIST" if list_ == "-" else ""),
        authenticity=AuthenticityOptions(
            dkim=dkim,
            dkim_key=dkim_key,
            unsubscribe=tuple(unsubscribe or ()),
            list_id=list_id,
            feedback_id=feedback_id,
            auto_submitted=auto_submitted,
            inline_css=not no_inline_css,
        ),
        list_format=list_format,
        encoding=encoding,
        email_column=email_column,
        batch_size=settings.number("MAILBLAST_BATCH_SIZE", batch_size) or 100,
        batches=settings.number("MAILBLAST_BATCHES", batches) or 5,
        connections=connections,
        messages_per_connection=messages_per_connection,
        rates=tuple(rate or ()),
        pacing=PaceFlags(tuple(domain_rate or ()), daily_cap, warm_up, warm_up_table),
        retry_for_s=parse_duration_s(retry_for or settings.text("MAILBLAST_RETRY_FOR") or "1h"),
        limit=limit,
        sample=parse_share(sample) if sample else 1.0,
        test_to=test_to,
        dry_run=dry_run,
        retry_failed=retry_failed,
        resend_in_doubt=resend_in_doubt,
        durable=durable,
        processes=parse_processes(processes or settings.text("MAILBLAST_PROCESSES") or "1"),
        yes=yes,
        json_log=log_format is options.LogFormat.JSON,
        queue=queue_of(settings, queue),
        wait=wait,
        via_column=via_column,
        from_column=from_column,
        debug=debug,
        token_command=token_command,
        at=at,
        suppress_hard_bounces=suppress_hard_bounces,
        priority=list(options.Priority).index(priority),
        watching=WatchSettings.of(
            settings,
            alert_command=alert_command,
            alert_webhook=alert_webhook,
            metrics_file=metrics_file,
            metrics_port=metrics_port,
        ),
    )
    return run_bulk(given, settings, Terminal(json_output=json_output, quiet=quiet))


def parse_duration_s(text: str) -> float:
    """Read ``0``, ``90s``, ``30m``, ``2h``.

    Raises:
        UsageError: The text is none of these.
    """
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    if not number.isascii() or not number.isdigit():
        raise UsageError(f"--retry-for '{text}' is no time.", fix="Write it like 90s, 30m or 2h; 0 tries once.")
    return int(number) * units[unit]


def parse_share(text: str) -> float:
    """Read ``1%`` or ``0.5%`` as a share between 0 and 1.

    Raises:
        UsageError: The text is no percentage above 0 and up to 100.
    """
    try:
        percent = float(text.removesuffix("%")) if text.endswith("%") else -1.0
    except ValueError:
        percent = -1.0
    if not 0 < percent <= 100:  # noqa: PLR2004 - a percentage
        raise UsageError(f"--sample '{text}' is no share.", fix="Write it like 1%.")
    return percent / 100

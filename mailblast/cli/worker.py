"""``mailblast worker``: delivers what was queued, on this machine or at a server."""

from __future__ import annotations

from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal


def worker(
    queue: options.Queue = None,
    via: options.OneVia = None,
    connections: options.Connections = None,
    messages_per_connection: options.MessagesPerConnection = None,
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency", min=1, max=64, metavar="N", help="Batches at once, at most, of a queue at a server."
        ),
    ] = 16,
    once: Annotated[bool, typer.Option("--once", help="End when nothing is due any more, as cron wants it.")] = False,
    alert_command: options.AlertCommand = None,
    alert_webhook: options.AlertWebhook = None,
    metrics_file: options.MetricsFile = None,
    metrics_port: options.MetricsPort = None,
    quiet: options.Quiet = False,
    log_format: options.LogFormatOption = options.LogFormat.TEXT,
    debug: options.Debug = False,
) -> int:
    """Deliver what 'bulk --queue' has queued, until it is told to end.

    SIGTERM: what is in flight is finished and all else handed back; a second one cuts it.

    Examples:

      mailblast worker --once

      mailblast worker --queue redis://queue.example.com --concurrency 8
    """
    from mailblast.cli.queue_url import HERE, queue_of
    from mailblast.cli.watch import WatchSettings
    from mailblast.cli.worker_options import WorkerOptions

    settings = Settings.load()
    given = WorkerOptions(
        via=via,
        connections=connections,
        messages_per_connection=messages_per_connection,
        concurrency=concurrency,
        once=once,
        json_log=log_format is options.LogFormat.JSON,
        watching=WatchSettings.of(
            settings,
            alert_command=alert_command,
            alert_webhook=alert_webhook,
            metrics_file=metrics_file,
            metrics_port=metrics_port,
        ),
    )
    terminal = Terminal(quiet=quiet)
    for warning in settings.warnings:
        terminal.warn(f"mailblast: {warning}")
    url = queue_of(settings, queue or HERE)
    if url is None or url == HERE:
        from mailblast.cli.worker_local import work_here

        return work_here(given, settings, terminal)
    from mailblast.cli.worker_server import work_at_server

    return work_at_server(url, given, settings, terminal)

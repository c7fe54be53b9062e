"""What watches a run from beside it: alerts and metrics. None of it can hold the run up or stop it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mailblast.errors import UsageError
from mailblast.monitor.alerts import Alert, AlertKind, AlertRules

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.cli.settings import Settings
    from mailblast.errors import MailblastError
    from mailblast.monitor.display import Display, Level
    from mailblast.monitor.exposition import MetricsFile, MetricsServer
    from mailblast.monitor.metrics import Monitor
    from mailblast.monitor.snapshot import Snapshot

MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """Who is told, and how."""

    alert_command: str | None = None
    alert_webhook: str | None = None
    metrics_file: Path | None = None
    metrics_port: int | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        *,
        alert_command: str | None,
        alert_webhook: str | None,
        metrics_file: Path | None,
        metrics_port: int | None,
    ) -> Self:
        """Return what the flags say, else the settings.

        Raises:
            UsageError: The port in the settings is none.
        """
        file = metrics_file or settings.text("MAILBLAST_METRICS_FILE")
        port = settings.number("MAILBLAST_METRICS_PORT", metrics_port)
        if port is not None and port > MAX_PORT:
            raise UsageError(f"MAILBLAST_METRICS_PORT is {port}.", fix="Give a number from 1 to 65535.")
        return cls(
            settings.text("MAILBLAST_ALERT_COMMAND", alert_command),
            settings.text("MAILBLAST_ALERT_WEBHOOK", alert_webhook),
            Path(file) if file else None,
            port,
        )


class Watch:
    """Looks at a run once a second.

    Args:
        settings: Who is told.
        monitor: Where the first and the last figures come from.
        display: Shows alerts, and what could not be delivered.
        campaign: Name of the run.

    Raises:
        UsageError: A command, address, file or port cannot be used.
    """

    def __init__(self, settings: WatchSettings, monitor: Monitor, display: Display, campaign: str) -> None:
        from mailblast.monitor.alert_sinks import AlertSender

        self._monitor = monitor
        self._display = display
        self._campaign = campaign
        self._rules = AlertRules()
        self._troubles: list[str] = []
        # From another thread; shown with the next refresh, for a display is of one thread.
        self._sender = AlertSender(settings.alert_command, settings.alert_webhook, self._troubles.append)
        self._file: MetricsFile | None = None
        self._server: MetricsServer | None = None
        if settings.metrics_file is not None or settings.metrics_port is not None:
            from mailblast.monitor.exposition import MetricsFile, MetricsServer

            if settings.metrics_file is not None:
                self._file = MetricsFile(monitor.snapshot(), campaign, settings.metrics_file)
            if settings.metrics_port is not None:
                self._server = MetricsServer(monitor.snapshot(), campaign, settings.metrics_port)
                display.notice(f"metrics at {self._server.url}")

    def refresh(self, snapshot: Snapshot) -> None:
        """Tell what has changed and give the figures of now."""
        for alert in self._rules.check(snapshot):
            self._tell(alert, snapshot)
        self._update_metrics(snapshot)
        self._show_troubles()

    def switched(self, text: str) -> None:
        """Tell that the run goes on with another provider."""
        self._tell(Alert(AlertKind.FAILOVER, text), self._monitor.snapshot())

    def ended(self, stopped: MailblastError | None) -> None:
        """Tell that the run has ended, where it was stopped, and give the last figures."""
        snapshot = self._monitor.snapshot()
        if stopped is not None:
            # Sent only: the command itself says on the screen why it ended.
            self._send(Alert(AlertKind.STOPPED, str(stopped)), snapshot)
        self._update_metrics(snapshot)

    def close(self) -> None:
        """Let the last alerts go out, for some seconds at most."""
        self._sender.close()
        self._show_troubles()
        if self._server is not None:
            self._server.close()

    def _tell(self, alert: Alert, snapshot: Snapshot) -> None:
        level: Level = "info" if alert.kind is AlertKind.RECOVERED else "warning"
        self._display.alert(alert.kind.value, alert.text, level)
        self._send(alert, snapshot)

    def _send(self, alert: Alert, snapshot: Snapshot) -> None:
        self._sender.send(
            alert,
            {
                "campaign": self._campaign,
                "grade": snapshot.grade.letter,
                "score": round(snapshot.grade.score, 1),
                "reasons": list(snapshot.grade.reasons),
                "sent": snapshot.sent,
                "failed": snapshot.failed,
                "throughput_per_s": round(snapshot.throughput_per_s, 2),
                "error_rate": round(snapshot.error_rate, 4),
                "average_ms": round(snapshot.average_ms, 1),
                "uptime_s": round(snapshot.uptime_s, 1),
            },
        )

    def _update_metrics(self, snapshot: Snapshot) -> None:
        if self._server is not None:
            self._server.update(snapshot)
        if self._file is not None:
            # It could be written at the start; a disk that is full now is told by the journal.
            with contextlib.suppress(OSError):
                self._file.update(snapshot)

    def _show_troubles(self) -> None:
        while self._troubles:
            self._display.notice(self._troubles.pop(0), "warning")


def tell_not_begun(
    settings: WatchSettings, campaign: str, error: MailblastError, on_trouble: Callable[[str], None]
) -> None:
    """Send the alert of a run that could not begin.

    Args:
        settings: Who is told.
        campaign: Name of the run.
        error: Why.
        on_trouble: Told what could not be delivered.
    """
    from mailblast.monitor.alert_sinks import AlertSender

    sender = AlertSender(settings.alert_command, settings.alert_webhook, on_trouble)
    sender.send(Alert(AlertKind.STOPPED, str(error)), {"campaign": campaign, "sent": 0, "failed": 0})
    sender.close()

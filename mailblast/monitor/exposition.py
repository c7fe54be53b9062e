"""The figures of a run for Prometheus: as a file for node_exporter's collector, or on a port of this machine.

Names follow https://prometheus.io/docs/practices/naming/: base units, ``_total`` for what only grows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, start_http_server, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mailblast.errors import UsageError
from mailblast.model.outcome import State
from mailblast.monitor.wording import printable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from wsgiref.simple_server import WSGIServer

    from prometheus_client.core import Metric

    from mailblast.monitor.snapshot import Figures, Snapshot

_LOOPBACK = "127.0.0.1"


class MonitorCollector(Collector):
    """Gives the figures that it was last told; asked from any thread.

    Args:
        snapshot: The first figures.
        campaign: Label of all metrics.
    """

    def __init__(self, snapshot: Snapshot, campaign: str) -> None:
        self._campaign = campaign
        #: Replaced whole by those that come.
        self.snapshot = snapshot

    def describe(self) -> Iterable[Metric]:
        """Return nothing: the names are known only by collecting, and registering must not collect."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics of this instant."""
        snapshot, campaign = self.snapshot, self._campaign
        outcomes = GaugeMetricFamily(
            "mailblast_outcomes", "Rows of this run by outcome.", labels=("campaign", "outcome")
        )
        for state in State:
            outcomes.add_metric((campaign, state.value), snapshot.counts[state])
        yield outcomes
        yield from _messages("provider", campaign, snapshot.providers)
        yield from _messages("domain", campaign, snapshot.domains)
        rows = CounterMetricFamily("mailblast_rows_read", "Rows read from the list.", labels=("campaign",))
        rows.add_metric((campaign,), snapshot.rows_read)
        yield rows
        for name, text, value in _gauges(snapshot):
            if value is not None:
                gauge = GaugeMetricFamily(f"mailblast_{name}", text, labels=("campaign",))
                gauge.add_metric((campaign,), value)
                yield gauge
        times = GaugeMetricFamily(
            "mailblast_message_duration_seconds",
            "Time of a message that this share of the last minute's kept to.",
            labels=("campaign", "quantile"),
        )
        times.add_metric((campaign, "0.5"), snapshot.p50_ms / 1_000)
        times.add_metric((campaign, "0.95"), snapshot.p95_ms / 1_000)
        yield times


class MetricsFile:
    """Writes the figures to a file, whole or not at all.

    Args:
        snapshot: The first of them.
        campaign: Label.
        path: Should end in ``.prom`` for node_exporter.

    Raises:
        UsageError: The file cannot be written; tried at once.
    """

    def __init__(self, snapshot: Snapshot, campaign: str, path: Path) -> None:
        self._collector = MonitorCollector(snapshot, campaign)
        self._registry = _registry(self._collector)
        self._path = path
        try:
            self.update(snapshot)
        except OSError as error:
            raise UsageError(
                f"--metrics-file {path} cannot be written: {error.strerror}.", fix="Give a file in a folder of yours."
            ) from error

    def update(self, snapshot: Snapshot) -> None:
        """Write the figures of now.

        Raises:
            OSError: They cannot be written; the file is as it was.
        """
        self._collector.snapshot = snapshot
        write_to_textfile(str(self._path), self._registry)


class MetricsServer:
    """Gives the figures on a port of this machine, to nobody outside.

    Args:
        snapshot: The first of them.
        campaign: Label.
        port: On 127.0.0.1; 0 takes a free one.

    Raises:
        UsageError: The port cannot be opened.
    """

    def __init__(self, snapshot: Snapshot, campaign: str, port: int) -> None:
        self._collector = MonitorCollector(snapshot, campaign)
        self._server: WSGIServer
        self._thread: threading.Thread
        try:
            self._server, self._thread = start_http_server(port, addr=_LOOPBACK, registry=_registry(self._collector))
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise UsageError(f"--metrics-port {port} cannot be opened: {reason}.", fix="Give another port.") from error
        #: Where it can be read.
        self.url = f"http://{_LOOPBACK}:{self._server.server_port}/metrics"

    def update(self, snapshot: Snapshot) -> None:
        """Give the figures of now from now on."""
        self._collector.snapshot = snapshot

    def close(self) -> None:
        """Close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _registry(collector: MonitorCollector) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def _messages(label: str, campaign: str, figures: Sequence[Figures]) -> Iterator[Metric]:
    family = CounterMetricFamily(
        f"mailblast_{label}_messages",
        f"Messages attempted by {label} and result; one that is tried again counts again.",
        labels=("campaign", label, "result"),
    )
    for each in figures:
        name = printable(each.name)
        family.add_metric((campaign, name, "accepted"), each.total_sent)
        family.add_metric((campaign, name, "not_accepted"), each.total_failed)
    yield family


def _gauges(snapshot: Snapshot) -> Iterator[tuple[str, str, float | None]]:
    quota = snapshot.quota
    yield (
        "throughput_messages_per_second",
        "Messages attempted a second over the last minute.",
        (snapshot.throughput_per_s),
    )
    yield "error_ratio", "Share of the last minute's messages that were not accepted.", snapshot.error_rate
    yield "rate_limit_messages_per_second", "The limit in force.", snapshot.rate_limit_per_s
    yield "grade_score", "100 is best; below 70 somebody should look.", snapshot.grade.score
    yield "in_flight_messages", "Rows read that have no outcome yet.", snapshot.in_flight
    yield "open_connections", "Connections to the provider.", snapshot.connections
    yield "uptime_seconds", "Time since the run began.", snapshot.uptime_s
    yield "progress_ratio", "Share of the list that is done.", snapshot.fraction
    yield "quota_used_messages", "Recipients of the account's day so far.", None if quota is None else quota.used
    yield (
        "quota_limit_messages",
        "Recipients that the account may have in a day.",
        None if quota is None else quota.limit,
    )

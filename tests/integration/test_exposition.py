from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest
from fakes import FakeClock
from prometheus_client.parser import text_string_to_metric_families

from mailblast.errors import UsageError
from mailblast.model.outcome import Outcome, State
from mailblast.monitor.exposition import MetricsFile, MetricsServer
from mailblast.monitor.metrics import Monitor


def a_monitor(clock: FakeClock) -> Monitor:
    monitor = Monitor(clock, rate_limit_per_s=14.0, total_bytes=1_000)
    for number in range(10):
        state = State.FAILED if number == 0 else State.ACCEPTED
        address = f"user{number}@example{number % 2}.com"
        monitor.record(Outcome(number, address, address, number, state, 0.0, "smtp:a", duration_s=0.1))
    monitor.progress(12, 500)
    monitor.quota(450, 500)
    clock.advance(1)
    return monitor


def samples(text: str) -> dict[tuple[str, str], float]:
    """Return values by name and the last label's value."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        (each.name, " ".join(value for name, value in sorted(each.labels.items()) if name != "campaign")): each.value
        for each in found
    }


def test_metrics_file_holds_the_figures_and_follows_them() -> None:
    clock = FakeClock()
    monitor = a_monitor(clock)
    file = MetricsFile(monitor.snapshot(), "welcome", Path("mailblast.prom"))
    found = samples(Path("mailblast.prom").read_text(encoding="utf-8"))
    assert 9 == found["mailblast_outcomes", "accepted"]
    assert 1 == found["mailblast_outcomes", "failed"]
    assert 9 == found["mailblast_provider_messages_total", "smtp:a accepted"]
    assert 1 == found["mailblast_domain_messages_total", "example0.com not_accepted"]
    assert 12 == found["mailblast_rows_read_total", ""]
    assert 14 == found["mailblast_rate_limit_messages_per_second", ""]
    assert 0.1 == found["mailblast_error_ratio", ""]
    assert (450, 500) == (found["mailblast_quota_used_messages", ""], found["mailblast_quota_limit_messages", ""])
    assert pytest.approx(0.1, rel=0.1) == found["mailblast_message_duration_seconds", "0.95"]
    monitor.record(Outcome(99, "a@b.c", "a@b.c", 99, State.ACCEPTED, 0.0, "smtp:a"))
    file.update(monitor.snapshot())
    assert 10 == samples(Path("mailblast.prom").read_text(encoding="utf-8"))["mailblast_outcomes", "accepted"]


def test_metrics_of_names_that_are_hostile_can_be_read() -> None:
    clock = FakeClock()
    monitor = Monitor(clock)
    monitor.record(Outcome(1, "k", 'a@ev"il\n\\.com', 1, State.ACCEPTED, 0.0, 'smtp:"\n'))
    MetricsFile(monitor.snapshot(), 'we"l\ncome', Path("mailblast.prom"))
    found = samples(Path("mailblast.prom").read_text(encoding="utf-8"))
    assert ("mailblast_domain_messages_total", 'ev"il \\.com accepted') in found


def test_metrics_port_gives_the_figures_on_loopback_only() -> None:
    monitor = a_monitor(FakeClock())
    server = MetricsServer(monitor.snapshot(), "welcome", 0)
    try:
        monitor.record(Outcome(99, "a@b.c", "a@b.c", 99, State.ACCEPTED, 0.0, "smtp:a"))
        with urllib.request.urlopen(server.url, timeout=10) as answer:
            assert 9 == samples(answer.read().decode())["mailblast_outcomes", "accepted"]
        server.update(monitor.snapshot())
        with urllib.request.urlopen(server.url, timeout=10) as answer:
            assert 10 == samples(answer.read().decode())["mailblast_outcomes", "accepted"]
        assert server.url.startswith("http://127.0.0.1:")
        with pytest.raises(UsageError, match="cannot be opened"):
            MetricsServer(monitor.snapshot(), "welcome", int(server.url.rpartition(":")[2].partition("/")[0]))
    finally:
        server.close()


def test_metrics_file_that_cannot_be_written_is_refused_at_once() -> None:
    with pytest.raises(UsageError, match="--metrics-file"):
        MetricsFile(a_monitor(FakeClock()).snapshot(), "welcome", Path("no/where.prom"))

"""The window equals what one counts by hand, for any stream of outcomes at any times."""

from __future__ import annotations

from math import ceil, floor
from typing import NamedTuple

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from mailblast.model.outcome import Outcome, State
from mailblast.monitor.metrics import Monitor

ERRORS = {State.FAILED, State.DEFERRED, State.IN_DOUBT}
ATTEMPTED = ERRORS | {State.ACCEPTED}


class Event(NamedTuple):
    pause_s: float
    state: State
    provider: str
    duration_s: float


# Eighths of a second are exact in binary: the test's sums and the clock's agree on every boundary.
pauses = st.one_of(
    st.just(0.0), st.integers(0, 40).map(lambda eighths: eighths / 8), st.integers(0, 1_500).map(lambda e: e / 8)
)
events = st.builds(
    Event,
    pauses,
    st.sampled_from(list(State)),
    st.sampled_from(["smtp:a", "ses:b"]),
    st.floats(0.0001, 600, allow_nan=False),
)


def an_outcome(event: Event) -> Outcome:
    return Outcome(1, "k", "a@example.com", 1, event.state, 0.0, event.provider, duration_s=event.duration_s)


@given(stream=st.lists(events, max_size=120), last_pause_s=pauses)
def test_window_equals_a_direct_computation(stream: list[Event], last_pause_s: float) -> None:
    clock = FakeClock(0.0)
    monitor = Monitor(clock)
    told: list[tuple[float, Event]] = []
    for event in stream:
        clock.advance(event.pause_s)
        monitor.record(an_outcome(event))
        told.append((clock.time_s, event))
    clock.advance(last_pause_s)
    snapshot = monitor.snapshot()

    now = floor(clock.time_s)
    oldest = max(0, now - 59)
    window = [event for at, event in told if floor(at) >= oldest]
    attempted = [event for event in window if event.state in ATTEMPTED]
    errors = [event for event in attempted if event.state in ERRORS]
    length_s = max(clock.time_s - oldest, 0.001)

    assert len(attempted) == snapshot.attempted
    assert len(attempted) / length_s == snapshot.throughput_per_s
    assert len(window) / length_s == snapshot.rows_per_s
    assert (len(errors) / len(attempted) if attempted else 0) == snapshot.error_rate
    total_ms = 1_000 * sum(event.duration_s for event in attempted)
    assert (total_ms / len(attempted) if attempted else 0) == pytest.approx(snapshot.average_ms)
    for each in snapshot.providers:
        own = [event for event in attempted if event.provider == each.name]
        assert len([event for event in own if event.state is State.ACCEPTED]) == each.sent
        assert len([event for event in own if event.state in ERRORS]) == each.failed
        everything = [event for _, event in told if event.provider == each.name]
        assert len([event for event in everything if event.state is State.ACCEPTED]) == each.total_sent
        assert len([event for event in everything if event.state in ERRORS]) == each.total_failed
    assert {event.provider for _, event in told if event.state in ATTEMPTED} == {
        each.name for each in snapshot.providers
    }
    assert {state: sum(event.state is state for _, event in told) for state in State} == snapshot.counts
    assert (
        tuple(
            sum(floor(at) == second and event.state in ATTEMPTED for at, event in told)
            for second in range(max(0, now - 60), now)
        )
        == snapshot.history
    )


@given(durations_s=st.lists(st.floats(20e-6, 2_000), min_size=1, max_size=200))
def test_percentiles_are_within_ten_percent_of_the_nearest_rank(durations_s: list[float]) -> None:
    monitor = Monitor(FakeClock())
    for duration_s in durations_s:
        monitor.record(an_outcome(Event(0, State.ACCEPTED, "p", duration_s)))
    snapshot = monitor.snapshot()
    ordered_ms = sorted(1_000 * duration_s for duration_s in durations_s)
    for share, shown_ms in ((0.50, snapshot.p50_ms), (0.95, snapshot.p95_ms)):
        assert ordered_ms[ceil(share * len(ordered_ms)) - 1] == pytest.approx(shown_ms, rel=0.10)

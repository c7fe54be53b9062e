"""What the monitor costs a run: one call per outcome, one snapshot a second."""

from __future__ import annotations

import timeit
from typing import TYPE_CHECKING

import pytest

from mailblast.clock import SystemClock
from mailblast.model.outcome import Outcome, State
from mailblast.monitor.metrics import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.bench

RECORD_BUDGET_US = 1.5
SNAPSHOT_BUDGET_US = 2_000.0


def an_outcome(state: State, number: int = 1) -> Outcome:
    address = f"person{number}@example.com"
    provider = "" if state is State.INVALID else "smtp:mail.example.com"
    if state is State.ACCEPTED:
        return Outcome(number, address, address, number, state, 0.0, provider, 250, "2.0.0", "Ok", 1, 0.012)
    text = f"<{address}>: Recipient address rejected: User unknown"
    return Outcome(number, address, address, number, state, 0.0, provider, 550, "5.1.1", text, 1, 0.034)


def microseconds(call: Callable[[], object], number: int, repeat: int = 7) -> float:
    return min(timeit.repeat(call, number=number, repeat=repeat)) / number * 1e6


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FAILED, State.INVALID])
def test_record_costs_at_most_its_budget(state: State, capsys: pytest.CaptureFixture[str]) -> None:
    monitor = Monitor(SystemClock())
    outcomes = [an_outcome(state, number) for number in range(1_000)]

    def a_thousand() -> None:
        record = monitor.record
        for outcome in outcomes:
            record(outcome)

    cost_us = microseconds(a_thousand, number=20) / 1_000
    with capsys.disabled():
        print(f"\nmonitor.record {state.value}: {cost_us:.2f} us")
    assert cost_us <= RECORD_BUDGET_US


def test_snapshot_of_a_full_window_costs_at_most_its_budget(capsys: pytest.CaptureFixture[str]) -> None:
    class SteppingClock(SystemClock):
        time_s = 0.0

        def monotonic(self) -> float:
            return self.time_s

    clock = SteppingClock()
    monitor = Monitor(clock)
    for second in range(120):
        clock.time_s = float(second)
        for number in range(100):
            monitor.record(an_outcome(State.FAILED if number % 10 == 0 else State.ACCEPTED, number))
    cost_us = microseconds(monitor.snapshot, number=50)
    with capsys.disabled():
        print(f"\nmonitor.snapshot: {cost_us:.0f} us")
    assert cost_us <= SNAPSHOT_BUDGET_US

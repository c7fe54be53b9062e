"""Limits under random arrivals, restarts and several processes: never above in any window, and close to the limit."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from mailblast.delivery.day_limits import DAY_S, DayLimit, RollingLimit
from mailblast.delivery.limits import Limits, RateLimit
from mailblast.delivery.limits_file import LimitsFile
from mailblast.delivery.throttle import Rate

NOW = 1_700_000_000.0
RATES = st.sampled_from([Rate(14, 1), Rate(3, 1), Rate(200, 1), Rate(60, 60), Rate(7, 60)])


class Taker:
    """A process that asks for permits of one file."""

    def __init__(self, path: Path, rates: list[Rate]) -> None:
        self.file = LimitsFile(path, NOW)
        self.limits = [RateLimit(self.file, "all", rate, "") for rate in rates]
        self.taker = Limits(self.file)

    def take(self, now: float) -> float:
        wait = self.taker.wait_s(self.limits, now)
        return wait if wait > 0 else self.taker.take(self.limits, now)


def most_in(window_s: float, taken: list[float]) -> int:
    return max((bisect_left(taken, start + window_s - 1e-5) - index for index, start in enumerate(taken)), default=0)


@given(
    # Of several for one unit the pace takes the tightest.
    rates=st.lists(RATES, min_size=1, max_size=3, unique_by=lambda rate: rate.per_s),
    processes=st.integers(1, 4),
    steps=st.lists(
        st.tuples(st.floats(0, 2), st.integers(0, 3), st.integers(1, 20), st.booleans()), min_size=1, max_size=60
    ),
)
def test_no_window_ever_holds_more_than_its_rate(
    rates: list[Rate], processes: int, steps: list[tuple[float, int, int, bool]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x"
        takers = [Taker(path, rates) for _ in range(processes)]
        now, taken = NOW, list[float]()
        for pause_s, number, wanted, restarts in steps:
            now += pause_s
            which = number % processes
            for _ in range(wanted):
                if takers[which].take(now) <= 0:
                    taken.append(now)
            if restarts:
                # As after a kill: nothing is closed in good order but the descriptor.
                takers[which].file.close()
                takers[which] = Taker(path, rates)
        for rate in rates:
            assert most_in(rate.per_s, taken) <= rate.recipients
        for taker in takers:
            taker.file.close()


@given(rate=RATES, processes=st.integers(1, 4), late_s=st.lists(st.floats(0, 0.01), min_size=1, max_size=7))
def test_waiting_processes_use_nearly_all_of_a_rate(rate: Rate, processes: int, late_s: list[float]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        takers = [Taker(Path(folder) / "x", [rate]) for _ in range(processes)]
        now, taken = NOW, list[float]()
        while len(taken) < 250:
            waits = [taker.take(now) for taker in takers]
            taken += [now for wait in waits if wait <= 0]
            if min(waits) > 0:
                now += min(waits) + late_s[len(taken) % len(late_s)]
        assert most_in(rate.per_s, taken) <= rate.recipients
        assert (len(taken) - 1) / (taken[-1] - NOW) >= 0.97 * rate.per_second
        for taker in takers:
            taker.file.close()


@given(
    cap=st.integers(1, 30),
    sent=st.lists(st.tuples(st.floats(0, 0.6 * DAY_S), st.integers(1, 20)), min_size=1, max_size=40),
)
def test_no_day_ever_holds_more_than_its_cap(cap: int, sent: list[tuple[float, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        now, calendar, rolling = NOW, list[float](), list[float]()
        for pause_s, wanted in sent:
            now += pause_s
            # Each is a run of its own.
            file = LimitsFile(Path(folder) / "x", now)
            day, ring = DayLimit(file, "cap", cap, ""), RollingLimit(file, "provider", cap, "")
            for _ in range(wanted):
                if Limits(file).take([day], now) <= 0:
                    calendar.append(now)
                if Limits(file).take([ring], now) <= 0:
                    rolling.append(now)
            file.close()
        days = [int(moment // DAY_S) for moment in calendar]
        assert max(days.count(each) for each in days) <= cap
        assert most_in(DAY_S, rolling) <= cap

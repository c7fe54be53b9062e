from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.delivery.line import Line
from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.delivery.slow_down import PAUSE_S, SlowDown
from mailblast.delivery.throttle import Rate

if TYPE_CHECKING:
    from pathlib import Path


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]


class Bench:
    """A line with everything around it visible."""

    def __init__(self, settings: PaceSettings | None = None) -> None:
        self.clock = FakeClock()
        self.pace = Pace(settings or PaceSettings(), self.clock)
        self.into_lanes: list[str] = []
        self.line: Line[str] = Line(self.pace, self.clock, domain_of, self.into_lanes.append)

    def now(self) -> list[str]:
        """Take all that may go now."""
        taken = []
        while (first := self.line.first()) is not None and self.line.take():
            taken.append(first)
        return taken

    def all(self) -> list[tuple[float, str]]:
        """Take all, as time passes."""
        started_s, taken = self.clock.time_s, []
        while (delay := self.line.next_delay_s()) is not None:
            self.clock.advance(max(delay, 0.0))
            taken += [(self.clock.time_s - started_s, each) for each in self.now()]
        return taken

    def slow(self, domain: str, full_per_s: float = 10.0) -> None:
        lane = self.line.slow_lane(domain)
        lane.slow = lane.slow or SlowDown(full_per_s)
        lane.slow.complain(self.clock.monotonic(), "450 4.2.1 too fast", None)


def test_line_without_limits_is_plain_and_in_order() -> None:
    bench = Bench()
    bench.line.push(["a@x", "b@y"])
    bench.line.push_front("c@z")
    assert bench.line.is_plain
    assert ["c@z", "a@x", "b@y"] == list(bench.line.main) == bench.now()
    assert not bench.line
    assert bench.line.next_delay_s() is None
    assert bench.line.first() is None


def test_delayed_come_when_their_time_is_there_and_the_line_is_plain_again() -> None:
    bench = Bench()
    bench.line.push_delayed("late@x", 5)
    bench.line.push_delayed("later@x", 9)
    bench.line.push(["a@x"])
    assert not bench.line.is_plain
    assert (3, ["a@x"]) == (len(bench.line), bench.now())
    assert bench.line.next_delay_s() == pytest.approx(5)
    assert ["late@x", "later@x"] == [each for _, each in bench.all()]
    assert bench.line.is_plain


def test_dropped_costs_no_permit() -> None:
    bench = Bench(PaceSettings(rates=(Rate(1, 1),)))
    bench.line.push(["bad@x", "a@x", "b@x"])
    assert bench.line.first() == "bad@x"
    bench.line.drop()
    assert bench.now() == ["a@x"]
    assert bench.line.next_delay_s() == pytest.approx(1.01)


def test_another_process_that_is_faster_leaves_the_line_as_it_is(tmp_path: Path) -> None:
    bench = Bench(PaceSettings(rates=(Rate(1, 1),), file=tmp_path / "x"))
    other = Pace(bench.pace.settings, bench.clock)
    bench.line.push(["a@x"])
    assert bench.line.first() == "a@x"
    assert other.take(other.general())
    assert not bench.line.take()
    assert bench.line.first() is None
    ((moment, address),) = bench.all()
    assert moment == pytest.approx(1.01)
    assert address == "a@x"


def test_ten_domains_one_of_them_slow_the_others_finish_as_if_it_were_not_there() -> None:
    rates = {f"d{number}.test": Rate(1 if number == 0 else 100, 1) for number in range(10)}
    bench = Bench(PaceSettings(domain_rates=rates))
    bench.line.push([f"u{user}@d{number}.test" for user in range(100) for number in range(10)])
    ends: dict[str, float] = {}
    for moment, address in bench.all():
        ends[domain_of(address)] = moment
    assert ends.pop("d0.test") == pytest.approx(99 * 1.02, abs=0.5)
    assert max(ends.values()) <= 1.05
    assert len(bench.into_lanes) == 1000


def test_lanes_and_line_take_turns_under_one_rate() -> None:
    bench = Bench(PaceSettings(rates=(Rate(10, 1),), domain_rates={"a.test": Rate(100, 1), "b.test": Rate(100, 1)}))
    bench.line.push([f"{n}@{domain}" for domain in ("a.test", "b.test", "other") for n in range(50)])
    first = Counter(domain_of(address) for moment, address in bench.all() if moment < 6)
    assert max(first.values()) - min(first.values()) <= 1


def test_domain_without_a_limit_has_no_lane() -> None:
    bench = Bench(PaceSettings(domain_rates={"a.test": Rate(1, 1)}))
    bench.line.push(["1@b.test", "2@a.test"])
    assert ["1@b.test"] == list(bench.line.main)
    assert ["2@a.test"] == bench.into_lanes
    assert bench.line.lane("b.test") is None
    assert not bench.line.is_plain


def test_domain_that_asks_to_slow_down_gets_a_lane_and_the_others_go_on() -> None:
    bench = Bench()
    bench.line.push([f"{n}@{domain}" for n in range(5) for domain in ("slow.test", "b.test")])
    assert bench.line.first() == "0@slow.test"
    bench.slow("slow.test")
    assert 5 == len(bench.into_lanes)
    assert [f"{n}@b.test" for n in range(5)] == bench.now()
    bench.line.push_front("again@slow.test")
    taken = bench.all()
    assert taken[0][0] == pytest.approx(PAUSE_S)
    assert taken[0][1] == "again@slow.test"
    assert 6 == len(taken)
    assert taken[-1][0] == pytest.approx(PAUSE_S + 1, abs=0.1)
    assert ["slow.test"] == [lane.domain for lane in bench.line.slowed()]


def test_lane_that_has_recovered_is_given_up_unless_it_has_a_limit() -> None:
    bench = Bench(PaceSettings(domain_rates={"a.test": Rate(1, 1)}))
    bench.line.push(["1@a.test", "1@b.test"])
    bench.slow("a.test")
    bench.slow("b.test")
    bench.line.recover()
    assert 2 == len(bench.line.slowed())
    bench.clock.advance(3600)
    bench.line.recover()
    assert [] == bench.line.slowed()
    assert ["1@b.test"] == list(bench.line.main)
    assert bench.line.lane("a.test") is not None
    assert bench.line.lane("b.test") is None


def test_slowed_account_holds_up_everybody() -> None:
    bench = Bench()
    bench.line.push(["1@a.test", "2@a.test"])
    bench.pace.account = SlowDown(10)
    bench.pace.account.complain(bench.clock.monotonic(), "454", None)
    bench.line.settle()
    assert not bench.line.is_plain
    assert bench.line.first() is None
    (first_s, first), (second_s, second) = bench.all()
    assert ("1@a.test", "2@a.test") == (first, second)
    assert (first_s, second_s) == pytest.approx((PAUSE_S, PAUSE_S + 0.2), abs=0.02)
    bench.clock.advance(3600)
    bench.pace.recover()
    bench.line.recover()
    assert bench.line.is_plain


def test_drain_takes_out_everybody() -> None:
    bench = Bench(PaceSettings(domain_rates={"a.test": Rate(1, 1)}))
    bench.line.push(["1@a.test", "2@b.test"])
    bench.line.push_delayed("3@c.test", 5)
    assert {"1@a.test", "2@b.test", "3@c.test"} == set(bench.line.drain())
    assert 0 == len(bench.line)
    assert bench.line.held_by() is None


def test_holding_lane_is_the_one_with_most() -> None:
    bench = Bench(PaceSettings(domain_rates={"a.test": Rate(1, 1)}))
    bench.line.push(["1@a.test", "2@a.test", "2@b.test"])
    held = bench.line.held_by()
    assert held is not None
    assert held.domain == "a.test"

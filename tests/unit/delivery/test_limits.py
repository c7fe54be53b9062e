from __future__ import annotations

import os
import random
from bisect import bisect_left
from typing import TYPE_CHECKING

import pytest

from mailblast.delivery.day_limits import DAY_S, QUARTER_S, DayLimit, Ramp, RollingLimit, WarmUpLimit
from mailblast.delivery.limits import LATE_S, LOCKED_S, Limit, Limits, RateLimit
from mailblast.delivery.limits_file import RING, SIZE, SLOT, LimitsFile
from mailblast.delivery.throttle import Rate

if TYPE_CHECKING:
    from pathlib import Path

#: Noon.
NOW = 19_676 * DAY_S + 43_200.0


def a_file(path: Path | None = None) -> LimitsFile:
    return LimitsFile(path, NOW)


def a_rate(file: LimitsFile, recipients: float = 10, per_s: float = 1) -> RateLimit:
    return RateLimit(file, "all", Rate(recipients, per_s), f"rate {recipients}")


def permits_until(limits: list[Limit], file: LimitsFile, end_s: float, start_s: float = NOW) -> list[float]:
    taker, now, given = Limits(file), start_s, []
    while now < end_s:
        wait = taker.wait_s(limits, now)
        if wait <= 0:
            wait = taker.take(limits, now)
            if wait <= 0:
                given.append(now)
                continue
        now += wait
    return given


def most_in(window_s: float, given: list[float]) -> int:
    return max(bisect_left(given, start + window_s - 1e-6) - index for index, start in enumerate(given))


@pytest.mark.parametrize("per_second", [1, 5, 14, 200])
def test_rate_no_window_holds_more_and_little_is_lost(per_second: int) -> None:
    file = a_file()
    given = permits_until([a_rate(file, per_second)], file, NOW + 20)
    assert most_in(1, given) <= per_second
    assert len(given) >= 20 * per_second * 0.97


@pytest.mark.parametrize("rate", [Rate(14, 1), Rate(100, 1), Rate(1000, 1), Rate(5, 1), Rate(60, 60), Rate(0.5, 1)])
@pytest.mark.parametrize("latest_s", [0.0, 0.002, LATE_S, 0.05])
def test_rate_taken_late_keeps_windows_and_loses_little(rate: Rate, latest_s: float) -> None:
    file, chance = a_file(), random.Random(1)
    limit = a_rate(file, *rate)
    taker, now, given = Limits(file), NOW, []
    for _ in range(1100):
        now += max(0.0, limit.wait_s(now)) + 1e-9 + chance.random() * latest_s * (limit.wait_s(now) > 0)
        while (wait := taker.take([limit], now)) > 0:
            now += wait
        given.append(now)
    size = max(round(rate.recipients), 1)
    window = min(given[last] - given[last - size] for last in range(size, len(given)))
    assert window >= size / rate.recipients * rate.per_s - 1e-5
    if latest_s <= LATE_S:
        assert 1100 / (given[-1] - NOW) >= 0.97 * rate.per_second


def test_rate_after_a_pause_gives_no_burst() -> None:
    file = a_file()
    limit = a_rate(file)
    permits_until([limit], file, NOW + 1)
    assert len(permits_until([limit], file, NOW + 100.95, NOW + 100)) == 10


def test_two_rates_keep_the_tighter() -> None:
    file = a_file()
    assert len(permits_until([a_rate(file, 100), a_rate(file, 60, 60)], file, NOW + 9.99)) == 10


def test_two_processes_share_a_rate_and_a_restart_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    path, given = tmp_path / "x", list[float]()
    for number in range(40):
        # Each is a process of its own, opened for a single message.
        file = a_file(path)
        limit = a_rate(file, 14)
        now = (given or [NOW])[-1]
        while (wait := Limits(file).take([limit], now)) > 0:
            now += wait
        given.append(now)
        if number % 2:
            file.close()
    assert most_in(1, given) <= 14
    assert given[-1] - NOW == pytest.approx(39 * 1.02 / 14, abs=0.05)


def test_rates_of_one_unit_share_their_permits_and_each_keeps_its_own(tmp_path: Path) -> None:
    one, two = a_file(tmp_path / "x"), a_file(tmp_path / "x")
    fast, slow = a_rate(one, 14), a_rate(two, 2)
    assert Limits(two).take([slow], NOW) == 0
    assert 0.06 < Limits(one).take([fast], NOW) < 0.08


@pytest.mark.parametrize("next_s", [NOW + 9e9, float("inf"), float("nan"), -float("inf"), NOW - 5e8])
def test_next_permit_that_cannot_be_costs_one_interval_at_most(next_s: float) -> None:
    file = a_file()
    limit = a_rate(file)
    file.write(limit._place.offset, SLOT.pack(limit._place.key, next_s, 0, 0, 0, 0))
    wait = Limits(file).take([limit], NOW)
    assert wait <= 0.102 + 1e-6
    assert wait == 0 or Limits(file).take([limit], NOW + wait + 0.001) == 0


def test_clock_put_back_costs_one_interval() -> None:
    file = a_file()
    limit = a_rate(file)
    Limits(file).take([limit], NOW)
    assert Limits(file).wait_s([limit], NOW - 5000) == pytest.approx(0.102)


def test_slots_that_another_process_has_lost_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    file = a_file(path)
    limits: list[Limit] = [
        a_rate(file),
        DayLimit(file, "cap", 5, "daily cap"),
        RollingLimit(file, "provider", 5, "quota"),
    ]
    assert Limits(file).take(limits, NOW) == 0
    os.truncate(path, 0)
    os.truncate(path, SIZE)
    assert Limits(file).take(limits, NOW) > 0
    for number in range(1, 5):
        assert Limits(file).take(limits, NOW + number) == 0
    assert Limits(file).take(limits, NOW + 6) > 1000


def test_rate_in_a_file_that_was_damaged_waits_one_interval(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"damage")
    file = a_file(tmp_path / "x")
    limit = a_rate(file)
    assert Limits(file).take([limit], NOW) == pytest.approx(0.102)


def test_nothing_is_taken_while_another_process_has_the_lock(tmp_path: Path) -> None:
    one, two = a_file(tmp_path / "x"), a_file(tmp_path / "x")
    limit = DayLimit(two, "cap", 5, "daily cap")
    assert one.lock()
    assert Limits(two).take([limit], NOW) == LOCKED_S
    Limits(two).give_back([limit], NOW)
    one.unlock()
    assert [Limits(two).take([limit], NOW) for _ in range(5)] == [0] * 5


def test_day_is_counted_over_restarts_until_midnight(tmp_path: Path) -> None:
    for _ in range(3):
        file = a_file(tmp_path / "x")
        assert Limits(file).take([DayLimit(file, "cap", 3, "daily cap")], NOW) == 0
        file.close()
    file = a_file(tmp_path / "x")
    limit = DayLimit(file, "cap", 3, "daily cap")
    assert Limits(file).take([limit], NOW) == 43_200
    assert Limits(file).wait_s([limit], NOW + 43_000) == 200
    assert Limits(file).take([limit], NOW + 43_200) == 0
    assert Limits(file).take([DayLimit(file, "cap", 9, "more")], NOW + 43_200) == 0


def test_day_counts_a_recipient_once_where_its_permit_is_given_back() -> None:
    file = a_file()
    limit = DayLimit(file, "cap", 1, "daily cap")
    Limits(file).give_back([limit], NOW)
    for _ in range(3):
        assert Limits(file).take([limit], NOW) == 0
        assert Limits(file).take([limit], NOW) > 0
        Limits(file).give_back([limit, a_rate(file)], NOW)
        assert Limits(file).wait_s([limit], NOW) <= 0


def test_day_under_a_clock_that_was_put_back_keeps_its_count() -> None:
    file = a_file()
    limit = DayLimit(file, "cap", 1, "daily cap")
    assert Limits(file).take([limit], NOW + 5 * DAY_S) == 0
    assert Limits(file).take([limit], NOW) > 0
    assert Limits(file).take([limit], NOW + 6 * DAY_S) == 0


def test_all_limits_are_taken_or_none() -> None:
    file = a_file()
    rate, day = a_rate(file), DayLimit(file, "cap", 2, "daily cap")
    assert Limits(file).take([rate, day], NOW) == 0
    assert Limits(file).take([rate, day], NOW) > 0
    assert Limits(file).take([day], NOW) == 0
    assert Limits(file).take([rate, day], NOW + 1) > 1000
    assert Limits(file).take([rate], NOW + 1) == 0


def warmed(file: LimitsFile, day: int) -> int:
    limit = WarmUpLimit(file, "account", Ramp((2, 4, 8)))
    sent = 0
    while sent < 20 and Limits(file).take([limit], NOW + day * DAY_S) == 0:
        sent += 1
    return sent


def test_warm_up_grows_with_each_day_on_which_something_is_sent(tmp_path: Path) -> None:
    sent = []
    for day in (0, 0, 1, 5, 6):
        file = a_file(tmp_path / "x")
        sent.append(warmed(file, day))
        file.close()
    assert [2, 0, 4, 8, 20] == sent


@pytest.mark.parametrize(("pause", "cap"), [(30, 20), (31, 4), (60, 2), (400, 2)])
def test_warm_up_goes_back_after_a_long_pause(pause: int, cap: int) -> None:
    file = a_file()
    for day in (0, 1, 2):
        warmed(file, day)
    assert warmed(file, 2 + pause) == cap


def test_warm_up_tells_its_day() -> None:
    file = a_file()
    limit = WarmUpLimit(file, "account", Ramp((2, 4)))
    words = []
    for day in range(3):
        Limits(file).take([limit], NOW + day * DAY_S)
        words.append((limit.words, limit.cap > 100))
    assert [("warm-up, day 1 of 2", False), ("warm-up, day 2 of 2", False), ("warm-up, over", True)] == words


def test_rolling_day_frees_what_is_a_day_and_a_quarter_old(tmp_path: Path) -> None:
    file = a_file(tmp_path / "x")
    limit = RollingLimit(file, "provider", 3, "quota")
    assert [Limits(file).take([limit], NOW + hour * 3600) for hour in (0, 1, 2)] == [0, 0, 0]
    wait = Limits(file).take([limit], NOW + 3 * 3600)
    assert wait == 21 * 3600 + QUARTER_S
    again = a_file(tmp_path / "x")
    limit = RollingLimit(again, "provider", 3, "quota")
    Limits(again).look([limit], NOW + 3 * 3600)
    assert limit.wait_s(NOW + 3 * 3600) == wait
    assert Limits(again).take([limit], NOW + 3 * 3600 + wait) == 0
    assert Limits(again).take([limit], NOW + 3 * 3600 + wait) == 3600


def test_rolling_day_counts_a_recipient_once_where_its_permit_is_given_back() -> None:
    file = a_file()
    limit = RollingLimit(file, "provider", 1, "quota")
    Limits(file).give_back([limit], NOW)
    assert Limits(file).take([limit], NOW) == 0
    Limits(file).give_back([limit], NOW + 3600)
    assert Limits(file).take([limit], NOW + 3600) == 0
    assert Limits(file).take([limit], NOW + 3600) > 0


def test_rolling_day_after_a_long_pause_is_empty_and_after_a_clock_far_ahead_counts_from_now() -> None:
    file = a_file()
    limit = RollingLimit(file, "provider", 2, "quota")
    assert Limits(file).take([limit], NOW) == 0
    assert [Limits(file).take([limit], NOW + 90 * DAY_S) for _ in range(2)] == [0, 0]
    assert Limits(file).take([limit], NOW) == DAY_S + QUARTER_S
    assert RING.unpack(file.read(limit._place.offset, RING.size))[0] == limit._place.key

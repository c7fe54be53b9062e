from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock

from mailblast.delivery.day_limits import DAY_S
from mailblast.delivery.line import Lane
from mailblast.delivery.pace import LimitReachedError, Pace, PaceSettings, said_of, words_of
from mailblast.delivery.throttle import Rate
from mailblast.errors import ProviderError
from mailblast.model.reply import Reply, Stage

if TYPE_CHECKING:
    from pathlib import Path

FAST = Reply(450, "4.2.1", "too fast", Stage.RCPT)
#: 2023-11-14, six in the morning UTC.
MORNING = 19_675 * DAY_S + 21_600.0


def a_pace(clock: FakeClock | None = None, **settings: Any) -> Pace:
    return Pace(PaceSettings(**settings), clock or FakeClock(MORNING))


def taken(pace: Pace, most: int = 1000) -> int:
    count = 0
    while count < most and pace.take(pace.general()):
        count += 1
    return count


def test_no_limit_opens_nothing(tmp_path: Path) -> None:
    pace = a_pace(file=tmp_path / "x")
    assert ((), (), None, "", False) == (
        pace.general(),
        pace.of_domain("x.test"),
        pace.per_second,
        pace.trouble,
        pace.damaged,
    )
    pace.give_back()
    assert pace.day_is_over() is None
    pace.close()
    assert not (tmp_path / "x").exists()


def test_tightest_of_all_is_told() -> None:
    pace = a_pace(rates=(Rate(14, 1), Rate(60, 60), Rate(9, 1)))
    assert pace.per_second == 1
    assert {"rate 9/s", "rate 60/min"} == {limit.words for limit in pace.general()}


def test_daily_cap_is_kept_over_restarts_and_tells_when_to_go_on(tmp_path: Path) -> None:
    clock = FakeClock(MORNING)
    for sent in (7, 3, 0):
        pace = a_pace(clock, daily_cap=10, file=tmp_path / "x")
        assert pace.day_is_over() is None
        assert taken(pace, 7) == sent
        pace.close()
    over = pace.day_is_over()
    assert isinstance(over, LimitReachedError)
    assert isinstance(over, ProviderError)
    assert "Daily cap: all 10 are used up. Run the same command again from 2023-11-15 00:00 UTC on" in str(over)
    pace = a_pace(clock, daily_cap=10, file=tmp_path / "x")
    clock.advance(18 * 3600 - 30)
    assert taken(pace) == 0
    # Midnight is near: it is waited for.
    assert pace.day_is_over() is None
    clock.advance(31)
    assert taken(pace) == 10


@pytest.mark.parametrize(
    ("settings", "words", "sent"),
    [
        ({"daily_cap": 5, "ramp": (3, 9)}, "Warm-up, day 1 of 2: all 3", 3),
        ({"daily_cap": 2, "ramp": (3, 9)}, "Daily cap: all 2", 2),
        ({"daily_cap": 5, "per_day": 4}, "The provider's limit for 24 hours: all 4", 4),
    ],
)
def test_smallest_of_the_day_decides(settings: dict[str, Any], words: str, sent: int) -> None:
    pace = a_pace(**settings)
    assert taken(pace) == sent
    assert words in str(pace.day_is_over())


def test_provider_that_tells_what_is_left_is_heard_and_further_processes_count_alike() -> None:
    pace = a_pace(per_day=10, left_today=3)
    assert taken(pace, 1) == 1
    assert (3, None) == (pace.resolved().per_day, pace.resolved().left_today)
    assert taken(pace) == 2
    assert a_pace().resolved().per_day is None


def test_permit_that_is_given_back_may_be_taken_again() -> None:
    pace = a_pace(daily_cap=1)
    assert taken(pace) == 1
    pace.give_back()
    assert taken(pace) == 1


def test_trouble_with_the_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert a_pace(daily_cap=1, file=tmp_path / "file" / "x").trouble
    assert not a_pace(daily_cap=1).trouble
    (tmp_path / "damage").write_text("damage")
    assert a_pace(daily_cap=1, file=tmp_path / "damage").damaged
    assert not a_pace(daily_cap=1, file=tmp_path / "sound").damaged


def test_domain_has_its_limit_and_a_slot_only_when_it_is_asked_for() -> None:
    pace = a_pace(domain_rates={"gmail.com": Rate(20, 1)})
    (limit,) = pace.of_domain("gmail.com")
    assert pace.of_domain("gmail.com") == (limit,)
    assert limit.words == "gmail.com 20/s"
    assert pace.of_domain("x.test") == ()


def test_account_is_slowed_from_its_limit_or_from_what_was_reached() -> None:
    clock = FakeClock(MORNING)
    slow = a_pace(clock, rates=(Rate(14, 1),)).slow_account(FAST, None, 500)
    assert slow.rate(clock.time_s) == 7
    pace = a_pace(clock)
    for second in range(1, 41):
        clock.advance(1)
        pace.measure(second * 100)
    slow = pace.slow_account(FAST, None, 4000)
    assert slow.rate(clock.time_s) == pytest.approx(50)
    pace.recover()
    assert pace.account is slow
    clock.advance(3600)
    for _ in range(2):
        pace.recover()
        assert a_pace(clock).account is pace.account


def test_domain_is_slowed_from_its_share_of_what_was_reached() -> None:
    clock = FakeClock(MORNING)
    pace = a_pace(clock, domain_rates={"gmail.com": Rate(20, 1)})
    clock.advance(10)
    for domain, share, rate in (("x.test", 0.5, 25), ("gmail.com", 0.5, 10), ("gmail.com", 0.1, 5), ("y.test", 0, 0.5)):
        lane: Lane[object] = Lane(domain, (), is_limited=False)
        slow = pace.slow_domain(lane, FAST, None, 1000, share)
        assert slow.rate(clock.time_s) == pytest.approx(rate)
        assert lane.slow is slow


def test_what_limits_is_told_in_words() -> None:
    clock = FakeClock(MORNING)
    pace = a_pace(clock, rates=(Rate(1, 1), Rate(5000, 3600)), domain_rates={"gmail.com": Rate(20, 1)})
    lane: Lane[object] = Lane("", pace.general(), is_limited=False)
    assert pace.limiting(None, []) == ""
    assert pace.limiting(lane, []) == ""
    assert pace.take(pace.general())
    assert pace.limiting(lane, []) == "rate 1/s"
    pace.slow_domain(lane, FAST, None, 0, 0.0)
    lane.domain = "x.test"
    assert pace.limiting(lane, [lane]) == "rate 1/s, x.test slowed: 450 4.2.1 too fast"
    pace.slow_account(None, None, 0)
    assert pace.limiting(None, []) == "slowed by the provider: no reason given"


def test_words() -> None:
    assert ["14/s", "0.5/min", "5000/h", "20000/day", "3/7 s"] == [
        words_of(rate) for rate in (Rate(14, 1), Rate(0.5, 60), Rate(5000, 3600), Rate(20000, 86400), Rate(3, 7))
    ]
    assert len(said_of(FAST._replace(text="x" * 500))) == 120
    assert said_of(Reply(429, "", "slow", Stage.REQUEST)) == "429 slow"


def test_quota_is_that_of_the_limit_that_is_nearest(tmp_path: Path) -> None:
    assert a_pace().quota() is None
    pace = a_pace(daily_cap=10, per_day=1_000, file=tmp_path / "x")
    pace.general()
    assert (0, 10) == pace.quota()
    assert taken(pace, 7) == 7
    assert (7, 10) == pace.quota()
    other = a_pace(per_day=8, file=tmp_path / "x")
    other.general()
    assert (7, 8) == other.quota()

from __future__ import annotations

import random

import pytest

from mailblast.delivery.throttle import SLACK_S, Rate, Throttle, parse_rate
from mailblast.errors import UsageError


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("14/s", 14),
        ("14 / s", 14),
        ("600/min", 10),
        ("600/m", 10),
        ("7200/h", 2),
        ("86400/day", 1),
        ("43200/d", 0.5),
        ("0.5/s", 0.5),
        ("3/Second", 3),
    ],
)
def test_rate_with_unit_is_read(text: str, per_second: float) -> None:
    rate = parse_rate(text)
    assert rate is not None
    assert per_second == pytest.approx(rate.per_second)


def test_rate_none_is_no_limit() -> None:
    assert parse_rate("None") is None


@pytest.mark.parametrize(
    "text", ["", "14", "14/", "/s", "0/s", "-1/s", "14/fortnight", "inf/s", "1e3/s", "nan/s", "٣/s"]
)
def test_rate_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a rate"):
        parse_rate(text)


def permits_until(throttle: Throttle, end_s: float, start_s: float = 0.0) -> list[float]:
    now, given = start_s, []
    while now < end_s:
        delay = throttle.delay_s(now)
        if delay > 0:
            now += delay
            continue
        throttle.take(now)
        given.append(now)
    return given


def test_throttle_without_limits_never_delays() -> None:
    throttle = Throttle()
    throttle.take(5.0)
    assert throttle.delay_s(5.0) <= 0
    assert throttle.per_second is None


@pytest.mark.parametrize("per_second", [1, 5, 14, 200])
def test_throttle_no_window_holds_more_than_its_rate(per_second: int) -> None:
    given = permits_until(Throttle((Rate(per_second, 1),)), 20.0)
    worst = max(sum(1 for moment in given if start <= moment < start + 1 - 1e-9) for start in given)
    assert worst <= per_second
    assert len(given) >= 20 * per_second * 0.97


def test_throttle_after_a_pause_gives_no_burst() -> None:
    throttle = Throttle((Rate(10, 1),))
    throttle.take(0.0)
    assert len(permits_until(throttle, 100.95, start_s=100.0)) == 10


def test_throttle_with_two_limits_keeps_the_tighter() -> None:
    throttle = Throttle((Rate(100, 1), Rate(60, 60)))
    assert throttle.per_second == 1
    assert len(permits_until(throttle, 9.99)) == 10


@pytest.mark.parametrize("rate", [Rate(14, 1), Rate(100, 1), Rate(1000, 1), Rate(5, 1), Rate(60, 60)])
@pytest.mark.parametrize("latest_s", [0.0, 0.002, 0.02])
def test_throttle_taken_late_keeps_windows_and_loses_little(rate: Rate, latest_s: float) -> None:
    throttle, chance = Throttle((rate,)), random.Random(1)
    now, given = 0.0, []
    for _ in range(3000):
        delay = throttle.delay_s(now)
        if delay > 0:
            now += delay + chance.random() * latest_s
        throttle.take(now)
        given.append(now)
    size = round(rate.recipients)
    window = min(given[last] - given[last - size] for last in range(size, len(given)))
    assert window >= rate.per_s - 1e-6
    if latest_s <= SLACK_S:
        assert 3000 / given[-1] >= 0.98 * rate.per_second

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from mailblast.costs.recommend import recommend
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.costs.volume import Period


@pytest.mark.parametrize(
    ("volume", "per", "approach"),
    [
        (99, "day", "directSMTP"),
        (100, "day", "queueSMTP"),
        (999, "day", "queueSMTP"),
        (1_000, "day", "ses"),
        (9_999, "day", "ses"),
        (10_000, "day", "sendgrid"),
        (2_999, "month", "directSMTP"),
        (3_000, "month", "queueSMTP"),
        (29_999, "month", "queueSMTP"),
        (30_000, "month", "ses"),
        (299_999, "month", "ses"),
        (300_000, "month", "sendgrid"),
    ],
)
def test_recommend_follows_the_thresholds_per_day(volume: int, per: Period, approach: str) -> None:
    advice = recommend(volume, per)
    assert (volume, per, approach) == (advice.volume, advice.per, advice.approach)


@pytest.mark.parametrize(
    ("volume", "monthly_cost", "cheapest", "cheapest_cost"),
    [
        (50, "2150", "sendgrid", "315.21"),  # 1,500 a month: 15 + 1,400 x 0.00015 + 300
        (5_000, "515", "sendgrid", "337.485"),  # 150,000 a month
        (10_000, "359.985", "sendgrid", "359.985"),  # 300,000 a month
        (123_343, "870.0285", "sendgrid", "870.0285"),  # 3,700,290 a month: a hair below ses at 870.029
        (123_344, "870.033", "ses", "870.032"),  # 3,700,320 a month
        (1_000_000, "4814.985", "directSMTP", "2150"),  # 30,000,000 a month; the queue costs the same
    ],
)
def test_recommend_prices_its_choice_and_names_the_cheapest(
    volume: int, monthly_cost: str, cheapest: str, cheapest_cost: str
) -> None:
    advice = recommend(volume)
    assert Decimal(monthly_cost) == advice.monthly_cost
    assert (cheapest, Decimal(cheapest_cost)) == advice.cheapest


@pytest.mark.parametrize(
    ("volume", "rate_per_s", "duration_s"),
    [(50, 5, 10), (500, 5, 100), (7_000, 14, 500), (20_000, 1_000, 20)],
)
def test_recommend_tells_how_long_one_run_takes(volume: int, rate_per_s: int, duration_s: float) -> None:
    advice = recommend(volume)
    assert (rate_per_s, duration_s) == (advice.rate_per_s, advice.duration_s)


def test_recommend_warns_of_a_run_that_takes_more_than_a_day() -> None:
    assert not any("more than a day" in limit for limit in recommend(86_400_000).limits)
    assert any("more than a day" in limit for limit in recommend(86_400_001).limits)


@pytest.mark.parametrize(
    ("volume", "options", "host"),
    [
        (50, "--via smtp", "SMTP_HOST,"),
        (500, "--via smtp --retry-for 1h", "SMTP_HOST,"),
        (5_000, "--via smtp --rate 14/s", "amazonaws.com"),
        (50_000, "--via smtp --rate 1000/s --connections 20", "smtp.sendgrid.net"),
    ],
)
def test_recommend_names_the_next_command_and_the_host_it_needs(volume: int, options: str, host: str) -> None:
    advice = recommend(volume)
    assert f"mailblast bulk list.csv --template welcome.html {options}" == advice.command
    assert any(host in step for step in advice.setup)


@pytest.mark.parametrize("volume", [1, 100, 1_000, 10_000])
def test_recommend_always_asks_for_authentication(volume: int) -> None:
    advice = recommend(volume)
    for name in ("SPF", "DKIM", "DMARC"):
        assert any(step.startswith(name) for step in advice.setup)
    assert advice.why
    assert advice.limits


@pytest.mark.parametrize(
    ("volume", "per", "asked"),
    [(4_999, "day", False), (5_000, "day", True), (149_999, "month", False), (150_000, "month", True)],
)
def test_recommend_asks_for_one_click_unsubscribe_from_5000_a_day(volume: int, per: Period, *, asked: bool) -> None:
    assert asked is any("one-click" in step for step in recommend(volume, per).setup)


@pytest.mark.parametrize("volume", [0, -7])
def test_recommend_without_a_volume_is_an_error(volume: int) -> None:
    with pytest.raises(UsageError, match="has no cost"):
        recommend(volume)


def test_recommend_as_json_has_the_shape_users_rely_on() -> None:
    document = json.loads(json.dumps(recommend(5_000).to_json()))
    assert {
        "volume": 5_000,
        "per": "day",
        "approach": "ses",
        "monthly_cost": 515.0,
        "cheapest": {"approach": "sendgrid", "monthly": 337.49},
        "command": "mailblast bulk list.csv --template welcome.html --via smtp --rate 14/s",
        "rate_per_s": 14,
        "duration_s": 357.1,
        "price_list": "guide",
        "price_date": None,
    }.items() <= document.items()
    assert all(isinstance(each, str) for name in ("why", "limits", "setup") for each in document[name])

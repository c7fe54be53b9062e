from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from mailblast.costs.estimate import estimate
from mailblast.costs.hidden import no_hidden_costs
from mailblast.costs.offers import Question
from mailblast.costs.price_file import load_prices, parse_prices
from mailblast.costs.recommend import recommend, warm_up_days
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.costs.volume import Period

UNSUBSCRIBE = "--unsubscribe 'https://example.com/unsubscribe?t={{ token }}'"


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
    assert (cheapest, Decimal(cheapest_cost)) == (advice.cheapest.cost.approach, advice.cheapest.cost.monthly)


@pytest.mark.parametrize(
    ("volume", "rate_per_s", "duration_s"),
    [(50, 5, 10), (500, 5, 100), (7_000, 14, 500), (20_000, 1_000, 20)],
)
def test_recommend_tells_how_long_one_run_takes(volume: int, rate_per_s: int, duration_s: float) -> None:
    advice = recommend(volume)
    assert (Decimal(rate_per_s), duration_s) == (advice.rate_per_s, advice.duration_s)


def test_recommend_warns_of_a_run_that_takes_more_than_a_day() -> None:
    assert not any("more than a day" in limit for limit in recommend(86_400_000).limits)
    assert any("more than a day" in limit for limit in recommend(86_400_001).limits)


@pytest.mark.parametrize(
    ("volume", "words", "needed"),
    [
        (50, "--via smtp", "SMTP_HOST,"),
        (500, "--via smtp --queue", "SMTP_HOST,"),
        (4_999, "--via ses", "AWS_REGION"),
        (5_000, f"--via ses {UNSUBSCRIBE}", "AWS_REGION"),
        (50_000, f"--via sendgrid --queue {UNSUBSCRIBE}", "SENDGRID_API_KEY"),
    ],
)
def test_recommend_names_the_next_commands_and_what_they_need(volume: int, words: str, needed: str) -> None:
    advice = recommend(volume)
    assert f"mailblast bulk list.csv --template welcome.html {words}" == advice.command
    assert any(needed in step for step in advice.setup)
    assert advice.command in advice.commands
    assert advice.commands[0].startswith("mailblast verify list.csv ")
    assert ("--queue" in words) is ("mailblast worker" in advice.commands)
    assert any("--dry-run" in each and "--queue" not in each for each in advice.commands)


@pytest.mark.parametrize(
    ("source", "word"),
    [("my list.csv", "'my list.csv'"), ("-v.csv", "./-v.csv"), ("-", "-"), ("a;b.csv", "'a;b.csv'")],
)
def test_recommend_names_the_list_so_that_a_shell_takes_it(source: str, word: str) -> None:
    assert recommend(5, list_source=source).command.startswith(f"mailblast bulk {word} --template ")


@pytest.mark.parametrize(
    ("messages_a_day", "days"), [(1, 0), (50, 0), (51, 1), (100, 1), (101, 2), (5_000, 7), (6_400, 7), (6_401, 8)]
)
def test_warm_up_doubles_from_fifty_a_day(messages_a_day: int, days: int) -> None:
    assert days == warm_up_days(messages_a_day) == recommend(messages_a_day).warm_up_days
    assert (days > 0) is any("--warm-up" in step for step in recommend(messages_a_day).setup)


def test_recommend_tells_how_many_days_a_mailbox_takes() -> None:
    days = {(each.provider, each.plan): each.days for each in recommend(1_001).mailboxes}
    assert days[("Gmail", "personal")] == 3
    assert days[("Microsoft 365", "one mailbox")] == 1


def test_recommend_on_todays_prices_keeps_the_thresholds_and_names_what_is_cheapest() -> None:
    question = Question(10_000, "day")
    priced = estimate(load_prices(), question, no_hidden_costs(), dt.date(2026, 11, 25))
    advice = recommend(10_000, estimate=priced, prices=load_prices())
    assert advice.approach == "sendgrid"
    # 300,000 a month: Essentials 100K and 200,000 more at 0.90 are cheaper than Pro 300K.
    assert Decimal("214.95") == advice.monthly_cost
    assert ("ses", Decimal(30)) == (advice.cheapest.cost.approach, advice.cheapest.cost.monthly)
    assert advice.to_json()["notices"]


def test_recommend_by_a_price_file_without_the_approach_knows_no_cost() -> None:
    text = """date = 2026-11-24
currency = "USD"
[[provider]]
approach = "acme"
name = "Acme"
kind = "service"
source = "https://acme.example"
date = 2026-11-24
trust = "high"
[[provider.plan]]
plan = "Basic"
fixed = 9
tiers = [{ per_1000 = 1 }]
"""
    prices = parse_prices(text.encode(), "mine.toml")
    priced = estimate(prices, Question(50, "day"), no_hidden_costs(), dt.date(2026, 11, 25))
    advice = recommend(50, estimate=priced, prices=prices)
    assert (advice.approach, advice.monthly_cost, advice.mailboxes) == ("directSMTP", None, ())
    assert advice.to_json()["monthly_cost"] is None
    assert advice.rate_per_s == 5
    assert advice.cheapest.name == "Acme"


@pytest.mark.parametrize("volume", [1, 100, 1_000, 10_000])
def test_recommend_always_asks_for_authentication(volume: int) -> None:
    advice = recommend(volume)
    for name in ("SPF", "DKIM", "DMARC"):
        assert any(step.startswith(name) for step in advice.setup)
    assert advice.why


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
        "cheapest": {
            "approach": "sendgrid",
            "provider": "sendgrid",
            "plan": None,
            "monthly": 337.49,
            "days": 1,
        },
        "command": f"mailblast bulk list.csv --template welcome.html --via ses {UNSUBSCRIBE}",
        "rate_per_s": 14.0,
        "warm_up_days": 7,
        "hidden_costs": "guide",
        "duration_s": 357.1,
        "price_list": "guide",
        "price_date": None,
    }.items() <= document.items()
    assert all(isinstance(each, str) for name in ("why", "limits", "setup", "commands") for each in document[name])

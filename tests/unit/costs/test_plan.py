"""Plans, each figure worked out by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from mailblast.costs.plan import Limits, Line, Plan, Tier


def a_plan(**fields: object) -> Plan:
    values: dict[str, object] = {
        "approach": "acme",
        "provider": "Acme",
        "plan": "Basic",
        "kind": "service",
        "fixed": Decimal(0),
        "included": 0,
        "tiers": (),
        "block": 1,
        "attachments_per_gb": Decimal(0),
        "limits": Limits(),
        "at_first": Limits(),
        "account_plan": "",
        "trial_days": None,
        "source": "acme.example",
        "date": "2026-11-24",
        "trust": "high",
        "note": "",
    }
    return Plan(**{**values, **fields})  # type: ignore[arg-type]  # any field may be given


FLAT = (Tier(None, Decimal("0.10")),)
STEPS = (Tier(10_000_000, Decimal("0.16")), Tier(100_000_000, Decimal("0.14")), Tier(None, Decimal("0.11")))


@pytest.mark.parametrize(
    ("fields", "messages", "variable"),
    [
        ({"tiers": FLAT}, 1, "0.0001"),
        ({"tiers": FLAT}, 10_000, "1"),
        ({"tiers": STEPS}, 10_000_000, "1600"),
        ({"tiers": STEPS}, 10_000_001, "1600.00014"),
        ({"tiers": STEPS}, 100_000_000, "14200"),
        ({"tiers": STEPS}, 200_000_000, "25200"),
        ({"included": 50_000, "tiers": FLAT}, 1, "0"),
        ({"included": 50_000, "tiers": FLAT}, 50_000, "0"),
        ({"included": 50_000, "tiers": FLAT}, 50_001, "0.0001"),
        ({"included": 50_000, "tiers": FLAT, "block": 1_000}, 50_001, "0.1"),
        ({"included": 50_000, "tiers": FLAT, "block": 1_000}, 51_000, "0.1"),
        ({"included": 50_000, "tiers": FLAT, "block": 1_000}, 51_001, "0.2"),
        ({"included": 50_000}, 50_000, "0"),
    ],
)
def test_plan_variable_counts_what_is_beyond_the_included(
    fields: dict[str, object], messages: int, variable: str
) -> None:
    assert Decimal(variable) == a_plan(**fields).variable(messages)


def test_plan_variable_counts_attachments_by_the_gigabyte() -> None:
    plan = a_plan(tiers=FLAT, attachments_per_gb=Decimal("0.12"))
    # 1,000 messages of 2 MB: 2 GB at 0.12, and 0.10 for the messages.
    assert Decimal("0.34") == plan.variable(1_000, 2_000_000)


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        (Limits(), None),
        (Limits(rate_per_s=Decimal(1)), None),
        (Limits(per_month=1_000), 1_000),
        (Limits(per_day=500), 15_000),
        (Limits(per_hour=100), 72_000),
        (Limits(per_minute=30), 1_296_000),
        (Limits(per_month=10_000, per_day=500, per_minute=30), 10_000),
    ],
)
def test_limits_most_a_month_is_the_tightest_cap(limits: Limits, most: int | None) -> None:
    assert most == limits.most_a_month()


@pytest.mark.parametrize(
    ("fields", "messages", "reason"),
    [
        ({"tiers": FLAT}, 10**12, ""),
        ({"included": 3_000}, 3_000, ""),
        ({"included": 3_000}, 3_001, "takes 3,000 a month"),
        ({"tiers": FLAT, "limits": Limits(per_day=500)}, 15_000, ""),
        ({"tiers": FLAT, "limits": Limits(per_day=500)}, 15_001, "takes 500 a day"),
        (
            {"tiers": FLAT, "limits": Limits(per_day=10_000, per_minute=30, connections=3, rate_per_s=Decimal(1))},
            300_001,
            "takes 10,000 a day and 30 a minute",
        ),
        ({"tiers": FLAT, "trial_days": 60}, 1, "a trial that ends after 60 days"),
    ],
)
def test_plan_refusal_says_which_cap_makes_a_volume_impossible(
    fields: dict[str, object], messages: int, reason: str
) -> None:
    assert reason == a_plan(**fields).refusal(messages)


def test_plan_refusal_counts_attachments_as_they_are_encoded() -> None:
    plan = a_plan(tiers=FLAT, limits=Limits(message_mb=30))
    assert plan.refusal(1, 21_900_000) == ""
    assert plan.refusal(1, 22_000_000) == "takes 30 MB a message, and this is 30.1 MB encoded"


@pytest.mark.parametrize(
    ("limits", "messages", "seconds"),
    [
        (Limits(), 50, 10.0),
        (Limits(rate_per_s=Decimal(14)), 7_000, 500.0),
        (Limits(per_minute=30), 60, 120.0),
        (Limits(per_hour=100), 100, 3_600.0),
        (Limits(per_day=500), 500, 100.0),
        (Limits(per_day=500), 501, 86_400.2),
        (Limits(per_day=500), 1_000, 86_500.0),
        # A day holds 43,200 of these, fewer than the cap.
        (Limits(per_day=50_000, per_minute=30), 43_260, 86_520.0),
    ],
)
def test_limits_duration_waits_for_the_next_day(limits: Limits, messages: int, seconds: float) -> None:
    assert seconds == pytest.approx(limits.duration_s(messages, Decimal(5)))


def test_limits_words_name_what_is_set() -> None:
    limits = Limits(1, 2_000, 3, 4, Decimal("0.50"), 30, 5)
    expected = (
        "1 a month",
        "2,000 a day",
        "3 an hour",
        "4 a minute",
        "0.5 a second",
        "5 connections",
        "30 MB a message",
    )
    assert expected == limits.words()
    assert limits.to_json()["rate_per_s"] == 0.5
    assert Limits().words() == ()
    assert Limits(per_day=5).to_json() == {"per_day": 5}


@pytest.mark.parametrize(
    ("fields", "lines"),
    [
        ({"tiers": FLAT}, [Line(1, None, Decimal("0.0001"), Decimal("0.0001"))]),
        ({"fixed": Decimal(9)}, [Line(1, None, Decimal(9), Decimal(0))]),
        ({"fixed": Decimal(9), "included": 100}, [Line(1, 100, Decimal(9), Decimal(0))]),
        (
            {"fixed": Decimal(9), "included": 100, "tiers": FLAT},
            [Line(1, 100, Decimal(9), Decimal(0)), Line(101, None, Decimal("9.0001"), Decimal("0.0001"))],
        ),
        (
            {"included": 100, "tiers": FLAT, "limits": Limits(per_day=2)},
            [Line(1, 60, Decimal(0), Decimal(0))],
        ),
        ({"tiers": FLAT, "trial_days": 9}, []),
    ],
)
def test_plan_lines_are_the_price_in_straight_pieces(fields: dict[str, object], lines: list[Line]) -> None:
    assert lines == list(a_plan(**fields).lines())


@pytest.mark.parametrize("messages", [1, 99, 100, 101, 5_000, 10_000_100, 10_000_101, 99_999_999, 300_000_000])
def test_plan_lines_say_what_the_plan_says(messages: int) -> None:
    plan = a_plan(fixed=Decimal(5), included=100, tiers=STEPS, attachments_per_gb=Decimal("0.12"))
    (line,) = [each for each in plan.lines(500) if each.first <= messages and (each.last or 10**12) >= messages]
    assert plan.fixed + plan.variable(messages, 500) == line.at(messages)

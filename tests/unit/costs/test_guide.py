"""The guide's prices, each figure worked out by hand from its formula."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from mailblast.costs.guide import APPROACHES, guide_analysis, guide_cost, guide_recommendation
from mailblast.errors import UsageError

# volume, variable, monthly, monthly as JSON, per_email as JSON
OWN_SERVER = [
    (1, "0", "2150", 2150.0, 2150.0),
    (50, "0", "2150", 2150.0, 43.0),
    (100, "0", "2150", 2150.0, 21.5),
    (1_000, "0", "2150", 2150.0, 2.15),
    (5_000, "0", "2150", 2150.0, 0.43),
    (50_000, "0", "2150", 2150.0, 0.043),
    (1_234_567, "0", "2150", 2150.0, 0.001742),
]
SES = [
    (1, "0.0001", "500.0001", 500.0, 500.0001),
    (50, "0.005", "500.005", 500.01, 10.0001),
    (100, "0.01", "500.01", 500.01, 5.0001),
    (1_000, "0.10", "500.10", 500.1, 0.5001),
    (5_000, "0.50", "500.50", 500.5, 0.1001),
    (50_000, "5", "505", 505.0, 0.0101),
    (1_234_567, "123.4567", "623.4567", 623.46, 0.000505),
]
SENDGRID = [
    (1, "0", "315", 315.0, 315.0),
    (50, "0", "315", 315.0, 6.3),
    (100, "0", "315", 315.0, 3.15),
    (101, "0.00015", "315.00015", 315.0, 3.118813),
    (1_000, "0.135", "315.135", 315.14, 0.315135),
    (5_000, "0.735", "315.735", 315.74, 0.063147),
    (50_000, "7.485", "322.485", 322.49, 0.00645),
    (1_234_567, "185.17005", "500.17005", 500.17, 0.000405),
]
TABLE = [
    *(("directSMTP", *row) for row in OWN_SERVER),
    *(("queueSMTP", *row) for row in OWN_SERVER),
    *(("ses", *row) for row in SES),
    *(("sendgrid", *row) for row in SENDGRID),
]
OWN_SERVER_HIDDEN = {"server_maintenance": 50, "ip_reputation": 100, "development_time": 2000}


@pytest.mark.parametrize(("approach", "volume", "variable", "monthly", "shown", "shown_each"), TABLE)
def test_guide_cost_is_the_guides_to_the_cent(
    approach: str, volume: int, variable: str, monthly: str, shown: float, shown_each: float
) -> None:
    cost = guide_cost(volume, approach)
    assert (Decimal(variable), Decimal(monthly)) == (cost.variable, cost.monthly)
    assert Decimal(monthly) / volume == cost.per_email
    assert cost.fixed + cost.variable + sum(cost.hidden.values()) == cost.monthly
    as_json = cost.to_json()
    assert (shown, shown_each) == (as_json["monthly"], as_json["per_email"])


@pytest.mark.parametrize(
    ("approach", "fixed", "hidden"),
    [
        ("directSMTP", 0, OWN_SERVER_HIDDEN),
        ("queueSMTP", 0, OWN_SERVER_HIDDEN),
        ("ses", 0, {"development_time": 500}),
        ("sendgrid", 15, {"development_time": 300}),
    ],
)
def test_guide_cost_breaks_down_into_fixed_and_hidden(approach: str, fixed: int, hidden: dict[str, int]) -> None:
    cost = guide_cost(1_000, approach)
    assert (approach, fixed) == (cost.approach, int(cost.fixed))
    assert hidden == {name: int(amount) for name, amount in cost.hidden.items()}


def test_guide_cost_of_a_queue_says_whose_prices_it_uses() -> None:
    assert "directSMTP" in guide_cost(1, "queueSMTP").note
    assert [guide_cost(1, approach).note for approach in ("directSMTP", "ses", "sendgrid")] == [""] * 3


@pytest.mark.parametrize("volume", [0, -1, -1_000_000])
def test_guide_cost_without_a_volume_is_an_error(volume: int) -> None:
    with pytest.raises(UsageError, match="has no cost"):
        guide_cost(volume, "ses")
    with pytest.raises(UsageError, match="has no cost"):
        guide_analysis(volume)


@pytest.mark.parametrize(
    ("approach", "fix"),
    [
        ("sengrid", "Did you mean sendgrid?"),
        ("SES", "Did you mean ses?"),
        ("directsmtp", "Did you mean directSMTP?"),
        ("queue-smtp", "Did you mean queueSMTP?"),
        ("pigeon", "Known are directSMTP, queueSMTP, ses, sendgrid."),
        ("", "Known are directSMTP, queueSMTP, ses, sendgrid."),
        ("x" * 100_000, "Known are directSMTP, queueSMTP, ses, sendgrid."),
    ],
)
def test_guide_cost_of_an_unknown_approach_is_an_error_with_a_hint(approach: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        guide_cost(1, approach)
    assert fix == caught.value.fix
    assert len(caught.value.message) < 100


@pytest.mark.parametrize(
    ("volume_per_day", "approach"),
    [
        (0.03, "directSMTP"),
        (1, "directSMTP"),
        (99, "directSMTP"),
        (99.99, "directSMTP"),
        (100, "queueSMTP"),
        (999, "queueSMTP"),
        (999.99, "queueSMTP"),
        (1_000, "ses"),
        (9_999, "ses"),
        (9_999.99, "ses"),
        (10_000, "sendgrid"),
        (1e12, "sendgrid"),
    ],
)
def test_guide_recommendation_changes_at_each_threshold(volume_per_day: float, approach: str) -> None:
    assert approach == guide_recommendation(volume_per_day)


def test_guide_analysis_as_json_has_the_shape_users_rely_on() -> None:
    assert json.loads(json.dumps(guide_analysis(1_000, "month", "ses").to_json())) == {
        "volume": 1_000,
        "per": "month",
        "price_list": "guide",
        "price_date": None,
        "approaches": [
            {
                "approach": "ses",
                "fixed": 0.0,
                "variable": 0.1,
                "hidden": {"development_time": 500.0},
                "monthly": 500.1,
                "per_email": 0.5001,
                "note": "",
            }
        ],
    }


def test_guide_analysis_covers_every_approach() -> None:
    analysis = guide_analysis(7)
    assert tuple(cost.approach for cost in analysis.approaches) == APPROACHES
    assert (analysis.per, analysis.volume) == ("month", 7)


def test_guide_analysis_per_day_counts_thirty_days() -> None:
    analysis = guide_analysis(5_000, "day", "ses")
    assert (analysis.volume, analysis.per) == (5_000, "day")
    assert analysis.approaches[0].monthly == 515
    assert analysis.approaches[0].per_email == Decimal(515) / 150_000

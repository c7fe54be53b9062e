"""The worked examples of the price research, and what goes round them."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest

from mailblast.costs.estimate import estimate, guide_estimate, price_of_run
from mailblast.costs.guide import APPROACHES, guide_cost
from mailblast.costs.hidden import guide_hidden_costs, no_hidden_costs
from mailblast.costs.offers import Estimate, Question
from mailblast.costs.price_file import load_prices
from mailblast.errors import UsageError

TODAY = dt.date(2026, 11, 25)


def priced(volume: int, *, hidden: bool = False, **question: object) -> Estimate:
    costs = guide_hidden_costs() if hidden else no_hidden_costs()
    return estimate(load_prices(), Question(volume, **question), costs, TODAY)  # type: ignore[arg-type]  # by name


# approach, messages a month, plan taken, dollars a month
EXAMPLES = [
    ("ses", 10_000, "à la carte", "1.00"),
    ("ses", 100_000, "à la carte", "10"),
    ("ses", 1_000_000, "à la carte", "100"),
    ("sendgrid", 10_000, "Essentials 50K", "19.95"),
    ("sendgrid", 100_000, "Essentials 100K", "34.95"),
    ("sendgrid", 1_000_000, "Pro 700K", "739"),
    ("sendgrid", 1_500_000, "Pro 1.5M", "799"),
    ("sendgrid", 3_000_000, "Pro 2.5M", "1349"),
    ("postmark", 100, "Free", "0"),
    ("postmark", 101, "Basic", "15"),
    ("postmark", 10_000, "Basic", "15"),
    ("postmark", 100_000, "Platform", "126"),
    ("postmark", 1_000_000, "Platform", "1206"),
    ("resend", 3_000, "Free", "0"),
    ("resend", 10_000, "Pro", "20"),
    ("resend", 50_001, "Pro", "20.90"),
    ("resend", 51_415, "Pro", "21.80"),
    ("resend", 100_000, "Pro", "65"),
    ("resend", 1_000_000, "Scale 1M", "650"),
    ("azure", 10_000, "Communication Services", "2.50"),
    ("azure", 100_000, "Communication Services", "25"),
    ("azure", 1_000_000, "Communication Services", "250"),
    ("mailgun", 3_000, "Free", "0"),
    ("mailgun", 10_000, "Basic", "15"),
    ("mailgun", 50_000, "Foundation", "35"),
    ("smtp2go", 1_000, "Free", "0"),
    ("smtp2go", 10_000, "Starter", "10"),
    ("smtp2go", 1_000_000, "Professional", "840"),
    ("brevo", 9_000, "Free", "0"),
    ("brevo", 100_000, "Standard 100K", "129"),
    ("brevo", 200_000, "Prepaid", "550"),
    ("microsoft365", 300_000, "one mailbox", "0"),
    ("gmail", 15_000, "personal", "0"),
    ("gmail", 15_001, "Workspace", "0"),
    ("directSMTP", 1_000_000, "1 GB server", "6"),
    ("queueSMTP", 1, "1 GB server", "6"),
]


@pytest.mark.parametrize(("approach", "volume", "plan", "monthly"), EXAMPLES)
def test_estimate_takes_the_cheapest_plan_with_its_overage(approach: str, volume: int, plan: str, monthly: str) -> None:
    offer = priced(volume).offer(approach)
    assert offer is not None
    assert offer.plan is not None
    assert (plan, Decimal(monthly)) == (offer.plan.plan, offer.cost.monthly)
    assert offer.cost.fixed + offer.cost.variable == offer.cost.monthly == offer.price
    assert offer.cost.monthly / volume == offer.cost.per_email


@pytest.mark.parametrize(
    ("plan", "volume", "monthly"),
    [
        ("ESSENTIALS", 10_000, "1.60"),
        ("ESSENTIALS", 100_000, "16"),
        ("ESSENTIALS", 1_000_000, "160"),
        ("ESSENTIALS", 20_000_000, "3000"),
        ("ESSENTIALS", 200_000_000, "25200"),
        ("PRO", 1_000_000, "325"),
        ("ENTERPRISE", 20_000_000, "4600"),
        ("NONE", 1_000_000, "100"),
        # A plan that is new since: all are compared.
        ("TURBO", 1_000_000, "100"),
    ],
)
def test_estimate_of_ses_takes_the_accounts_plan(plan: str, volume: int, monthly: str) -> None:
    offer = priced(volume, approach="ses", ses_plan=plan).offer("ses")
    assert offer is not None
    assert Decimal(monthly) == offer.cost.monthly


def test_estimate_excludes_what_cannot_carry_the_volume_and_says_why() -> None:
    result = priced(400_000)
    assert {each.approach: each.reason for each in result.excluded} == {
        "microsoft365": "takes 10,000 a day and 30 a minute",
        "gmail": "takes 10,000 a day",
    }
    assert result.offer("gmail") is None
    with pytest.raises(UsageError, match=r"Gmail cannot carry 400,000 messages a month: takes 10,000 a day\."):
        priced(400_000, approach="gmail")


def test_estimate_counts_attachments_where_they_are_billed() -> None:
    with_files, without = priced(1_000, attachments_bytes=2_000_000), priced(1_000)
    # 2 GB at 0.12.
    for approach, more in (("ses", "0.24"), ("azure", "0.24"), ("resend", "0")):
        one, other = with_files.offer(approach), without.offer(approach)
        assert one is not None
        assert other is not None
        assert Decimal(more) == one.cost.monthly - other.cost.monthly or approach == "ses"
    # Essentials does not bill them, as far as is known, and is cheaper so: 0.16 for 1,000.
    offer = with_files.offer("ses")
    assert offer is not None
    assert Decimal("0.16") == offer.cost.monthly


def test_estimate_refuses_files_that_no_plan_takes() -> None:
    result = priced(1_000, attachments_bytes=25_000_000)
    assert {each.approach: each.reason.partition(" a message")[0] for each in result.excluded} == {
        "sendgrid": "takes 30 MB",
        "mailgun": "takes 25 MB",
        "brevo": "takes 20 MB",
        "postmark": "takes 10 MB",
        "azure": "takes 10 MB",
    }


def test_estimate_per_day_is_thirty_times_as_much() -> None:
    assert [each.cost for each in priced(300_000).offers] == [each.cost for each in priced(10_000, per="day").offers]


def test_estimate_puts_the_cheapest_first_and_compares_services_only() -> None:
    result = priced(50_000)
    monthly = [offer.cost.monthly for offer in result.offers]
    assert sorted(monthly) == monthly
    assert result.cheapest.cost.approach == "ses"
    assert result.offers[0].cost.approach == "microsoft365"
    # Nothing else is there to compare.
    assert priced(50_000, approach="gmail").cheapest.cost.approach == "gmail"


def test_estimate_keeps_hidden_costs_apart() -> None:
    result = priced(50_000, hidden=True)
    offer = result.offer("directSMTP")
    assert offer is not None
    assert (Decimal(6), Decimal(2156)) == (offer.price, offer.cost.monthly)
    assert sum(offer.cost.hidden.values()) == 2150
    assert result.cheapest.cost.approach == "azure"
    # With hidden costs counted, a server of one's own is compared as well.
    assert priced(50_000_000, hidden=True).cheapest.cost.approach == "directSMTP"
    assert priced(50_000_000).cheapest.cost.approach == "ses"


@pytest.mark.parametrize("hidden", [False, True])
def test_estimate_crossings_are_where_the_cheapest_changes(*, hidden: bool) -> None:
    crossings = priced(50_000, hidden=hidden).crossings
    assert crossings
    for each in crossings:
        before, after = (priced(volume, hidden=hidden).cheapest for volume in (each.volume - 1, each.volume))
        assert each.after == after.cost.approach
        assert each.before == before.cost.approach
        assert each.monthly == after.cost.monthly


def test_estimate_curves_give_the_cost_of_any_volume() -> None:
    curves = priced(50_000).curves
    assert curves["sendgrid"](1_000_000) == Decimal(739)
    assert curves["gmail"](300_001) is None


def test_estimate_points_out_old_prices_of_those_that_are_shown() -> None:
    (notice,) = priced(50_000).notices
    assert "Resend (2025-08-20)" in notice
    assert "Amazon SES" not in notice
    assert priced(50_000, approach="ses").notices == ()


def test_estimate_as_json_keeps_the_contract() -> None:
    document = json.loads(json.dumps(priced(50_000, hidden=True).to_json()))
    assert {
        "volume": 50_000,
        "per": "month",
        "price_list": "prices.toml",
        "price_date": "2026-11-24",
        "hidden_costs": "guide",
        "cheapest": {"approach": "azure", "plan": "Communication Services", "monthly": 312.5},
    }.items() <= document.items()
    for each in document["approaches"]:
        assert {"approach", "fixed", "variable", "hidden", "monthly", "per_email"} <= set(each)
        total = each["fixed"] + each["variable"] + sum(each["hidden"].values())
        assert each["monthly"] == pytest.approx(total, abs=0.011)
        assert each["source"].startswith("https://")


@pytest.mark.parametrize("volume", [0, -1])
def test_estimate_without_a_volume_is_an_error(volume: int) -> None:
    with pytest.raises(UsageError, match="has no cost"):
        priced(volume)
    with pytest.raises(UsageError, match="has no cost"):
        guide_estimate(Question(volume))


@pytest.mark.parametrize("volume", [1, 50, 100, 1_000, 5_000, 50_000, 1_234_567])
def test_guide_estimate_is_the_guides_to_the_cent(volume: int) -> None:
    result = guide_estimate(Question(volume))
    assert [guide_cost(volume, approach) for approach in APPROACHES] == [offer.cost for offer in result.offers]
    assert (result.hidden, result.price_list, result.price_date) == ("guide", "guide", None)
    assert all(result.curves[each.cost.approach](volume) == each.cost.monthly for each in result.offers)


def test_guide_estimate_with_other_hidden_costs() -> None:
    result = guide_estimate(Question(5_000), no_hidden_costs())
    offer = result.offer("sendgrid")
    assert offer is not None
    assert (Decimal("15.735"), {}) == (offer.cost.monthly, offer.cost.hidden)


def test_guide_estimate_crossings_follow_its_formulas() -> None:
    # 500 + 0.0001 v = 315 + 0.00015 (v - 100) at 3,700,300; 500 + 0.0001 v = 2,150 at 16,500,000.
    found = [(each.volume, each.before, each.after) for each in guide_estimate(Question(1)).crossings]
    assert [(3_700_301, "sendgrid", "ses"), (16_500_001, "ses", "directSMTP")] == found


def test_price_of_run_is_the_list_price_of_its_messages() -> None:
    provider = load_prices().provider("ses")
    offer = price_of_run(provider, 10_000)
    assert offer is not None
    assert Decimal(1) == offer.price
    assert price_of_run(load_prices().provider("gmail"), 10**6) is None

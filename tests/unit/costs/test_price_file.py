from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pytest

from mailblast.costs.price_file import MAX_BYTES, load_prices, parse_prices
from mailblast.errors import UsageError

PLAN = """
[[provider.plan]]
plan = "Basic"
fixed = 15
included = 10_000
overage_per_1000 = 1.80
"""
PROVIDER = """
[[provider]]
approach = "acme"
name = "Acme"
kind = "service"
hosts = ["smtp.*.acme.example"]
schemes = ["acme"]
source = "https://acme.example/pricing"
date = 2026-11-24
trust = "high"
"""
HEAD = 'date = 2026-11-24\ncurrency = "USD"\n'
WHOLE = HEAD + PROVIDER + PLAN


def test_price_file_reads_numbers_as_they_are_written() -> None:
    prices = parse_prices(WHOLE.encode(), "mine.toml")
    (provider,) = prices.providers
    (plan,) = provider.plans
    assert (prices.name, prices.date, prices.approaches) == ("mine.toml", "2026-11-24", ("acme",))
    assert (plan.fixed, plan.included, plan.tiers[0].per_1000) == (Decimal(15), 10_000, Decimal("1.80"))
    assert (plan.provider, plan.kind, plan.date, plan.trust) == ("Acme", "service", "2026-11-24", "high")
    assert prices == parse_prices(b"\xef\xbb\xbf" + WHOLE.encode(), "mine.toml")


def test_price_file_plan_has_its_own_date_before_the_providers() -> None:
    text = WHOLE + 'date = "2025-01-31"\ntrust = "low"\nlimits = { per_day = 5, sandbox = { rate_per_s = 0.5 } }\n'
    (plan,) = parse_prices(text.encode(), "mine.toml").providers[0].plans
    assert (plan.date, plan.trust) == ("2025-01-31", "low")
    assert (plan.limits.per_day, plan.at_first.rate_per_s) == (5, Decimal("0.5"))


def without(line: str) -> str:
    assert line in WHOLE
    return WHOLE.replace(line, "")


BROKEN = [
    ("", "prices.toml: 'date' is missing."),
    ('date = 2026-11-24\ncurrency = "USD"', "'provider' is missing"),
    (WHOLE.replace('"USD"', '"EUR"'), "'currency' is 'EUR'"),
    (WHOLE.replace('currency = "USD"', "currency = 5"), "'currency' is no text"),
    ("provider = 5\n" + HEAD, "'provider' is no list of tables"),
    (without("fixed = 15\n"), "prices.toml, provider 1 (Acme), plan 1 (Basic): 'fixed' is missing."),
    (without('name = "Acme"\n'), "prices.toml, provider 1: 'name' is missing."),
    (without('approach = "acme"\n'), "prices.toml, provider 1 (Acme): 'approach' is missing."),
    (without('plan = "Basic"\n'), "prices.toml, provider 1 (Acme), plan 1: 'plan' is missing."),
    (without('source = "https://acme.example/pricing"\n'), "plan 1 (Basic): 'source' is missing."),
    (without('trust = "high"\n'), "plan 1 (Basic): 'trust' is missing."),
    (WHOLE.replace("date = 2026-11-24\ntrust", "trust"), "plan 1 (Basic): 'date' is missing."),
    (WHOLE.replace("fixed = 15", "fixed = -15"), "plan 1 (Basic): 'fixed' is -15, which is negative."),
    (WHOLE.replace("fixed = 15", "fixed = -0.01"), "'fixed' is -0.01, which is negative."),
    (WHOLE.replace("fixed = 15", 'fixed = "15"'), "'fixed' is no number."),
    (WHOLE.replace("fixed = 15", "fixed = true"), "'fixed' is no number."),
    (WHOLE.replace("fixed = 15", "fixed = nan"), "'fixed' is beyond all reason."),
    (WHOLE.replace("fixed = 15", "fixed = inf"), "'fixed' is beyond all reason."),
    (WHOLE.replace("fixed = 15", "fixed = 1e999"), "'fixed' is beyond all reason."),
    (WHOLE.replace("10_000", "-1"), "'included' is -1."),
    (WHOLE.replace("10_000", "-" + "9" * 40), "'included' is far below zero."),
    (WHOLE.replace("10_000", "9" * 40), "'included' is beyond all reason."),
    (WHOLE.replace("10_000", "1.5"), "'included' is no whole number."),
    (WHOLE.replace("1.80", "-1.80"), "'overage_per_1000' is -1.80, which is negative."),
    (WHOLE + "block = 0", "'block' is 0."),
    (WHOLE + "blok = 5", "there is no field 'blok'. Did you mean 'block'?"),
    (WHOLE + "zzz = 5", "there is no field 'zzz'. Known are account_plan,"),
    (WHOLE + "trial_days = 0", "'trial_days' is 0."),
    (WHOLE + "limits = 5", "'limits' is no table."),
    (WHOLE + "limits = { per_day = 0 }", "plan 1 (Basic), limits: 'per_day' is 0."),
    (WHOLE + "limits = { rate_per_s = 0 }", "limits: 'rate_per_s' is 0."),
    (WHOLE + "limits = { sandbox = { per_day = -1 } }", "limits, sandbox: 'per_day' is -1."),
    (WHOLE + "limits = { per_dya = 1 }", "limits: there is no field 'per_dya'. Did you mean 'per_day'?"),
    (WHOLE + "tiers = [{ per_1000 = 1 }]", "both 'tiers' and 'overage_per_1000'."),
    (WHOLE.replace("overage_per_1000 = 1.80", "tiers = 5"), "'tiers' is no list of tables."),
    (WHOLE.replace("overage_per_1000 = 1.80", "tiers = []"), "'tiers' is no list of tables."),
    (WHOLE.replace("overage_per_1000 = 1.80", "tiers = [{ up_to = 5 }]"), "tier 1: 'per_1000' is missing."),
    (
        WHOLE.replace("overage_per_1000 = 1.80", "tiers = [{ up_to = 5, per_1000 = 1 }, { up_to = 5, per_1000 = 1 }]"),
        "tier 2: 'up_to' does not rise.",
    ),
    (
        WHOLE.replace("overage_per_1000 = 1.80", "tiers = [{ per_1000 = 1 }, { up_to = 5, per_1000 = 1 }]"),
        "tier 2: 'up_to' does not rise.",
    ),
    (WHOLE.replace('kind = "service"', 'kind = "pigeon"'), "'kind' is 'pigeon'."),
    (WHOLE.replace('name = "Acme"', 'name = ""'), "'name' is empty."),
    (WHOLE.replace('name = "Acme"', 'name = "A\\u001b[31m"'), "'name' is no text of one line."),
    (WHOLE.replace('hosts = ["smtp.*.acme.example"]', "hosts = [5]"), "'hosts' is no list of texts."),
    (WHOLE.replace("date = 2026-11-24\ntrust", 'date = "yesterday"\ntrust'), "'date' is no date."),
    (WHOLE.replace("date = 2026-11-24\ntrust", "date = 5\ntrust"), "'date' is no date."),
    (WHOLE.replace("date = 2026-11-24\ntrust", "date = 2026-11-24T00:00:00\ntrust"), "'date' is no date."),
    (HEAD + PROVIDER + PLAN + PROVIDER + PLAN, "approach 'acme' is there twice."),
    (HEAD + PROVIDER, "'plan' is missing."),
    ("a = = 5", "prices.toml is no TOML: Invalid value"),
    ("a = [" * 5_000, "prices.toml is no TOML"),
]


@pytest.mark.parametrize(("text", "reason"), BROKEN)
def test_price_file_that_is_wrong_names_file_entry_and_field_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_prices(text.encode(), "prices.toml")
    told = str(caught.value)
    assert reason in told
    assert told.startswith("prices.toml")
    assert told.isprintable()
    assert caught.value.fix
    assert len(told) < 400


def test_price_file_that_is_no_text_is_an_error() -> None:
    with pytest.raises(UsageError, match="mine.toml is no TOML"):
        parse_prices(b"\xff\xfe\x00", "mine.toml")


def test_price_file_from_disk_goes_by_its_name() -> None:
    Path("mine.toml").write_text(WHOLE, encoding="utf-8")
    assert load_prices(str(Path("mine.toml").resolve())).name == "mine.toml"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("none.toml", "No such file"),
        (".", "Is a directory"),
        ("a\0b", "no file name"),
        ("large.toml", "larger than 1 MB"),
    ],
)
def test_price_file_that_cannot_be_read_is_an_error(name: str, reason: str) -> None:
    Path("large.toml").write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match=reason) as caught:
        load_prices(name)
    assert str(caught.value).isprintable()


def test_price_file_knows_a_provider_by_host_before_scheme() -> None:
    prices = load_prices()

    def found(scheme: str, host: str) -> str | None:
        provider = prices.provider_of(scheme, host)
        return provider and provider.approach

    assert found("smtp", "email-smtp.eu-west-1.amazonaws.com") == "ses"
    assert found("smtps", "SMTP.SendGrid.net") == "sendgrid"
    assert found("smtp", "mail.example.com") == "directSMTP"
    assert found("ses", "") == "ses"
    assert found("gmail", "") == "gmail"
    assert found("outbox", "") is None
    assert found("pigeon", "amazonaws.com.evil.example") is None


@pytest.mark.parametrize(
    ("approach", "fix"),
    [("sengrid", "Did you mean sendgrid?"), ("SES", "Did you mean ses?"), ("x" * 10_000, "Known are directSMTP,")],
)
def test_price_file_without_an_approach_says_which_there_are(approach: str, fix: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_prices().provider(approach)
    assert fix in caught.value.fix
    assert len(caught.value.message) < 100


def test_prices_that_come_with_the_program_have_every_provider_and_a_source_for_each() -> None:
    prices = load_prices()
    expected = "directSMTP queueSMTP ses sendgrid postmark resend mailgun smtp2go brevo azure microsoft365 gmail"
    assert tuple(expected.split()) == prices.approaches
    for provider in prices.providers:
        for plan in provider.plans:
            assert plan.source.startswith("https://")
            assert "2025-01-01" < plan.date <= prices.date
            assert plan.trust in {"high", "medium", "low"}
    assert {plan.account_plan for plan in prices.provider("ses").plans} == {"NONE", "ESSENTIALS", "PRO", "ENTERPRISE"}
    assert len(prices.provider("sendgrid").plans) == 8


@pytest.mark.parametrize(
    ("today", "old"),
    [("2026-11-24", False), ("2027-05-23", False), ("2027-05-24", True)],
)
def test_prices_are_old_after_180_days(today: str, *, old: bool) -> None:
    prices = parse_prices(WHOLE.encode(), "mine.toml")
    assert ((("Acme", "2026-11-24"),) if old else ()) == prices.old(dt.date.fromisoformat(today))

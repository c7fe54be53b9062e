from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailblast.cli.pacing import PaceFlags, account_file, hands_to_exchangers, pace_settings, read_pace_options
from mailblast.cli.settings import Settings
from mailblast.delivery.throttle import Rate
from mailblast.delivery.warm_up import RAMP
from mailblast.errors import UsageError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.provider import ProviderLimits

OUTBOX = parse_dsn("outbox:x")


def settings(**values: str) -> Settings:
    return Settings(values, Path())


def test_flags_go_before_settings() -> None:
    configured = settings(
        MAILBLAST_RATE="1/s 9/min", MAILBLAST_DOMAIN_RATE="a.test=1/s b.test=2/s", MAILBLAST_DAILY_CAP="7"
    )
    asked = read_pace_options(PaceFlags(), (), configured, OUTBOX)
    assert ((Rate(1, 1), Rate(9, 60)), {"a.test": Rate(1, 1), "b.test": Rate(2, 1)}, 7, ()) == tuple(asked)
    asked = read_pace_options(PaceFlags(("c.test=3/s",), 8), ("none",), configured, OUTBOX)
    assert ((), {"c.test": Rate(3, 1)}, 8, ()) == tuple(asked)
    assert read_pace_options(PaceFlags(), (), settings(), OUTBOX).rates is None


@pytest.mark.parametrize(
    ("flags", "word", "ramp"),
    [
        ({"warm_up": True}, "", RAMP),
        ({}, "yes", RAMP),
        ({}, "True", RAMP),
        ({}, "no", ()),
        ({}, "", ()),
        ({}, "ramp", (3, 4)),
        ({"warm_up_table": Path("ramp")}, "no", (3, 4)),
    ],
)
def test_warm_up_is_built_in_or_a_table(flags: dict[str, Any], word: str, ramp: tuple[int, ...]) -> None:
    Path("ramp").write_text("3 4", encoding="utf-8")
    values = {"MAILBLAST_WARM_UP": word} if word else {}
    assert read_pace_options(PaceFlags(**flags), (), settings(**values), OUTBOX).ramp == ramp


def test_cap_that_cannot_be_counted_is_refused() -> None:
    with pytest.raises(UsageError, match="daily cap"):
        read_pace_options(PaceFlags(daily_cap=2**32), (), settings(), OUTBOX)


@pytest.mark.parametrize(
    ("via", "values", "expected"),
    [
        ("smtp://mx.example.com:25", {}, True),
        ("smtp://mx.example.com", {}, False),
        ("smtp://mx.example.com:587", {}, False),
        ("smtp://user@mx.example.com:25", {}, False),
        ("smtp://localhost:25", {}, False),
        ("smtp://127.0.0.1:25", {}, False),
        ("outbox:x", {}, False),
        ("smtp", {"SMTP_HOST": "mx.example.com", "SMTP_PORT": "25"}, True),
        ("smtp", {"SMTP_HOST": "mx.example.com", "SMTP_PORT": "25", "SMTP_USER": "u"}, False),
        ("smtp", {"SMTP_HOST": "mx.example.com"}, False),
    ],
)
def test_gentle_rates_hold_where_nobody_else_paces(via: str, values: dict[str, str], *, expected: bool) -> None:
    configured, dsn = settings(**values), parse_dsn(via)
    assert hands_to_exchangers(dsn, configured) is expected
    asked = read_pace_options(PaceFlags(("gmail.com=7/s",)), (), configured, dsn)
    assert ("yahoo.com" in asked.domain_rates) is expected
    assert asked.domain_rates["gmail.com"] == Rate(7, 1)


def test_provider_sets_what_nobody_asked_for() -> None:
    limits = ProviderLimits(5, rate_per_s=14.0, per_day=200, left_today=150)
    asked = read_pace_options(PaceFlags(), (), settings(), OUTBOX)
    pace = pace_settings(asked, limits, Path("x"))
    assert ((Rate(14, 1),), 200, 150, Path("x")) == (pace.rates, pace.per_day, pace.left_today, pace.file)
    assert pace_settings(asked, ProviderLimits(5), Path("x")).is_unlimited
    assert pace_settings(asked._replace(rates=()), limits, Path("x")).rates == ()


def test_each_account_has_a_file_of_its_own_without_secrets() -> None:
    configured = settings(MAILBLAST_HOME="home", AWS_ACCESS_KEY_ID="AKIA")
    files = {
        account_file(configured, parse_dsn(via), "smtp:mx.example.com")
        for via in (
            "smtp://mx.example.com",
            "smtp://mx.example.com:25",
            "smtp://u@mx.example.com",
            "smtp://v@mx.example.com",
        )
    }
    assert len(files) == 4
    assert {Path("home/.pace")} == {file.parent for file in files}
    assert all(file.name.startswith("smtp-mx.example.com-") and "AKIA" not in file.name for file in files)
    assert account_file(settings(AWS_PROFILE="a"), parse_dsn("smtp"), "ses") != account_file(
        settings(AWS_PROFILE="b"), parse_dsn("smtp"), "ses"
    )

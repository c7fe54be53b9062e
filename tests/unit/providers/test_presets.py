from __future__ import annotations

import re
import subprocess
import sys

import pytest
from fakes import FakeClock

from mailblast.errors import UsageError
from mailblast.providers.dsn import HOST, SCHEMES, parse_dsn
from mailblast.providers.presets import Preset, find_preset, presets
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp.provider import SmtpProvider


def provider_of(text: str, settings: dict[str, str] | None = None, *, connections: int | None = None) -> SmtpProvider:
    settings = {"SMTP_PASSWORD": "p"} if settings is None else settings
    provider = make_provider(parse_dsn(text), settings, connections=connections, clock=FakeClock())
    assert isinstance(provider, SmtpProvider)
    return provider


@pytest.mark.parametrize("preset", presets(), ids=lambda preset: preset.name)
def test_preset_is_complete_and_usable(preset: Preset) -> None:
    provider = provider_of(preset.name, {"SMTP_USER": "ada@example.com", "SMTP_PASSWORD": "p"})
    settings = provider.settings
    assert HOST.fullmatch(settings.host)
    assert settings.port in {465, 587}
    assert ("implicit" if settings.port == 465 else "starttls") == settings.tls
    assert preset.source
    assert preset.trust in {"vendor", "second-hand", "unread"}
    assert bool(re.fullmatch(r"2026-\d\d-\d\d", preset.date)) is (preset.trust != "unread")
    assert (settings.rate_per_s or 5.0) == provider.limits.rate_per_s
    assert (preset.per_day, preset.size_bytes) == (provider.limits.per_day, provider.limits.size_bytes)
    assert 1 <= provider.limits.concurrency <= 5
    assert parse_dsn(preset.example).scheme == preset.name


def test_presets_hide_no_built_in_scheme() -> None:
    names = [name for preset in presets() for name in (preset.name, *preset.aliases)]
    assert len(names) == len(set(names))
    assert not set(names) & set(SCHEMES)
    assert all(find_preset(name) is not None for name in names)
    assert len(presets()) >= 18


def test_preset_office365_keeps_to_what_microsoft_publishes() -> None:
    provider = provider_of("office365://ada@example.com")
    assert "smtp:smtp.office365.com" == provider.name
    assert ("smtp.office365.com", 587, "starttls", "ada@example.com") == (
        provider.settings.host,
        provider.settings.port,
        provider.settings.tls,
        provider.settings.user,
    )
    assert (3, 0.5, 10_000) == (provider.limits.concurrency, provider.limits.rate_per_s, provider.limits.per_day)


@pytest.mark.parametrize(
    ("text", "asked", "connections"),
    [
        ("office365://ada@example.com", 4, 4),
        ("office365://ada@example.com?connections=2", None, 2),
        ("sendgrid-smtp", None, 5),
    ],
)
def test_preset_limit_gives_way_to_what_is_asked_for(text: str, asked: int | None, connections: int) -> None:
    assert connections == provider_of(text, connections=asked).limits.concurrency


def test_preset_messages_per_connection_are_at_most_what_is_published() -> None:
    assert 100 == provider_of("sendgrid-smtp").settings.messages_per_connection
    assert 7 == provider_of("sendgrid-smtp://?messages=7").settings.messages_per_connection


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("ses-smtp://AKIA", "email-smtp.us-east-1.amazonaws.com"),
        ("ses-smtp://AKIA?region=eu-west-1", "email-smtp.eu-west-1.amazonaws.com"),
        ("zoho://ada@example.com?region=com.au", "smtp.zoho.com.au"),
    ],
)
def test_preset_with_regions_has_a_host_for_each(text: str, host: str) -> None:
    assert host == provider_of(text).settings.host


@pytest.mark.parametrize("region", ["x/y", "eu west", "..", "eu-west-1.evil.example/"])
def test_preset_region_that_is_no_name_is_refused(region: str) -> None:
    with pytest.raises(UsageError, match="Option 'region' of the DSN is"):
        provider_of(f"ses-smtp://AKIA?region={region.replace('/', '%2F').replace(' ', '%20')}")


@pytest.mark.parametrize(
    ("text", "settings", "user"),
    [
        ("gmail://ada@example.com", {"SMTP_USER": "other"}, "ada@example.com"),
        ("gmail", {"SMTP_USER": "ada@example.com"}, "ada@example.com"),
        ("sendgrid-smtp", {"SMTP_USER": "other"}, "apikey"),
        ("resend://", {}, "resend"),
        ("workspace-relay", {}, ""),
    ],
)
def test_preset_user_comes_from_dsn_service_or_settings(text: str, settings: dict[str, str], user: str) -> None:
    assert user == provider_of(text, {"SMTP_PASSWORD": "p", **settings}).settings.user


def test_preset_without_user_tells_how_to_give_one() -> None:
    with pytest.raises(UsageError, match=r"Gmail needs a user and 'gmail' names none. Write gmail://you@example.com"):
        provider_of("gmail", {"SMTP_PASSWORD": "p"})


def test_preset_without_password_tells_what_the_service_takes() -> None:
    with pytest.raises(UsageError, match=r"no password for user 'ada@x.org' at smtp.gmail.com. Gmail takes an app"):
        provider_of("gmail://ada@x.org", {})


def test_preset_password_of_the_dsn_is_taken() -> None:
    password = provider_of("gmail://ada@example.com:se%3Acret@", {}).settings.password
    assert password is not None
    assert "se:cret" == password.reveal()


def test_built_in_schemes_read_no_presets() -> None:
    code = (
        "import sys; from mailblast.providers.dsn import parse_dsn; from mailblast.providers.registry import *;"
        "parse_dsn('smtp://u@h'); parse_dsn('outbox:x');"
        "print('mailblast.providers.presets' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "False" == done.stdout.strip()

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import UsageError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.outbox import OutboxProvider
from mailblast.providers.registry import make_provider
from mailblast.providers.smtp.provider import SmtpProvider

if TYPE_CHECKING:
    from mailblast.providers.smtp.settings import SmtpSettings


def settings_of(text: str, **settings: str) -> SmtpSettings:
    provider = make_provider(parse_dsn(text), settings, clock=FakeClock())
    assert isinstance(provider, SmtpProvider)
    return provider.settings


def test_make_provider_outbox_has_its_folder() -> None:
    provider = make_provider(parse_dsn("outbox:box"), {}, clock=FakeClock())
    assert isinstance(provider, OutboxProvider)
    assert "box" == str(provider.folder)
    assert not provider.leaves_machine


def test_make_provider_bare_outbox_has_the_default_folder() -> None:
    provider = make_provider(parse_dsn("outbox"), {}, clock=FakeClock())
    assert isinstance(provider, OutboxProvider)
    assert "outbox" == str(provider.folder)


def test_make_provider_bare_smtp_takes_the_settings() -> None:
    settings = settings_of("smtp", SMTP_HOST="mx.example.com", SMTP_PORT="2587", SMTP_USER="u", SMTP_PASSWORD="p")
    assert ("mx.example.com", 2587, "u", "starttls") == (settings.host, settings.port, settings.user, settings.tls)
    assert settings.password is not None
    assert "p" == settings.password.reveal()


def test_make_provider_bare_smtp_port_465_is_implicit_tls() -> None:
    assert "implicit" == settings_of("smtp", SMTP_HOST="mx.example.com", SMTP_PORT="465").tls


def test_make_provider_bare_smtp_host_in_brackets_is_an_address() -> None:
    assert "::1" == settings_of("smtp", SMTP_HOST="[::1]").host


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({}, "SMTP_HOST"),
        ({"SMTP_HOST": "h", "SMTP_PORT": "0"}, "SMTP_PORT is '0'"),
        ({"SMTP_HOST": "h", "SMTP_PORT": "99999999999"}, "SMTP_PORT"),
        ({"SMTP_HOST": "h", "SMTP_PORT": "smtp"}, "SMTP_PORT"),
        ({"SMTP_HOST": "h", "SMTP_USER": "u"}, "no password for user 'u' at h.*SMTP_PASSWORD"),
    ],
)
def test_make_provider_bare_smtp_what_is_missing_is_named(settings: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        make_provider(parse_dsn("smtp"), settings, clock=FakeClock())


def test_make_provider_dsn_with_user_takes_the_password_from_settings() -> None:
    settings = settings_of("smtp://u@mx.example.com", SMTP_PASSWORD="p", SMTP_HOST="other", SMTP_USER="other")
    assert ("mx.example.com", "u") == (settings.host, settings.user)
    assert settings.password is not None
    assert "p" == settings.password.reveal()


def test_make_provider_dsn_without_user_does_not_log_in() -> None:
    settings = settings_of("smtp://mx.example.com", SMTP_PASSWORD="p", SMTP_USER="other")
    assert ("", None) == (settings.user, settings.password)


def test_make_provider_password_in_the_dsn_wins() -> None:
    settings = settings_of("smtp://u:inside@mx.example.com", SMTP_PASSWORD="p")
    assert settings.password is not None
    assert "inside" == settings.password.reveal()


@pytest.mark.parametrize(("text", "rate"), [("smtp://mx.example.com", 5.0), ("smtp://localhost", None)])
def test_make_provider_smtp_tells_its_gentle_rate(text: str, rate: float | None) -> None:
    provider = make_provider(parse_dsn(text), {}, connections=3, clock=FakeClock())
    assert rate == provider.limits.rate_per_s
    assert 3 == provider.limits.concurrency


def test_make_provider_outbox_does_not_import_smtp(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(("mailblast.providers.smtp", "aiosmtplib"))]:
        monkeypatch.delitem(sys.modules, name)
    make_provider(parse_dsn("outbox:box"), {}, clock=FakeClock())
    assert "aiosmtplib" not in sys.modules

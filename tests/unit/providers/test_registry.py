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
    from pathlib import Path

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


RULES = '[[rule]]\nscope = "account"\ncode = "{}"\n'


def test_make_provider_reply_rules_come_from_setting_or_dsn(tmp_path: Path) -> None:
    (tmp_path / "setting.toml").write_text(RULES.format(550))
    (tmp_path / "option.toml").write_text(RULES.format(551))
    assert () == settings_of("smtp://mx.example.com").extra_rules
    (rule,) = settings_of("smtp://mx.example.com", MAILBLAST_REPLY_RULES=str(tmp_path / "setting.toml")).extra_rules
    assert rule.code is not None
    assert "550" == rule.code.pattern
    text = f"smtp://mx.example.com?rules={tmp_path}/option.toml"
    (rule,) = settings_of(text, MAILBLAST_REPLY_RULES=str(tmp_path / "setting.toml")).extra_rules
    assert rule.code is not None
    assert "551" == rule.code.pattern


def test_make_provider_broken_reply_rules_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(RULES.format("5("))
    with pytest.raises(UsageError, match="'code' of rule 1 of .*rules.toml is no regular expression"):
        settings_of("smtp://mx.example.com", MAILBLAST_REPLY_RULES=str(file))


def test_make_provider_token_command_stands_for_the_password() -> None:
    settings = settings_of("smtp://ada@mx.example.com", MAILBLAST_TOKEN_COMMAND=f"{sys.executable} -c pass")
    assert settings.tokens is not None
    assert settings.password is None


def test_make_provider_token_command_given_overrides_the_setting() -> None:
    dsn = parse_dsn("smtp://ada@mx.example.com")
    with pytest.raises(UsageError, match="names 'no-such-program-at-all'"):
        make_provider(
            dsn, {"MAILBLAST_TOKEN_COMMAND": sys.executable}, token_command="no-such-program-at-all", clock=FakeClock()
        )


def test_make_provider_token_command_without_user_is_not_needed() -> None:
    assert settings_of("smtp://mx.example.com", MAILBLAST_TOKEN_COMMAND=sys.executable).tokens is None


@pytest.mark.parametrize(
    ("text", "logins"),
    [("smtp://localhost", None), ("smtp://mx.example.com", 10), ("smtp://mx.example.com?connections=50", 50)],
)
def test_make_provider_remote_logins_are_paced(text: str, logins: int | None) -> None:
    assert logins == settings_of(text).logins_per_s

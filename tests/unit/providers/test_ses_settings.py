from __future__ import annotations

from dataclasses import replace

import pytest

from mailblast.clock import SystemClock
from mailblast.errors import UsageError
from mailblast.model.secret import Secret
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.ses.provider import SesProvider
from mailblast.providers.ses.settings import Mode, SesSettings, ses_settings

KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret"}


def settings(text: str, values: dict[str, str] | None = None, *, connections: int | None = None) -> SesSettings:
    return ses_settings(parse_dsn(text), values or {}, connections=connections)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ses", SesSettings()),
        ("ses://", SesSettings()),
        ("ses://eu-west-1", SesSettings("eu-west-1")),
        ("ses://EU-West-1/", SesSettings("eu-west-1")),
        ("ses://us-gov-west-1?mode=bulk", SesSettings("us-gov-west-1", Mode.BULK)),
        ("ses://?mode=RAW&concurrency=7", SesSettings(concurrency=7)),
        ("ses://?configuration-set=news_1", SesSettings(configuration_set="news_1")),
        ("ses://?tags=a:1,b-c:d_e", SesSettings(tags=(("a", "1"), ("b-c", "d_e")))),
        ("ses://?endpoint=http://127.0.0.1:5000/", SesSettings(endpoint="http://127.0.0.1:5000")),
        ("ses://?endpoint=https%3A%2F%2Fses.example.com", SesSettings(endpoint="https://ses.example.com")),
        ("ses://?sandbox=allow", SesSettings(allow_sandbox=True)),
    ],
)
def test_dsn_becomes_settings(text: str, expected: SesSettings) -> None:
    assert expected == settings(text)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ses://key:secret@eu-west-1", "neither a key"),
        ("ses://key@eu-west-1", "neither a key"),
        ("ses://eu-west-1:443", "nor a port"),
        ("ses://europe", "no AWS Region"),
        ("ses://eu-west-1.amazonaws.com", "no AWS Region"),
        ("ses://?mode=fast", "mode"),
        ("ses://?configuration-set=a%20b", "configuration-set"),
        ("ses://?tags=a", "tags"),
        ("ses://?tags=a:b,a:c", "twice"),
        ("ses://?tags=a:%C3%BC", "tags"),
        ("ses://?endpoint=http://ses.example.com", "endpoint"),
        ("ses://?endpoint=ftp://127.0.0.1", "endpoint"),
        ("ses://?endpoint=http://a:b%40127.0.0.1", "endpoint"),
        ("ses://?endpoint=http://127.0.0.1:99999", "endpoint"),
        ("ses://?concurrency=0", "concurrency"),
        ("ses://?concurrency=257", "concurrency"),
        ("ses://?concurrency=many", "concurrency"),
        ("ses://?sandbox=yes", "sandbox"),
        ("ses://?region=x", "region"),
    ],
)
def test_dsn_that_cannot_be_honoured_is_told(text: str, part: str) -> None:
    with pytest.raises(UsageError, match=part) as raised:
        settings(text)
    assert raised.value.fix


def test_region_of_the_dsn_goes_before_those_of_the_settings() -> None:
    values = {"AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-west-2"}
    assert "eu-west-1" == settings("ses://eu-west-1", values).region
    assert "us-east-1" == settings("ses", values).region
    assert "us-west-2" == settings("ses", {"AWS_DEFAULT_REGION": "us-west-2"}).region


def test_keys_come_from_the_settings_and_are_never_shown() -> None:
    found = settings("ses", {**KEYS, "AWS_SESSION_TOKEN": "token", "AWS_PROFILE": "work"})
    assert ("AKID", Secret("secret"), Secret("token"), "work") == (
        found.access_key_id, found.secret_access_key, found.session_token, found.profile
    )  # fmt: skip
    assert "secret'" not in repr(found)
    assert "token'" not in repr(found)


@pytest.mark.parametrize("name", KEYS)
def test_half_a_key_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="other half"):
        settings("ses", {name: "x"})


def test_token_without_a_key_is_left_to_the_aws_chain() -> None:
    assert settings("ses", {"AWS_SESSION_TOKEN": "token"}).session_token is None


def test_endpoint_comes_from_the_settings_too() -> None:
    values = {"AWS_ENDPOINT_URL": "https://all.example.com", "AWS_ENDPOINT_URL_SESV2": "https://ses.example.com"}
    assert "https://ses.example.com" == settings("ses", values).endpoint
    assert "https://all.example.com" == settings("ses", {"AWS_ENDPOINT_URL": "https://all.example.com"}).endpoint
    assert "http://127.0.0.1:1" == settings("ses://?endpoint=http://127.0.0.1:1", values).endpoint


def test_connections_go_before_concurrency_and_have_a_bound() -> None:
    assert 3 == settings("ses://?concurrency=7", connections=3).concurrency
    assert 256 == settings("ses", connections=1000).concurrency


def test_name_has_the_region() -> None:
    assert ("ses", "ses:eu-west-1") == (SesSettings().name, SesSettings("eu-west-1").name)


@pytest.mark.parametrize(
    ("endpoint", "expected"), [("", False), ("http://127.0.0.1:5", True), ("https://a.example", False)]
)
def test_loopback_is_an_endpoint_on_this_machine(endpoint: str, *, expected: bool) -> None:
    assert expected is replace(SesSettings(), endpoint=endpoint).on_loopback


@pytest.mark.parametrize(("mode", "wants", "calls"), [("raw", False, 16), ("bulk", True, 8)])
def test_registry_makes_the_provider(mode: str, calls: int, *, wants: bool) -> None:
    provider = make_provider(parse_dsn(f"ses://eu-west-1?mode={mode}"), KEYS, clock=SystemClock())
    assert isinstance(provider, SesProvider)
    assert ("ses:eu-west-1", True, wants) == (provider.name, provider.leaves_machine, provider.wants_composition)
    assert (calls, 14.0, None) == (provider.limits.concurrency, provider.limits.rate_per_s, provider.limits.per_day)

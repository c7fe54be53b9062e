from __future__ import annotations

import pytest
from fakes import FakeClock

from mailblast.errors import UsageError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider
from mailblast.providers.sendgrid.provider import SendgridProvider
from mailblast.providers.sendgrid.settings import SendgridSettings, sendgrid_settings

KEYED = {"SENDGRID_API_KEY": "SG.abc"}


def settings_of(text: str, **options: int) -> SendgridSettings:
    return sendgrid_settings(parse_dsn(text), KEYED, connections=options.get("connections"))


@pytest.mark.parametrize(
    ("text", "region", "name"),
    [
        ("sendgrid", "global", "sendgrid"),
        ("sendgrid://", "global", "sendgrid"),
        ("sendgrid://global", "global", "sendgrid"),
        ("sendgrid://eu", "eu", "sendgrid:eu"),
        ("sendgrid://EU", "eu", "sendgrid:eu"),
    ],
)
def test_sendgrid_settings_region_is_the_host(text: str, region: str, name: str) -> None:
    settings = settings_of(text)
    assert (region, name) == (settings.region, settings.name)
    assert (250, 4, 30.0, False) == (settings.batch, settings.concurrency, settings.timeout_s, settings.sandbox)
    assert not settings.on_loopback


def test_sendgrid_settings_every_option_is_read() -> None:
    settings = settings_of(
        "sendgrid://eu?batch=1000&concurrency=9&sandbox=on&asm=77&categories=news,%20spring,news,&timeout=2.5"
        "&endpoint=http://127.0.0.1:8025/"
    )
    assert (1000, 9, True, 77, ("news", "spring"), 2.5, "http://127.0.0.1:8025") == (
        settings.batch,
        settings.concurrency,
        settings.sandbox,
        settings.asm_group,
        settings.categories,
        settings.timeout_s,
        settings.endpoint,
    )
    assert settings.on_loopback


@pytest.mark.parametrize(("connections", "concurrency"), [(2, 2), (500, 64)])
def test_sendgrid_settings_connections_are_requests_at_once(connections: int, concurrency: int) -> None:
    assert concurrency == settings_of("sendgrid://?concurrency=9", connections=connections).concurrency


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("sendgrid://us", "no region 'us'"),
        ("sendgrid://user@eu", "neither a key nor a port"),
        ("sendgrid://user:SG.abc@eu", "neither a key nor a port"),
        ("sendgrid://eu:443", "neither a key nor a port"),
        ("sendgrid://?batch=0", "Option 'batch' of the DSN is '0'.*1 to 1,000"),
        ("sendgrid://?batch=1001", "Option 'batch'"),
        ("sendgrid://?batch=many", "Option 'batch'"),
        ("sendgrid://?concurrency=65", "Option 'concurrency'"),
        ("sendgrid://?sandbox=yes", "Option 'sandbox'.*sandbox=on or sandbox=off"),
        ("sendgrid://?asm=-1", "Option 'asm'"),
        ("sendgrid://?timeout=0", "Option 'timeout'"),
        ("sendgrid://?timeout=601", "Option 'timeout'"),
        ("sendgrid://?timeout=fast", "Option 'timeout'"),
        ("sendgrid://?categories=" + ",".join("abcdefghijk"), "Option 'categories'.*at most 10"),
        ("sendgrid://?categories=" + "x" * 256, "Option 'categories'"),
        ("sendgrid://?endpoint=http://example.com", "Option 'endpoint'"),
        ("sendgrid://?endpoint=ftp://127.0.0.1", "Option 'endpoint'"),
        ("sendgrid://?endpoint=http://127.0.0.1:99999", "Option 'endpoint'"),
        ("sendgrid://?endpoint=http://127.0.0.1:1/v4", "Option 'endpoint'"),
        ("sendgrid://?endpoint=nothing", "Option 'endpoint'"),
        ("sendgrid://?helo=x", "Option 'helo' of the DSN is not known to sendgrid"),
        ("sendgrid:eu", "not followed by '//'"),
    ],
)
def test_sendgrid_settings_what_cannot_be_honoured_is_named(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what) as raised:
        settings_of(text)
    assert "SG.abc" not in str(raised.value)


@pytest.mark.parametrize("values", [{}, {"SENDGRID_API_KEY": ""}, {"SENDGRID_API_KEY": "  "}])
def test_sendgrid_settings_missing_key_tells_where_it_comes_from(values: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="SENDGRID_API_KEY is not set.*in .env; make a key"):
        sendgrid_settings(parse_dsn("sendgrid"), values)


@pytest.mark.parametrize("key", ["SG.a b", "SG.a\r\nX: y", "SG.ä"])
def test_sendgrid_settings_key_that_would_break_the_header_is_refused_unseen(key: str) -> None:
    with pytest.raises(UsageError, match="SENDGRID_API_KEY holds blanks") as raised:
        sendgrid_settings(parse_dsn("sendgrid"), {"SENDGRID_API_KEY": key})
    assert key not in str(raised.value)


def test_sendgrid_settings_never_show_the_key() -> None:
    settings = settings_of("sendgrid")
    assert "SG.abc" == settings.key.reveal()
    assert "SG.abc" not in repr(settings)


@pytest.mark.parametrize("text", ["sendgrid", "sendgrid://eu", "sendgrid://?batch=10", "sendgrid://eu?sandbox=on"])
def test_dsn_of_sendgrid_shown_can_be_read_again(text: str) -> None:
    dsn = parse_dsn(text)
    assert text == dsn.shown()
    assert dsn == parse_dsn(dsn.shown())


def test_make_provider_sendgrid_tells_its_limits_before_it_is_open() -> None:
    provider = make_provider(parse_dsn("sendgrid://eu"), KEYED, connections=3, clock=FakeClock())
    assert isinstance(provider, SendgridProvider)
    assert (3, 30_000_000, None) == provider.limits[:3]
    assert ("sendgrid:eu", True, True) == (provider.name, provider.leaves_machine, provider.wants_composition)


@pytest.mark.parametrize(
    ("ahead_s", "batch_id", "what"),
    [(0, "b", "is past"), (72 * 3600 + 1, "b", "at most 72 hours"), (60, "", "needs a batch id")],
)
def test_schedule_what_sendgrid_does_not_keep_is_refused(ahead_s: int, batch_id: str, what: str) -> None:
    clock = FakeClock()
    provider = make_provider(parse_dsn("sendgrid"), KEYED, clock=clock)
    assert isinstance(provider, SendgridProvider)
    with pytest.raises(UsageError, match=what):
        provider.schedule(int(clock.now()) + ahead_s, batch_id)
    assert provider.scheduled_for is None

from __future__ import annotations

from pathlib import Path

import pytest
from fakes import FakeClock

from mailblast.cli.campaigns import TransportFlags, dsns_of, transport_of, transports_of
from mailblast.cli.settings import Settings
from mailblast.errors import UsageError

CLOCK = FakeClock()


def settings_of(**values: str) -> Settings:
    return Settings(values, Path.cwd())


@pytest.mark.parametrize(
    ("vias", "values", "expected"),
    [
        ((), {}, ["outbox:outbox"]),
        ((), {"SMTP_HOST": "h"}, ["smtp"]),
        ((), {"MAILBLAST_VIA": "smtp://a smtp://b"}, ["smtp://a", "smtp://b"]),
        (("smtp://c", "smtp://d"), {"MAILBLAST_VIA": "smtp://a"}, ["smtp://c", "smtp://d"]),
    ],
)
def test_dsns_of_flags_come_before_settings(vias: tuple[str, ...], values: dict[str, str], expected: list[str]) -> None:
    assert expected == [dsn.shown() for dsn in dsns_of(settings_of(**values), vias)]


def test_dsns_of_list_in_the_toml_file() -> None:
    Path("mailblast.toml").write_text('via = ["smtp://a", "outbox:my dir"]', encoding="utf-8")
    assert ["smtp://a", "outbox:my dir"] == [dsn.shown() for dsn in dsns_of(settings_of(), ())]


@pytest.mark.parametrize(
    ("vias", "values", "what"),
    [
        (("smtp://a", "smtp://u:secret@b"), {}, "holds a password"),
        (("smtp://a", "smtp://a"), {}, "smtp://a is given twice"),
        ((), {"MAILBLAST_VIA": "ses smtp://u:secret@a smtp://u:secret@a"}, "is given twice"),
        (("smtp://127.0.0.1", "outbox:b"), {}, "cannot stand in"),
        (("outbox:a", "smtp://127.0.0.1"), {}, "cannot stand in"),
        (("smtp://127.0.0.1", "smpt://b"), {}, "'smpt:' is no kind"),
        (("smtp://127.0.0.1", "sendgrid"), {}, "SENDGRID_API_KEY"),
    ],
)
def test_transports_of_what_cannot_be_used_is_told(vias: tuple[str, ...], values: dict[str, str], what: str) -> None:
    with pytest.raises(UsageError, match=what) as caught:
        transports_of(settings_of(**values), vias, TransportFlags(), CLOCK)
    assert "secret" not in str(caught.value)


def test_transports_of_each_has_its_own_limits() -> None:
    vias = ("smtp://127.0.0.1:1", "smtp://127.0.0.1:2")
    first, second = transports_of(settings_of(), vias, TransportFlags(rates=("5/s",)), CLOCK)
    assert first.limits_file != second.limits_file
    assert 5.0 == first.pace().per_second == second.pace().per_second
    assert not first.is_default


def test_transport_of_several_in_the_settings_wants_one_named() -> None:
    flags = {"connections": None, "messages_per_connection": None, "rates": None}
    settings = settings_of(MAILBLAST_VIA="smtp://127.0.0.1:1 smtp://127.0.0.1:2")
    with pytest.raises(UsageError, match="names several providers"):
        transport_of(settings, None, **flags, clock=CLOCK)
    transport = transport_of(settings, "smtp://127.0.0.1:3", **flags, clock=CLOCK)
    assert 3 == transport.dsn.port

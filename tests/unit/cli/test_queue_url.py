"""Where a queue is, by option and setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailblast.cli.app import with_queue_values
from mailblast.cli.queue_url import HERE, queue_of, shown
from mailblast.cli.settings import Settings
from mailblast.errors import UsageError


def settings(url: str = "") -> Settings:
    return Settings({"MAILBLAST_QUEUE": url} if url else {}, Path())


@pytest.mark.parametrize(
    ("typed", "understood"),
    [
        ("bulk l.csv --queue", "bulk l.csv --queue=here"),
        ("bulk --queue l.csv", "bulk --queue=here l.csv"),
        ("bulk l.csv --queue --wait", "bulk l.csv --queue=here --wait"),
        ("bulk l.csv --queue redis://x", "bulk l.csv --queue redis://x"),
        ("bulk l.csv --queue=redis://x", "bulk l.csv --queue=redis://x"),
        ("bulk -- --queue", "bulk -- --queue"),
    ],
)
def test_option_without_a_value_takes_none_of_what_follows(typed: str, understood: str) -> None:
    assert understood.split() == with_queue_values(typed.split())


@pytest.mark.parametrize(
    ("flag", "setting", "found"),
    [
        (None, "redis://:pw@h", None),
        (HERE, "", HERE),
        (HERE, "redis://:pw@h", "redis://:pw@h"),
        ("redis://h", "", "redis://h"),
        ("redis://user@h", "", "redis://user@h"),
        ("redis://h", "redis://:pw@h:6379/0", "redis://:pw@h:6379/0"),
        ("redis://other", "redis://:pw@h", "redis://other"),
        ("redis://h/1", "redis://:pw@h", "redis://h/1"),
    ],
)
def test_setting_says_where_and_has_the_password(flag: str | None, setting: str, found: str | None) -> None:
    assert found == queue_of(settings(setting), flag)


@pytest.mark.parametrize(
    ("flag", "setting", "said"),
    [
        ("redis://:pw@h", "", "holds a password"),
        ("amqp://h", "", "is no queue"),
        (HERE, "amqp://u:pw@h", "is no queue"),
    ],
)
def test_what_cannot_be_used_is_told_without_its_password(flag: str, setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        queue_of(settings(setting), flag)
    assert "pw" not in str(caught.value)


def test_shown_url_has_nothing_secret() -> None:
    assert "rediss://h:1/2" == shown("rediss://u:pw@h:1/2?ssl_ca_certs=x")

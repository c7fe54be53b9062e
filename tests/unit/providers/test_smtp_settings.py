from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailblast.errors import UsageError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.smtp.settings import SmtpSettings, Timeouts, is_loopback, smtp_settings

if TYPE_CHECKING:
    from pathlib import Path


def of(text: str, **counts: int) -> SmtpSettings:
    return smtp_settings(parse_dsn(text), **counts)


@pytest.mark.parametrize(
    ("text", "tls", "port"),
    [
        ("smtp://mx.example.com", "starttls", 587),
        ("smtp://mx.example.com:25", "starttls", 25),
        ("smtp://mx.example.com?tls=none", "none", 25),
        ("smtp://mx.example.com?tls=implicit", "implicit", 465),
        ("smtps://mx.example.com", "implicit", 465),
        ("smtps://mx.example.com:4650?tls=implicit", "implicit", 4650),
        ("smtp://localhost:2525", "none", 2525),
        ("smtp://127.0.0.1", "none", 25),
        ("smtp://[::1]", "none", 25),
        ("smtp://localhost?tls=starttls", "starttls", 587),
        ("smtps://localhost", "implicit", 465),
    ],
)
def test_tls_and_port_have_safe_defaults(text: str, tls: str, port: int) -> None:
    settings = of(text)
    assert (tls, port) == (settings.tls, settings.port)


def test_defaults_are_those_of_the_product() -> None:
    settings = of("smtp://mx.example.com")
    assert (5, 100, 300.0, 8) == (
        settings.connections,
        settings.messages_per_connection,
        settings.max_age_s,
        settings.refusals_per_connection,
    )
    assert Timeouts(30, 300, 300, 300, 300, 120, 180, 600, 20, 5) == settings.timeouts


def test_every_option_is_taken(tmp_path: Path) -> None:
    authority = tmp_path / "ca.pem"
    authority.touch()
    settings = of(
        f"smtp://u:p@h?helo=a.example&ca={authority}&connections=2&messages=7&max-age=9.5"
        "&connect-timeout=1&greeting-timeout=2&ehlo-timeout=3&mail-timeout=4&rcpt-timeout=5"
        "&data-timeout=6&block-timeout=7&final-timeout=8&rset-timeout=9&quit-timeout=0.5"
    )
    assert ("a.example", str(authority), 2, 7, 9.5) == (
        settings.local_hostname,
        settings.ca_file,
        settings.connections,
        settings.messages_per_connection,
        settings.max_age_s,
    )
    assert Timeouts(1, 2, 3, 4, 5, 6, 7, 8, 9, 0.5) == settings.timeouts


def test_arguments_win_over_options() -> None:
    settings = of("smtp://h?connections=2&messages=7", connections=3, messages_per_connection=8)
    assert (3, 8) == (settings.connections, settings.messages_per_connection)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("smtp://h?tls=maybe", "'tls'.*'maybe'.*starttls, implicit, none"),
        ("smtps://h?tls=none", "exclude each other"),
        ("smtp://u:p@mx.example.com?tls=none", "password of 'u' would cross the network"),
        ("smtp://h?helo=a_b", "'helo'"),
        ("smtp://h?helo=a%20b", "'helo'"),
        ("smtp://h?ca=/does/not/exist", "'/does/not/exist', which is no file"),
        ("smtp://h?connections=0", "'connections' is 0"),
        ("smtp://h?connections=1001", "from 1 to 1000"),
        ("smtp://h?messages=x", "'messages' is x"),
        ("smtp://h?max-age=-1", "'max-age'"),
        ("smtp://h?final-timeout=0", "'final-timeout'"),
        ("smtp://h?final-timeout=1e3", "'final-timeout'"),
        ("smtp://h?final-timeout=99999", "'final-timeout'"),
        ("smtp://h?final-timeout=nan", "'final-timeout'"),
    ],
)
def test_option_that_cannot_be_honoured_is_named(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        of(text)


def test_login_in_clear_is_for_loopback_only() -> None:
    assert "none" == of("smtp://u:p@127.0.0.1").tls
    assert "none" == of("smtp://u:p@localhost?tls=none").tls


def test_counts_given_are_checked_too() -> None:
    with pytest.raises(UsageError, match="'connections' is 0"):
        of("smtp://h", connections=0)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LocalHost.", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost.example.com", False),
        ("notlocalhost", False),
        ("192.0.2.1", False),
        ("::2", False),
    ],
)
def test_is_loopback_knows_this_machine(host: str, loopback: bool) -> None:  # noqa: FBT001 - a parameter of the table
    assert loopback is is_loopback(host)


@pytest.mark.parametrize(("text", "address"), [("smtp://[::1]:25", "[::1]:25"), ("smtp://h:25", "h:25")])
def test_address_is_host_and_port(text: str, address: str) -> None:
    assert address == of(text).address


def test_repr_shows_no_password() -> None:
    assert "s3cret" not in repr(of("smtp://u:s3cret@localhost"))

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from signing import URL, ed25519_key, pem, rsa_key

from mailblast.cli.authenticity import AuthenticityOptions, authenticity_of, keys_of
from mailblast.cli.campaigns import Transport, transport_of
from mailblast.cli.settings import Settings
from mailblast.clock import SystemClock
from mailblast.errors import UsageError
from mailblast.model.campaign import Campaign, Dkim, Keys, ListHeaders, Mailbox, Template
from mailblast.providers.dsn import parse_dsn

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.cli.authenticity import Authenticity

PEM = pem(rsa_key())
NAMES = {"MAILBLAST_DKIM_DOMAIN": "example.com", "MAILBLAST_DKIM_SELECTOR": "rsa"}


def settings(folder: Path, **values: str) -> Settings:
    return Settings(values, folder)


def a_transport(configured: Settings, via: str = "outbox:x") -> Transport:
    transport = transport_of(
        configured, "outbox:x", connections=None, messages_per_connection=None, rates=None, clock=SystemClock()
    )
    return transport._replace(dsn=parse_dsn(via))


def asked(
    folder: Path, values: dict[str, str], via: str = "outbox:x", sender: str = "a@example.com", **given: Any
) -> Authenticity:
    configured = settings(folder, **values)
    options = AuthenticityOptions(**given)
    return authenticity_of(options, configured, a_transport(configured, via), sender)


def test_nothing_asked_for_is_nothing(tmp_path: Path) -> None:
    result = asked(tmp_path, {})
    campaign = Campaign("c", "t", Template("t", "", "s", "t", None), Mailbox("", "a@example.com"))

    assert (None, ListHeaders(), Keys(), True, ()) == tuple(result)
    assert campaign == result.on(campaign)


def test_flags_become_names_and_headers(tmp_path: Path) -> None:
    key = tmp_path / "dkim.pem"
    key.write_text(PEM)
    key.chmod(0o600)
    result = asked(
        tmp_path,
        {"MAILBLAST_DKIM_DOMAIN": "other.example", "MAILBLAST_UNSUBSCRIBE": "mailto:no@example.com"},
        dkim="s1@example.com",
        dkim_key=key,
        unsubscribe=(URL, "mailto:leave@example.com"),
        list_id="<news.example.com>",
        feedback_id="a:b:c:example",
        auto_submitted=True,
        inline_css=False,
    )

    assert Dkim("example.com", "s1") == result.dkim
    assert PEM == result.keys.dkim_rsa.reveal()  # type: ignore[union-attr]  # there is one
    assert ListHeaders(URL, "leave@example.com", "news.example.com", "a:b:c:example", auto_submitted=True) == (
        result.list_headers
    )
    assert (False, ()) == (result.inline_css, result.notices)


def test_settings_become_names_and_headers(tmp_path: Path) -> None:
    second = tmp_path / "ed.pem"
    second.write_text(pem(ed25519_key()))
    second.chmod(0o600)
    result = asked(
        tmp_path,
        {
            **NAMES,
            "MAILBLAST_DKIM_KEY": PEM.replace("\n", "\\n"),
            "MAILBLAST_DKIM_ED25519_SELECTOR": "ed",
            "MAILBLAST_DKIM_ED25519_KEY": str(second),
            "MAILBLAST_UNSUBSCRIBE": f"  mailto:leave@example.com   {URL}",
            "MAILBLAST_UNSUBSCRIBE_SECRET": "a secret of its own",
            "MAILBLAST_LIST_ID": "news.example.com",
            "MAILBLAST_FEEDBACK_ID": "a:b:c:example",
        },
    )

    assert Dkim("example.com", "rsa", "ed") == result.dkim
    assert ListHeaders(URL, "leave@example.com", "news.example.com", "a:b:c:example") == result.list_headers
    assert ("a secret of its own", PEM) == (
        result.keys.unsubscribe.reveal(),  # type: ignore[union-attr]  # there is one
        result.keys.dkim_rsa.reveal(),  # type: ignore[union-attr]  # likewise
    )


def test_toml_names_are_settings_too(tmp_path: Path) -> None:
    (tmp_path / "mailblast.toml").write_text(
        f'unsubscribe = ["{URL}", "mailto:leave@example.com"]\nlist-id = "news.example.com"\n'
        '[dkim]\ndomain = "example.com"\nselector = "rsa"\nkey = "dkim.pem"\n'
    )
    (tmp_path / "dkim.pem").write_text(PEM)
    (tmp_path / "dkim.pem").chmod(0o600)
    result = asked(tmp_path, {})

    assert ListHeaders(URL, "leave@example.com", "news.example.com") == result.list_headers
    assert (Dkim("example.com", "rsa"), ()) == (result.dkim, result.notices)


@pytest.mark.parametrize(("via", "name"), [("ses://eu-west-1", "Amazon SES"), ("sendgrid://", "SendGrid")])
def test_provider_that_signs_itself_gets_no_signature_of_ours(via: str, name: str, tmp_path: Path) -> None:
    result = asked(tmp_path, {**NAMES, "MAILBLAST_DKIM_KEY": PEM}, via)

    assert result.dkim is None
    assert name in result.notices[0]


@pytest.mark.parametrize(
    ("sender", "warned"),
    [
        ("a@example.com", False),
        ("a@mail.Example.com", False),
        ("a@example.org", True),
        ("a@badexample.com", True),
    ],
)
def test_domain_that_is_not_the_senders_is_warned_of(sender: str, warned: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a table
    result = asked(tmp_path, {**NAMES, "MAILBLAST_DKIM_KEY": PEM}, sender=sender)

    assert [warned] == ["DMARC" in notice for notice in result.notices] or (not warned and () == result.notices)


def test_weak_key_and_open_file_are_warned_of(tmp_path: Path) -> None:
    key = tmp_path / "dkim.pem"
    key.write_text(pem(rsa_key(1024)))
    key.chmod(0o644)
    notices = asked(tmp_path, NAMES, dkim_key=key).notices

    assert ["1024 bits" in notices[0], f"chmod 600 {key}" in notices[1]] == [True, True]


@pytest.mark.parametrize(
    ("values", "given", "words"),
    [
        ({}, {"dkim": "example.com"}, "SELECTOR@DOMAIN"),
        ({}, {"dkim": "@example.com"}, "SELECTOR@DOMAIN"),
        ({}, {"dkim": "s@example.com"}, "key to sign with is missing"),
        ({"MAILBLAST_DKIM_DOMAIN": "example.com"}, {}, "MAILBLAST_DKIM_SELECTOR is not set"),
        ({"MAILBLAST_DKIM_SELECTOR": "s"}, {}, "MAILBLAST_DKIM_DOMAIN is not set"),
        ({"MAILBLAST_DKIM_KEY": PEM}, {}, "no selector and domain"),
        ({"MAILBLAST_DKIM_ED25519_SELECTOR": "s"}, {}, "no selector and domain"),
        (
            {"MAILBLAST_DKIM_KEY": "none.pem"},
            {"dkim": "s@example.com"},
            "none.pem of MAILBLAST_DKIM_KEY cannot",
        ),
        ({}, {"unsubscribe": (URL, URL)}, "too often"),
        ({}, {"unsubscribe": ("mailto:a@b.example", "mailto:c@d.example")}, "too often"),
        ({}, {"unsubscribe": ("mailto:a@b.example?subject=x",)}, "more than an address"),
        ({}, {"unsubscribe": ("mailto:nobody",)}, "--unsubscribe mailto:"),
        ({}, {"unsubscribe": ("mailto:zoë@example.com",)}, "plain ASCII"),
    ],
)
def test_what_cannot_be_honoured_stops_the_start(
    values: dict[str, str], given: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        asked(tmp_path, values, **given)

    assert caught.value.fix


def test_file_that_holds_no_key_is_named_with_its_option(tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("email\n", encoding="ascii")

    with pytest.raises(UsageError, match=r"list\.csv of --dkim-key holds no private key") as caught:
        asked(tmp_path, {}, dkim="s@example.com", dkim_key=file)

    assert "openssl genrsa" in caught.value.fix


def test_key_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "dkim.der"
    key.write_bytes(b"\xff\xfe")

    with pytest.raises(UsageError, match="it is no text"):
        keys_of(settings(tmp_path), key)


@pytest.mark.parametrize("content", ['MAILBLAST_UNSUBSCRIBE_SECRET="x"\n', f'MAILBLAST_DKIM_KEY="{PEM}"\n'])
def test_env_file_with_a_secret_that_others_may_read_is_warned_of(content: str, tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(content)
    path.chmod(0o644)

    assert ["chmod 600 .env" in warning for warning in settings(tmp_path).warnings] == [True]

"""``suppress import --from``: the lists that SES and SendGrid keep for an account."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from servers.aws_http import ENVIRONMENT
from servers.sendgrid_fake import KEY, SendgridFake, errors, serving
from servers.ses_fake import Script, SesFake
from words import json_of

from mailblast.cli import suppression_intake, suppression_provider
from mailblast.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator

#: 2026-10-01T08:00:00Z
OCTOBER_S = 1_790_841_600


@pytest.fixture(autouse=True)
def _aws(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def sendgrid(monkeypatch: pytest.MonkeyPatch) -> Iterator[SendgridFake]:
    monkeypatch.setenv("SENDGRID_API_KEY", KEY)
    with serving(SendgridFake()) as running:
        yield running


def dsn(fake: SendgridFake) -> str:
    return f"sendgrid://?endpoint=http://127.0.0.1:{fake.port}"


def exported(capsys: pytest.CaptureFixture[str]) -> list[str]:
    capsys.readouterr()
    assert 0 == run(["suppress", "export"])
    return capsys.readouterr().out.splitlines()[1:]


def test_ses_list_is_taken_with_reasons_and_days(capsys: pytest.CaptureFixture[str]) -> None:
    run(["suppress", "add", "known@example.com"])
    # More than two pages.
    many = [(f"user{number}@example.com", "BOUNCE", float(OCTOBER_S)) for number in range(2_100)]
    angry = [("Angry@Example.com", "COMPLAINT", OCTOBER_S + 1.0), ("known@example.com", "BOUNCE", 1.0)]
    with SesFake(Script(suppressed=(*many, *angry))).run_in_thread() as server:
        capsys.readouterr()
        assert 0 == run(["suppress", "import", "--from", server.dsn()])
        assert "ses:eu-west-1 lists 2,101 bounce, 1 complaint: 2,101 added, 1 were on the list already\n" == (
            capsys.readouterr().out
        )
        assert 0 == run(["suppress", "import", "--from", server.dsn(), "--json"])
    assert {
        "added": 0,
        "already_there": 2_102,
        "invalid": 0,
        "provider": "ses:eu-west-1",
        "reasons": {"bounce": 2_101, "complaint": 1},
    } == json_of(capsys)
    rows = exported(capsys)
    assert "angry@example.com,complaint,ses:eu-west-1,2026-10-01T08:00:01Z" in rows
    assert "user2099@example.com,bounce,ses:eu-west-1,2026-10-01T08:00:00Z" in rows
    # What was there stays as it was.
    assert any(row.startswith("known@example.com,manual,") for row in rows)


def test_sendgrid_lists_are_taken_each_by_its_name(sendgrid: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    sendgrid.suppressions = {
        "bounces": [{"email": f"b{number}@example.com", "created": OCTOBER_S} for number in range(501)],
        "spam_reports": [{"email": "s@example.com", "created": OCTOBER_S}],
        "unsubscribes": [{"email": "u@example.com", "created": OCTOBER_S}],
        # None of these may become an entry of a whole domain, or of a hash.
        "invalid_emails": [{"email": "example.org"}, {"email": "@example.net"}, {"email": "a" * 64}],
        "blocks": [{"email": "full@example.com", "created": OCTOBER_S}],
    }
    assert 0 == run(["suppress", "import", "--from", dsn(sendgrid)])
    assert capsys.readouterr().out.endswith(
        "lists 501 bounce, 1 complaint, 1 unsubscribe: 503 added, 0 were on the list already, 3 are no addresses\n"
    )
    rows = exported(capsys)
    assert 503 == len(rows)
    assert any(row.startswith("b500@example.com,bounce,sendgrid") for row in rows)
    (gone,) = (row for row in rows if row.startswith("u@"))
    assert gone.endswith(" unsubscribes,2026-10-01T08:00:00Z")
    assert 0 == run(["suppress", "check", "ada@example.org", "full@example.com"])


def test_list_that_breaks_off_is_kept_as_far_as_it_came(
    sendgrid: SendgridFake, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suppression_intake, "ROWS", 2)
    monkeypatch.setattr(suppression_provider, "TELL_EVERY", 2)
    sendgrid.suppressions["bounces"] = [{"email": f"b{number}@example.com"} for number in range(3)]
    sendgrid.broken["suppression/unsubscribes"] = 403, errors("access forbidden")
    assert 4 == run(["suppress", "import", "--from", dsn(sendgrid)])
    told = capsys.readouterr().err
    assert "mailblast: 2 read from sendgrid\n" in told
    assert "3 were added before sendgrid" in told
    assert "did not show its list 'unsubscribes': 403" in told
    assert 3 == len(exported(capsys))


def test_ses_key_that_may_not_read_the_list_is_told_the_right_it_lacks(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(errors={"ListSuppressedDestinations": [("AccessDeniedException", "not authorized")]})
    with SesFake(script).run_in_thread() as server:
        assert 4 == run(["suppress", "import", "--from", server.dsn(), "--json"])
    told = json_of(capsys)
    assert "Amazon SES did not show its suppression list: AccessDeniedException: not authorized." == told["error"]
    assert "ses:ListSuppressedDestinations" in told["fix"]
    assert 4 == told["exit_code"]


def test_provider_that_is_away_and_key_that_is_missing_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
    assert 4 == run(["suppress", "import", "--from", f"ses://eu-west-1?endpoint={endpoint}"])
    assert "Amazon SES cannot be reached" in capsys.readouterr().err
    monkeypatch.setenv("SENDGRID_API_KEY", KEY)
    assert 4 == run(["suppress", "import", "--from", f"sendgrid://?endpoint={endpoint}"])
    assert "SendGrid cannot be reached" in capsys.readouterr().err
    monkeypatch.delenv("SENDGRID_API_KEY")
    assert 2 == run(["suppress", "import", "--from", "sendgrid"])
    assert "SENDGRID_API_KEY" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--from", "smtp://127.0.0.1:25"], "keeps no list of whom it does not mail. Give --from ses://REGION"),
        (["list.csv", "--from", "ses"], "--from takes the provider's own list. Leave out FILE"),
        (["--from", "ses", "--reason", "manual"], "--from takes the provider's own list."),
        ([], "There is nothing to import. Give a FILE, or --from"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 2 == run(["suppress", "import", *words])
    assert told in capsys.readouterr().err

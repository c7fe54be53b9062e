from __future__ import annotations

from pathlib import Path

import pytest
from words import a_list, a_template, json_of, sent

from mailblast.cli.app import run
from mailblast.message.unsubscribe import TokenMaker
from mailblast.model.secret import Secret

SECRET = "a secret of its own"
TOKEN = TokenMaker(Secret(SECRET)).token("news.example.com", "Ann@example.com")


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_UNSUBSCRIBE_SECRET", SECRET)


def test_token_puts_its_address_on_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == run(["suppress", "token", TOKEN])
    assert "Ann@example.com left news.example.com" in capsys.readouterr().out
    assert 1 == run(["suppress", "check", "ann@example.com"])
    out = capsys.readouterr().out
    assert "unsubscribe" in out
    assert "from link of news.example.com" in out


def test_token_of_nobody_is_code_1_and_the_others_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert 1 == run(["suppress", "token", TOKEN[:-4] + "AAAA", TOKEN, "--json"])
    document = json_of(capsys)

    assert 1 == document["added"]
    assert [False, True] == [row["valid"] for row in document["tokens"]]
    assert ("Ann@example.com", "news.example.com") == (document["tokens"][1]["address"], document["tokens"][1]["list"])


def test_token_without_the_secret_is_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MAILBLAST_UNSUBSCRIBE_SECRET")
    assert 2 == run(["suppress", "token", TOKEN])

    assert "MAILBLAST_UNSUBSCRIBE_SECRET" in capsys.readouterr().err
    assert not Path(".mailblast").exists()


def test_link_of_a_mail_takes_its_recipient_off(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bulk", a_list(), "-t", a_template(), "-q", "--unsubscribe", "https://example.com/leave/{{ token }}"]
    assert 0 == run(words)
    link = str(sent()[0]["List-Unsubscribe"]).strip("<>")
    assert 0 == run(["suppress", "token", link.rpartition("/")[2]])
    capsys.readouterr()

    assert 1 == run(["suppress", "check", "ann@example.com", "bob@example.org"])
    out = capsys.readouterr().out
    assert "ann@example.com: must not be mailed" in out
    assert "bob@example.org: may be mailed" in out

"""``bulk`` and ``send`` through SendGrid, seen from a server with its rules."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from servers.sendgrid_fake import KEY, Misdeed, SendgridFake, errors, serving
from words import a_list, a_template, json_of

from mailblast.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator

SENDER = ["--from", "Example <sender@example.org>", "-q", "--json"]
HTML = "<title>Hello {{ name }}</title><p>Dear {{ name }}, <b>{{ plan }}</b>{% if plan %}!{% endif %}</p>"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[SendgridFake]:
    monkeypatch.setenv("SENDGRID_API_KEY", KEY)
    with serving(SendgridFake()) as running:
        yield running


def words(fake: SendgridFake, options: str = "") -> list[str]:
    return ["-t", a_template(HTML), *SENDER, "--via", f"sendgrid://?endpoint=http://127.0.0.1:{fake.port}{options}"]


def a_thousand() -> str:
    # An address that our rules take and SendGrid's do not.
    rows = [f"user{number}@example.com,J\xfcrgen & {number},Plan <{number}>" for number in range(999)]
    return a_list([*rows, "zo\xeb@example.com,Zo\xeb,Solo"])


def test_a_thousand_arrive_personalised_and_the_refused_one_is_named(
    fake: SendgridFake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bulk", a_thousand(), *words(fake)]) == 1
    counts = json_of(capsys)["counts"]
    assert (999, 1) == (counts["accepted"], counts["failed"])
    assert {f"user{number}@example.com": 1 for number in range(999)} == Counter(mail.address for mail in fake.mails)
    for mail in fake.mails:
        number = mail.address.removeprefix("user").partition("@")[0]
        assert f"Hello J\xfcrgen & {number}" == mail.subject
        assert mail.html is not None
        assert f"Dear J\xfcrgen &amp; {number}, <b>Plan &lt;{number}&gt;</b>!" in mail.html
        assert mail.text is not None
        assert f"Dear J\xfcrgen & {number}, Plan <{number}>!" in mail.text.replace("*", "")
    # A request holds hundreds.
    assert fake.requests < 15

    assert run(["bulk", a_thousand(), *words(fake)]) == 0
    assert 999 == len(fake.mails)


def test_lost_answers_are_in_doubt_and_held(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.misdeed = lambda number, _document: Misdeed(lose_answer=True) if number == 2 else None
    assert run(["bulk", a_thousand(), *words(fake, "&batch=100&concurrency=1")]) == 1
    counts = json_of(capsys)["counts"]
    assert (899, 100, 1) == (counts["accepted"], counts["in_doubt"], counts["failed"])
    assert run(["bulk", a_thousand(), *words(fake)]) == 1
    assert 999 == len(fake.mails)


def test_too_fast_is_waited_for_and_nobody_fails(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.rate = (2, 1.0)
    rows = [f"user{number}@example.com,N,P" for number in range(22)]
    assert run(["bulk", a_list(rows), *words(fake, "&batch=10&concurrency=1"), "--batch-size", "10"]) == 0
    assert 22 == json_of(capsys)["counts"]["accepted"]
    assert 22 == len({mail.address for mail in fake.mails}) == len(fake.mails)


def test_refused_key_stops_and_leaves_everybody_unsent(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    fake.misdeed = lambda number, _document: Misdeed(403, errors("access forbidden")) if number == 1 else None
    assert run(["bulk", a_thousand(), *words(fake, "&batch=100&concurrency=1")]) == 4
    counts = json_of(capsys)["counts"]
    assert (100, 0, 0) == (counts["accepted"], counts["failed"], counts["in_doubt"])
    fake.misdeed = lambda _number, _document: None
    assert run(["bulk", a_thousand(), *words(fake)]) == 1
    assert 999 == len({mail.address for mail in fake.mails}) == len(fake.mails)


def test_send_gives_the_id_that_sendgrid_gave(fake: SendgridFake, capsys: pytest.CaptureFixture[str]) -> None:
    via = ["--via", f"sendgrid://?endpoint=http://127.0.0.1:{fake.port}"]
    assert run(["send", "--to", "ann@example.com", "--text", "Hi", "--subject", "S", *SENDER, *via]) == 0
    assert '"provider_id": "fake-0"' in capsys.readouterr().out
    assert [("ann@example.com", "S", None)] == [(mail.address, mail.subject, mail.html) for mail in fake.mails]

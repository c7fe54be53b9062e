from __future__ import annotations

import json
from email import message_from_bytes
from pathlib import Path

import pytest
from reports import a_bounce, a_complaint, an_answer
from words import a_list, a_template, json_of

from mailblast.cli.app import run
from mailblast.clock import SystemClock
from mailblast.journal.journal import Journal

ROWS = ["ann@example.com,Ann,x", "bob@example.com,Bob,y", "cyd@example.com,Cyd,z", "dan@example.com,Dan,z"]


@pytest.fixture
def message_ids() -> dict[str, str]:
    """Mail a list into an outbox; return the Message-IDs by address."""
    assert run(["bulk", a_list(ROWS), "-t", a_template(), "-q"]) == 0
    messages = [message_from_bytes(path.read_bytes()) for path in Path("outbox/new").iterdir()]
    return {message["To"].rpartition("<")[2].rstrip(">"): message["Message-ID"] for message in messages}


def a_mailbox(*messages: bytes) -> str:
    Path("back").mkdir()
    for number, message in enumerate(messages):
        Path(f"back/{number}.eml").write_bytes(message)
    return "back"


def to(address: str, **fields: str) -> dict[str, str]:
    return {"Final-Recipient": f"rfc822; {address}", **fields}


def test_bounces_correct_the_campaign_and_suppress(
    message_ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    box = a_mailbox(
        a_bounce(message_ids["ann@example.com"], to("ann@example.com")),
        a_bounce(message_ids["bob@example.com"], to("bob@example.com", Status="5.2.2")),
        a_complaint(message_ids["cyd@example.com"], address=""),
        an_answer(),
        a_bounce("<other@example.net>"),
    )
    capsys.readouterr()
    assert run(["bounces", box, "-o", "events.jsonl", "--json"]) == 0
    document = json_of(capsys)
    assert {"hard": 1, "soft": 1, "complaint": 1, "other": 0, "none": 0, "unknown": 1} == document["reports"]
    assert (5, 1, 2, 2) == tuple(document[name] for name in ("messages", "no_report", "suppressed", "corrected"))
    lines = [json.loads(line) for line in Path("events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert ["ann@example.com", "bob@example.com", "cyd@example.com", "ada@example.com"] == [
        line["address"] for line in lines
    ]
    assert [True, False, True, False] == [line["suppressed"] for line in lines]
    assert run(["status", "welcome-list", "--json"]) == 0
    counts = json_of(capsys)["counts"]
    assert (2, 2) == (counts["accepted"], counts["failed"])
    assert run(["suppress", "check", "ann@example.com", "bob@example.com", "cyd@example.com"]) == 1
    out = capsys.readouterr().out
    assert "ann@example.com: must not be mailed: bounce" in out
    assert "bob@example.com: may be mailed" in out
    assert "cyd@example.com: must not be mailed: complaint" in out
    run(["failures", "welcome-list"])
    assert "bounced: 550 5.1.1" in capsys.readouterr().out


def test_bounces_read_twice_do_what_once_does(message_ids: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    box = a_mailbox(a_bounce(message_ids["ann@example.com"], to("ann@example.com")))
    assert run(["bounces", box]) == 0
    capsys.readouterr()
    assert run(["bounces", box, box, "--json"]) == 0
    document = json_of(capsys)
    assert (0, 0) == (document["suppressed"], document["corrected"])


def test_bounces_dry_run_changes_nothing(message_ids: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    box = a_mailbox(a_bounce(message_ids["ann@example.com"], to("ann@example.com")))
    assert run(["bounces", box, "--dry-run"]) == 0
    assert "1 recipients would be corrected" in capsys.readouterr().out
    assert run(["suppress", "check", "ann@example.com"]) == 0
    assert run(["bounces", box, "--no-suppress"]) == 0
    assert "1 recipients corrected in their campaigns, 0 suppressed" in capsys.readouterr().out
    assert run(["suppress", "check", "ann@example.com"]) == 0


@pytest.mark.usefixtures("message_ids")
def test_bounces_that_are_forged_suppress_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    forged = a_bounce("<0123456789abcdef.0123456789abcdef@example.com>", to("ann@example.com"))
    assert run(["bounces", a_mailbox(forged), "--json"]) == 0
    assert 1 == json_of(capsys)["reports"]["unknown"]
    assert run(["suppress", "check", "ann@example.com"]) == 0


def test_bounce_of_a_forwarded_message_is_its_recipients(
    message_ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(["bounces", a_mailbox(a_bounce(message_ids["dan@example.com"], to("dan.new@elsewhere.example")))])
    assert run(["suppress", "check", "dan@example.com"]) == 1
    assert run(["suppress", "check", "dan.new@elsewhere.example"]) == 0


def test_bounces_of_a_campaign_that_runs_are_left_for_later(
    message_ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    box = a_mailbox(a_bounce(message_ids["ann@example.com"], to("ann@example.com")))
    with Journal.open(Path(".mailblast").absolute(), "welcome-list", clock=SystemClock()):
        assert run(["bounces", box]) == 5
    assert "a run holds it" in capsys.readouterr().err
    assert run(["bounces", box]) == 0
    assert "1 recipients corrected" in capsys.readouterr().out


def test_bounces_say_what_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bounces", "missing"]) == 3
    assert "missing cannot be read" in capsys.readouterr().err
    box = a_mailbox(an_answer())
    assert run(["bounces", box, "-o", "no/where"]) == 2
    Path(box, "large").write_bytes(b"")
    with Path(box, "large").open("wb") as file:
        file.truncate(20_000_001)
    assert run(["bounces", box]) == 1


def test_bounces_go_on_without_a_damaged_campaign(
    message_ids: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path(".mailblast/broken").mkdir()
    Path(".mailblast/broken/journal.sqlite3").write_bytes(b"x" * 5_000)
    assert run(["bounces", a_mailbox(a_bounce(message_ids["ann@example.com"], to("ann@example.com")))]) == 1
    output = capsys.readouterr()
    assert "1 recipients corrected" in output.out
    assert "broken" in output.err

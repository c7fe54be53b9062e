"""The do-not-mail list, asked right before each batch of a run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.scripted_smtp import Script, ScriptedSmtp
from words import a_list, a_template, json_of, sent

from mailblast.cli.app import run
from mailblast.recipients.suppression import SuppressionList
from mailblast.recipients.suppression_entry import Reason, SuppressionEntry

if TYPE_CHECKING:
    from collections.abc import Iterator

HOME = Path(".mailblast")
BULK = ("bulk", "list.csv", "-t", "welcome.html", "-q", "--json")
ROWS = ("ann@example.com,Ann,Team", "bob@example.org,Bob,Solo", "eve@example.net,Eve,Solo")


@pytest.fixture(autouse=True)
def _inputs() -> None:
    a_template()
    a_list(ROWS)


@pytest.fixture
def server() -> Iterator[ScriptedSmtp]:
    with ScriptedSmtp().run_in_thread() as running:
        yield running


def suppress(*subjects: str) -> None:
    HOME.mkdir(exist_ok=True)
    with SuppressionList(HOME) as entries:
        entries.add([SuppressionEntry(each, Reason.UNSUBSCRIBE, "a test", time.time()) for each in subjects])


def on_list() -> list[str]:
    with SuppressionList(HOME) as entries:
        return [entry.subject for entry in entries.entries()]


def by_smtp(server: ScriptedSmtp) -> list[str]:
    return ["--via", server.dsn, "--from", "news@example.com"]


@pytest.mark.parametrize("processes", ["1", "2"])
def test_suppressed_get_nothing_and_are_counted(
    processes: str, server: ScriptedSmtp, capsys: pytest.CaptureFixture[str]
) -> None:
    suppress("bob@example.org", "@example.net")
    assert run([*BULK, *by_smtp(server), "--processes", processes]) == 0
    document = json_of(capsys)
    assert ["ann@example.com"] == server.accepted_rcpts()
    assert (1, 2, 3) == (document["counts"]["accepted"], document["counts"]["suppressed"], document["rows"])
    assert document["this_run"]["rows"] == sum(document["this_run"]["counts"].values())


def test_suppressed_ones_taken_off_the_list_are_sent_to_by_the_next_run(capsys: pytest.CaptureFixture[str]) -> None:
    suppress("bob@example.org")
    assert run([*BULK]) == 0
    assert 2 == len(sent())
    capsys.readouterr()
    assert run(["suppress", "remove", "bob@example.org"]) == 0
    capsys.readouterr()
    assert run([*BULK]) == 0
    assert (3, 0) == ((counts := json_of(capsys)["counts"])["accepted"], counts["suppressed"])
    assert 3 == len(sent())


def test_entry_added_during_a_run_counts(server: ScriptedSmtp, capsys: pytest.CaptureFixture[str]) -> None:
    a_list([f"user{number}@example.com,N,P" for number in range(400)])
    server.on_body = lambda _rcpt: suppress("user399@example.com") if not on_list() else None
    assert run([*BULK, *by_smtp(server), "--batch-size", "10", "--batches", "1", "--connections", "1"]) == 0
    counts = json_of(capsys)["counts"]
    assert (399, 1) == (counts["accepted"], counts["suppressed"])
    assert "user399@example.com" not in server.accepted_rcpts()


def test_second_try_asks_the_list_again(server: ScriptedSmtp, capsys: pytest.CaptureFixture[str]) -> None:
    a_list(["451-at-rcpt+1@example.com,Grey,P", "ann@example.com,Ann,P"])
    arguments = [*BULK, *by_smtp(server)]
    assert run([*arguments, "--retry-for", "0"]) == 1
    assert 1 == json_of(capsys)["counts"]["deferred"]
    suppress("451-at-rcpt+1@example.com")
    commands = server.client_bytes.count(b"451-at-rcpt")
    assert run(arguments) == 0
    counts = json_of(capsys)["counts"]
    assert (1, 1, 0) == (counts["accepted"], counts["suppressed"], counts["deferred"])
    assert commands == server.client_bytes.count(b"451-at-rcpt")


@pytest.mark.parametrize("processes", ["1", "2"])
@pytest.mark.parametrize("asked", [True, False])
def test_hard_bounce_goes_on_the_list_where_asked(
    processes: str, capsys: pytest.CaptureFixture[str], *, asked: bool
) -> None:
    script = Script(faults={"rcpt": b"550 5.1.1 No such user\r\n"})
    with ScriptedSmtp(script).run_in_thread() as server:
        flag = ["--suppress-hard-bounces"] if asked else []
        assert run([*BULK, *by_smtp(server), "--processes", processes, *flag]) == 1
    assert 3 == json_of(capsys)["counts"]["failed"]
    assert (["ann@example.com", "bob@example.org", "eve@example.net"] if asked else []) == on_list()


def test_refusal_that_is_not_of_the_address_never_goes_on_the_list(server: ScriptedSmtp) -> None:
    a_list(["550-at-dot@example.com,A,x"])
    assert run([*BULK, *by_smtp(server), "--suppress-hard-bounces"]) == 1
    assert [] == on_list()


def test_damaged_list_stops_the_run_and_nobody_is_mailed(
    server: ScriptedSmtp, capsys: pytest.CaptureFixture[str]
) -> None:
    HOME.mkdir()
    (HOME / "suppressions.sqlite3").write_bytes(b"not a database at all" * 100)
    assert run([*BULK, *by_smtp(server)]) == 4
    assert "do-not-mail list" in capsys.readouterr().err
    assert [] == server.messages


def test_dry_run_counts_the_suppressed(capsys: pytest.CaptureFixture[str]) -> None:
    suppress("bob@example.org")
    assert run([*BULK, "--dry-run"]) == 0
    document = json_of(capsys)
    assert (2, 1) == (document["messages"], document["counts"]["suppressed"])
    assert not Path("outbox").exists()


def test_test_message_to_one_on_the_list_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    suppress("me@example.com")
    assert run([*BULK, "--test-to", "me@example.com"]) == 2
    assert "mailblast suppress remove me@example.com" in capsys.readouterr().err
    assert not Path("outbox").exists()


def test_send_gives_suppressed_ones_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    suppress("bob@example.org")
    words = ["--to", "ann@example.com", "--to", "bob@example.org", "--text", "Hi", "-s", "S", "--json"]
    assert run(["send", *words]) == 0
    messages = {each["address"]: each["outcome"] for each in json.loads(capsys.readouterr().out)["messages"]}
    assert {"ann@example.com": "accepted", "bob@example.org": "suppressed"} == messages
    assert ["ann@example.com"] == [str(message["To"]) for message in sent()]


def test_send_that_cannot_begin_keeps_the_outcome_of_the_suppressed(capsys: pytest.CaptureFixture[str]) -> None:
    suppress("bob@example.org")
    with ScriptedSmtp().run_in_thread() as server:
        away = server.dsn
    words = [
        "--to",
        "ann@example.com",
        "--to",
        "bob@example.org",
        "--text",
        "Hi",
        "-s",
        "S",
        "--json",
        "--from",
        "a@b.c",
    ]
    assert run(["send", *words, "--via", away]) == 4
    document = json.loads(capsys.readouterr().out)
    messages = {each["address"]: each["outcome"] for each in document["messages"]}
    assert {"ann@example.com": "unsent", "bob@example.org": "suppressed"} == messages
    assert (1, 1) == (document["counts"]["unsent"], document["counts"]["suppressed"])

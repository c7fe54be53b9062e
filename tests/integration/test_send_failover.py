"""``send``, ``verify`` and test messages with a provider that stands by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.scripted_smtp import Script, ScriptedSmtp
from words import a_list, a_template

from mailblast.cli.app import run
from mailblast.recipients.suppression import SuppressionList

if TYPE_CHECKING:
    from collections.abc import Iterator

REFUSED = Script(faults={"mail": b"550 5.4.5 Daily user sending limit exceeded\r\n"})
SEND = ["send", "--to", "ann@example.com", "--to", "bob@example.com", "--text", "Hi", "-s", "S", "--json"]
SENDER = ["--from", "news@example.com"]


@pytest.fixture
def refusing() -> Iterator[ScriptedSmtp]:
    with ScriptedSmtp(REFUSED).run_in_thread() as running:
        yield running


@pytest.fixture
def second() -> Iterator[ScriptedSmtp]:
    with ScriptedSmtp().run_in_thread() as running:
        yield running


@pytest.fixture
def away() -> str:
    with ScriptedSmtp().run_in_thread() as running:
        return running.dsn


def test_send_goes_by_the_second_where_the_first_refuses(
    refusing: ScriptedSmtp, second: ScriptedSmtp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*SEND, *SENDER, "--via", refusing.dsn, "--via", second.dsn]) == 0
    captured = capsys.readouterr()
    assert ["accepted", "accepted"] == [each["outcome"] for each in json.loads(captured.out)["messages"]]
    assert ["ann@example.com", "bob@example.com"] == sorted(second.accepted_rcpts())
    assert captured.err.count("going on with") == 1


def test_send_goes_by_the_second_where_the_first_is_away(
    away: str, second: ScriptedSmtp, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*SEND, *SENDER, "--via", away, "--via", second.dsn]) == 0
    assert 2 == len(second.messages)
    assert "going on with" in capsys.readouterr().err


def test_send_that_both_refuse_is_code_four(refusing: ScriptedSmtp, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedSmtp(REFUSED).run_in_thread() as other:
        assert run([*SEND, *SENDER, "--via", refusing.dsn, "--via", other.dsn]) == 4
    assert ["unsent", "unsent"] == [each["outcome"] for each in json.loads(capsys.readouterr().out)["messages"]]


def test_test_message_goes_by_the_second_where_the_first_is_away(
    away: str, second: ScriptedSmtp, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bulk", a_list(), "-t", a_template(), *SENDER, "--test-to", "me@example.com"]
    assert run([*words, "--via", away, "--via", second.dsn]) == 0
    assert ["me@example.com"] == second.accepted_rcpts()
    assert "going on with" in capsys.readouterr().err


def test_verify_checks_each_provider(away: str, second: ScriptedSmtp, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--via", second.dsn, "--via", away, "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert {"ok", "error"} <= {check["level"] for check in checks}
    assert [] == second.messages


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--via", "smtp://127.0.0.1:1", "--via", "smtp://127.0.0.1:2"], "goes by one provider"),
        (["--token-command", "echo x"], "--token-command is not queued"),
    ],
)
def test_queue_takes_no_option_that_it_cannot_honour(
    more: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bulk", a_list(), "-t", a_template(), *SENDER, "--queue", *more]) == 2
    assert what in capsys.readouterr().err


def test_hard_bounces_of_a_queued_campaign_go_on_the_list() -> None:
    script = Script(faults={"rcpt": b"550 5.1.1 No such user\r\n"})
    with ScriptedSmtp(script).run_in_thread() as server:
        words = ["bulk", a_list(), "-t", a_template(), *SENDER, "--via", server.dsn]
        assert run([*words, "--queue", "--suppress-hard-bounces"]) == 0
        assert run(["worker", "--once", "-q"]) == 1
    with SuppressionList(Path(".mailblast")) as entries:
        assert ["ann@example.com", "bob@example.org"] == [entry.subject for entry in entries.entries()]

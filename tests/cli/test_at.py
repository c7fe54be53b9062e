"""``--at``: mail that goes later."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.sendgrid_fake import KEY, SendgridFake, serving
from words import a_list, a_template, json_of, sent

from mailblast.cli import at
from mailblast.cli.app import run
from mailblast.cli.scheduled import read_scheduled
from mailblast.cli.terminal import Terminal
from mailblast.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

SENDER = ["--from", "Example <sender@example.org>", "-q", "--json"]
SEND = ["send", "--to", "ann@example.com", "--text", "Hi", "-s", "S"]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[SendgridFake]:
    monkeypatch.setenv("SENDGRID_API_KEY", KEY)
    with serving(SendgridFake()) as running:
        yield running


def via(fake: SendgridFake) -> list[str]:
    return ["--via", f"sendgrid://?endpoint=http://127.0.0.1:{fake.port}"]


def bulk(*more: str) -> list[str]:
    return ["bulk", a_list(), "-t", a_template(), *SENDER, *more]


@pytest.mark.parametrize("command", ["bulk", "send"])
def test_sendgrid_keeps_it_until_then_and_it_is_on_record(
    command: str, fake: SendgridFake, capsys: pytest.CaptureFixture[str]
) -> None:
    before_s = time.time()
    words = bulk("--processes", "2") if command == "bulk" else [*SEND, *SENDER]
    assert run([*words, *via(fake), "--at", "90m"]) == 0
    assert json_of(capsys)["counts"]["accepted"] == len(fake.mails) > 0
    (record,) = read_scheduled(Path(".mailblast", "welcome-list" if command == "bulk" else "send"))
    assert {(record.send_at_s, record.batch_id)} == {(mail.send_at, mail.batch_id) for mail in fake.mails}
    assert before_s + 5400 <= record.send_at_s <= time.time() + 5402


@pytest.mark.parametrize(
    ("more", "what"),
    [
        (["--at", "yesterday"], "is no time"),
        (["--at", "2020-01-01"], "not in the future"),
        (["--at", "9m", "--test-to", "me@example.com"], "--test-to sends at once"),
        (["--at", "9m", "--queue"], "goes when a worker is there"),
    ],
)
def test_bulk_at_that_cannot_be_honoured_is_code_two(
    more: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bulk(*more)) == 2
    assert what in capsys.readouterr().err
    assert not Path("outbox").exists()


@pytest.mark.parametrize(
    ("more", "what"),
    [(["--at", "4321m"], "at most 72 hours"), (["--at", "9m", "--via", "smtp://127.0.0.1:9"], "cannot move")],
)
def test_sendgrid_at_that_it_does_not_keep_is_code_two(
    more: list[str], what: str, fake: SendgridFake, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(bulk(*via(fake), *more)) == 2
    assert what in capsys.readouterr().err
    assert [] == fake.mails


def soon(monkeypatch: pytest.MonkeyPatch, seconds: int = 2) -> None:
    monkeypatch.setattr(at, "parse_when", lambda _text, now_s: int(now_s) + seconds)


@pytest.mark.parametrize("command", ["bulk", "send"])
def test_other_providers_are_waited_for(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    soon(monkeypatch)
    begun_s = time.time()
    assert run([*(bulk() if command == "bulk" else [*SEND, *SENDER]), "--at", "1m"]) == 0
    assert time.time() >= int(begun_s) + 2
    assert sent()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signal_ends_the_wait_and_nothing_is_sent(number: signal.Signals, code: int) -> None:
    words = [word for word in bulk("--at", "90m") if word != "-q"]
    process = subprocess.Popen([sys.executable, "-m", "mailblast", *words], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    line = process.stderr.readline()
    while "waiting until" not in line:
        assert line, "it has ended"
        line = process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert code == process.returncode, err
    assert "Traceback" not in err
    assert not Path("outbox").exists()


def test_time_that_is_past_when_the_wait_begins_is_not_waited_for() -> None:
    begun_s = time.monotonic()
    at.wait_for(int(time.time()) - 5, Terminal(quiet=True), SystemClock())
    assert time.monotonic() - begun_s < 1

"""Whole runs against an account with limits, moods and lost answers: outcomes, exit codes, and what SES has seen."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.aws_http import ENVIRONMENT
from servers.mailblast_process import a_list, a_template
from servers.ses_fake import Script, SesFake
from words import json_of

from mailblast.cli.app import run
from mailblast.cli.pacing import FOLDER

if TYPE_CHECKING:
    from collections.abc import Sequence

WORDS = ["bulk", "list.csv", "-t", "welcome.html", "--from", "sender@example.com", "--json", "-q", "--retry-for", "0"]
LIMITS = Path(".mailblast", FOLDER)


@pytest.fixture(autouse=True)
def _setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    a_template()


def bulk(server: SesFake, options: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Counter[str]]:
    """Run; return exit code and the campaign's counts."""
    code = run([*WORDS, "--via", server.dsn(options), *words])
    return code, Counter(json_of(capsys)["counts"])


def most_in_a_second(times: Sequence[float]) -> int:
    return max(sum(begin <= time < begin + 1.0 for time in times) for begin in times)


@pytest.mark.parametrize("mode", ["raw", "bulk"])
def test_rate_of_the_account_is_kept_and_used(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    a_list(43)
    with SesFake(Script(rate_per_s=14)).run_in_thread() as server:
        code, counts = bulk(server, f"mode={mode}", capsys)
    assert (0, 43) == (code, counts["accepted"])
    times = [sent.time_s for sent in server.sent]
    assert most_in_a_second(times) <= 15
    assert 42 / (times[-1] - times[0]) >= 0.97 * 14
    assert 43 == sum(recipients for name, recipients in server.calls if name.startswith("Send"))


@pytest.mark.parametrize("mode", ["raw", "bulk"])
def test_quota_leaves_the_rest_unsent_and_the_next_day_finishes(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    addresses = a_list(1000)
    with SesFake(Script(quota=500)).run_in_thread() as server:
        code, counts = bulk(server, f"mode={mode}", capsys)
        assert (4, 500, 500) == (code, counts["accepted"], counts["unsent"])
        # A day later: SES counts anew, and so does this machine.
        server.script.sent_before = -len(server.sent)
        shutil.rmtree(LIMITS)
        code, counts = bulk(server, f"mode={mode}", capsys)
    assert (0, 1000) == (code, counts["accepted"])
    assert dict.fromkeys(addresses, 1) == Counter(server.recipients())


def test_entries_of_one_call_have_their_own_outcomes(capsys: pytest.CaptureFixture[str]) -> None:
    named = {
        "status-MESSAGE_REJECTED": "failed",
        "status-INVALID_PARAMETER": "failed",
        "status-TRANSIENT_FAILURE": "accepted",
        "status-ACCOUNT_THROTTLED": "accepted",
        "status-FAILED": "accepted",
        "good": "accepted",
    }
    addresses = a_list([f"{name}+1@example.org" for name in named])
    with SesFake(Script(rate_per_s=500)).run_in_thread() as server:
        for name in ("status-TRANSIENT_FAILURE", "status-ACCOUNT_THROTTLED"):
            server.script.statuses[f"{name}+1@example.org"] = [name.partition("-")[2], "SUCCESS"]
        code, counts = bulk(server, "mode=bulk", capsys)
        assert 0 == run(["failures", "welcome-list", "--state", "failed", "-o", "failed.jsonl"])
    assert 1 == code
    assert {"failed": 2, "accepted": 4} == {state: count for state, count in counts.items() if count}
    rows = [json.loads(line) for line in Path("failed.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {address for address, state in zip(addresses, named.values(), strict=True) if state == "failed"} == {
        row["email"] for row in rows
    }
    assert all("scripted for" in row["reason"] for row in rows)
    assert {"raw": 1} == Counter(sent.kind for sent in server.sent if sent.recipient.startswith("status-FAILED"))


@pytest.mark.parametrize(
    ("kind", "text", "part"),
    [
        ("SendingPausedException", "Email sending is disabled.", "paused"),
        ("AccountSuspendedException", "Your account is suspended.", "Support Center"),
        ("MailFromDomainNotVerifiedException", "Domain is not verified.", "MAIL FROM"),
    ],
)
@pytest.mark.parametrize("mode", ["raw", "bulk"])
def test_account_that_is_refused_stops_the_run_and_keeps_the_rest(
    mode: str, kind: str, text: str, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_list(300)
    operation = "SendEmail" if mode == "raw" else "SendBulkEmail"
    with SesFake(Script(errors={operation: [(kind, text)] * 300})).run_in_thread() as server:
        code = run([*WORDS, "--via", server.dsn(f"mode={mode}&concurrency=2")])
        captured = capsys.readouterr()
        counts = json.loads(captured.out)["counts"]
        assert (4, 0, 0) == (code, counts["failed"], counts["accepted"])
        assert part in captured.err
        server.script.errors.clear()
        code, counts = bulk(server, f"mode={mode}", capsys)
    assert (0, 300) == (code, counts["accepted"])
    assert 300 == len(server.sent)


def test_unverified_sender_stops_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(100)
    with SesFake(Script(identities={"example.net": True})).run_in_thread() as server:
        code = run([*WORDS, "--via", server.dsn("concurrency=1")])
    captured = capsys.readouterr()
    assert (4, 0) == (code, json.loads(captured.out)["counts"]["failed"])
    assert "Verify the sender" in captured.err, captured.err


@pytest.mark.parametrize("mode", ["raw", "bulk"])
def test_throttled_calls_are_repeated_until_all_are_accepted_once(
    mode: str, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = a_list(60)
    operation = "SendEmail" if mode == "raw" else "SendBulkEmail"
    throttled = ("TooManyRequestsException", "Maximum sending rate exceeded.")
    with SesFake(Script(rate_per_s=200, errors={operation: [throttled] * 2})).run_in_thread() as server:
        code, counts = bulk(server, f"mode={mode}", capsys)
    assert (0, 60) == (code, counts["accepted"])
    assert dict.fromkeys(addresses, 1) == Counter(server.recipients())


@pytest.mark.parametrize("mode", ["raw", "bulk"])
def test_lost_answers_are_in_doubt_and_nobody_is_mailed_twice(mode: str, capsys: pytest.CaptureFixture[str]) -> None:
    addresses = a_list([*(f"user{number}@example.org" for number in range(200)), "lost@example.org"])
    with SesFake(Script()).run_in_thread() as server:
        code, counts = bulk(server, f"mode={mode}", capsys)
        assert 1 == code
        assert 201 == counts["accepted"] + counts["in_doubt"]
        assert 1 <= counts["in_doubt"] <= (1 if mode == "raw" else 50)
        code, again = bulk(server, f"mode={mode}", capsys)
        assert (1, counts) == (code, again)
    assert dict.fromkeys(addresses, 1) == Counter(server.recipients())


def test_ses_that_is_not_there_leaves_all_unsent(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(20)
    with SesFake().run_in_thread() as server:
        pass
    assert 4 == run([*WORDS, "--via", server.dsn()])
    assert "cannot be reached" in capsys.readouterr().err


def test_sandbox_is_told_before_anything_is_sent(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(3)
    with SesFake(Script(production=False, quota=200)).run_in_thread() as server:
        assert 4 == run([*WORDS, "--via", server.dsn()])
        assert "sandbox" in capsys.readouterr().err
        assert [] == server.sent
        code, counts = bulk(server, "sandbox=allow", capsys)
    assert (0, 3) == (code, counts["accepted"])


def test_verify_tells_what_ses_says(capsys: pytest.CaptureFixture[str]) -> None:
    with SesFake(Script(rate_per_s=14, quota=50_000)).run_in_thread() as server:
        assert 0 == run(["verify", "--via", server.dsn(), "--from", "a@example.com", "--json"])
    found = {check["id"]: check["message"] for check in json_of(capsys)["checks"]}
    assert "50,000 of 50,000 recipients left for today" == found["provider.quota"]
    assert "a@example.com is verified, DKIM is signed" == found["provider.sender"]

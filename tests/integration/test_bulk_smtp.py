"""``bulk`` through real SMTP: who got what, seen from the server."""

from __future__ import annotations

import email
import json
import re
from collections import Counter
from email import policy
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.mailblast_process import FULL
from servers.scripted_smtp import Script, ScriptedSmtp
from words import a_list, a_template, body_of, json_of

from mailblast.cli.app import run

if TYPE_CHECKING:
    from email.message import EmailMessage

    from servers.postfix_server import Postfix

#: More than five connections take before they are made anew.
ROWS = 1000 if FULL else 600
SENDER = ["--from", "Example <sender@example.com>", "-q"]


def parsed(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=policy.default)


def a_long_list(extra: int = 0) -> str:
    rows = [f"user{number}@example.com,J\xfcrgen {number},Plan {number}" for number in range(ROWS + extra)]
    path = Path(a_list(rows))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    return str(path)


@pytest.mark.parametrize("pipelining", [True, False])
def test_rows_arrive_once_each_and_personalised(*, pipelining: bool, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script() if pipelining else Script(extensions=("SIZE 52428800",))
    words = ["-t", a_template(), *SENDER, "--json"]
    with ScriptedSmtp(script).run_in_thread() as server:
        via = ["--via", server.dsn]
        assert run(["bulk", a_long_list(), *words, *via]) == 0
        assert json_of(capsys)["counts"]["accepted"] == ROWS
        assert {f"user{number}@example.com": 1 for number in range(ROWS)} == Counter(server.accepted_rcpts())
        for received in server.messages:
            message = parsed(received.content)
            number = re.search(r"\d+", received.rcpts[0])
            assert number is not None
            assert message["Subject"] == f"Hello J\xfcrgen {number[0]}"
            assert f"your plan is Plan {number[0]}." in body_of(message)
            assert message["To"].addresses[0].addr_spec == f"user{number[0]}@example.com"
            assert received.mail.startswith("MAIL FROM:<sender@example.com>")
            assert not message.defects
        assert run(["bulk", "list.csv", *words, *via]) == 0
        assert len(server.messages) == ROWS
        assert run(["bulk", a_long_list(extra=5), *words, *via]) == 0
        assert len(server.messages) == ROWS + 5
        assert {1} == set(Counter(server.accepted_rcpts()).values())
    assert server.most_connections <= 5
    assert server.connections >= ROWS / 100


def test_rows_through_postfix_once_each(postfix: Postfix, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-t", a_template(), *SENDER, "--json", "--via", f"smtp://127.0.0.1:{postfix.port}"]
    assert run(["bulk", a_long_list(), *words]) == 0
    assert json_of(capsys)["counts"]["accepted"] == ROWS
    assert run(["bulk", a_long_list(extra=5), *words]) == 0
    document = json_of(capsys)
    assert (ROWS, 5) == (document["this_run"]["skipped"], document["this_run"]["counts"]["accepted"])
    run(["failures", "welcome-list", "--state", "accepted", "-o", "all.jsonl"])
    rows = [json.loads(line) for line in Path("all.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == ROWS + 5
    assert all("queued as" in row["reason"] for row in rows)


def test_nested_json_bare_list_and_data_reach_the_reader() -> None:
    Path("t.txt").write_text(
        "Subject: {{ name }}\n\n{{ email }}|{{ name }}|{{ data }}|"
        "{% if order is defined %}{{ order.items[0].sku }}{% endif %}\n",
        encoding="utf-8",
    )
    Path("list.jsonl").write_text('{"email": "j@example.com", "order": {"items": [{"sku": "A1"}]}}\n', encoding="utf-8")
    Path("bare.txt").write_text("b@example.com\nc@example.com,Cee,x,y\n", encoding="utf-8")
    with ScriptedSmtp().run_in_thread() as server:
        for source in ("list.jsonl", "bare.txt"):
            assert run(["bulk", source, "-t", "t.txt", *SENDER, "--via", server.dsn]) == 0
    bodies = {str(parsed(received.content).get_content()).strip() for received in server.messages}
    assert bodies == {"j@example.com|there||A1", "b@example.com|there||", "c@example.com|Cee|x, y|"}


def test_refusals_are_told_and_failed_ones_tried_again_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        "ann@example.com,Ann,x",
        "550-at-rcpt@example.com,Bob,x",
        "451-at-rcpt@example.com,Cee,x",
        "dan@example.com,D,x",
    ]
    words = ["-t", a_template(), *SENDER, "--json", "--retry-for", "0", "--campaign", "refused"]
    with ScriptedSmtp().run_in_thread() as server:
        via = ["--via", server.dsn, "--connections", "2", "--messages-per-connection", "3"]
        assert run(["bulk", a_list(rows), *words, *via]) == 1
        counts = json_of(capsys)["counts"]
        assert (2, 1, 1) == (counts["accepted"], counts["failed"], counts["deferred"])
        run(["failures", "refused"])
        report = capsys.readouterr().out
        assert "550" in report
        assert "451" in report

        def rcpts() -> int:
            return server.client_bytes.count(b"RCPT TO:<550-at-rcpt")

        assert run(["bulk", "list.csv", *words, *via]) == 1
        assert rcpts() == 1
        assert run(["bulk", "list.csv", *words, *via, "--retry-failed"]) == 1
        assert rcpts() == 2
        assert server.client_bytes.count(b"RCPT TO:<451-at-rcpt") == 3
        assert len(server.messages) == 2


def test_reply_lost_after_the_dot_is_in_doubt_until_it_is_resent(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-t", a_template(), *SENDER, "--json"]
    script = Script(faults={"dot": "close"}, faulty_connections=1)
    with ScriptedSmtp(script).run_in_thread() as server:
        via = ["--via", server.dsn, "--connections", "1"]
        assert run(["bulk", a_list(), *words, *via]) == 1
        counts = json_of(capsys)["counts"]
        assert (1, 1) == (counts["accepted"], counts["in_doubt"])
        assert run(["bulk", "list.csv", *words, *via]) == 1
        assert json_of(capsys)["this_run"]["held"] == 1
        assert run(["bulk", "list.csv", *words, *via, "--dry-run"]) == 1
        assert json_of(capsys)["held"] == 1
        assert len(server.messages) == 2
        assert run(["bulk", "list.csv", *words, *via, "--resend-in-doubt"]) == 0
        assert json_of(capsys)["counts"]["accepted"] == 2
        first, _, again = server.messages
        assert first.content == again.content


def test_account_that_is_refused_stops_the_run_with_the_rest_unsent(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"user{number}@example.com,U,x" for number in range(300)]
    words = ["-t", a_template(), *SENDER, "--json", "--connections", "1"]
    script = Script(faults={"mail": b"550 5.4.5 Daily user sending limit exceeded\r\n"})
    with ScriptedSmtp(script).run_in_thread() as server:
        assert run(["bulk", a_list(rows), *words, "--via", server.dsn]) == 4
        captured = capsys.readouterr()
        document = json.loads(captured.out)
        assert "5.4.5" in captured.err
        assert document["counts"]["failed"] == 0
        assert document["this_run"]["rows"] == document["counts"]["unsent"] == document["rows"]
        assert document["state"] == "stopped"
        server.script.faults.clear()
        assert run(["bulk", "list.csv", *words, "--via", server.dsn]) == 0
        assert len(server.messages) == 300


def test_send_over_smtp_prints_the_queue_id(postfix: Postfix, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--subject", "s", "--text", "t", *SENDER, "--via", f"smtp://127.0.0.1:{postfix.port}"]
    assert run(["send", "--to", "a@example.com", *words]) == 0
    assert re.fullmatch(r"accepted a@example.com \w+\n", capsys.readouterr().out)


def test_verify_of_a_server_tells_what_it_offers(postfix: Postfix, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", "--via", f"smtp://127.0.0.1:{postfix.port}", "--from", "a@example.com", "--json"]) == 0
    found = {check["id"] for check in json_of(capsys)["checks"]}
    assert "provider.connect" in found
    assert any("PIPELINING" in json.dumps(name) or "pipelining" in name for name in found)

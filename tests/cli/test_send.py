from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from words import a_template, body_of, json_of, sent

from mailblast.cli.app import run


def send(*words: str) -> int:
    return run(["send", *words])


def test_send_template_with_variables_prints_the_providers_id(capsys: pytest.CaptureFixture[str]) -> None:
    Path("data.json").write_text('{"plan": "Team", "name": "Nobody"}', encoding="utf-8")
    words = ["--template", a_template(), "--data", "data.json", "--var", "name=Ann", "-q"]
    assert send("--to", "ann@example.com", *words) == 0
    (message,) = sent()
    assert message["Subject"] == "Hello Ann"
    assert "your plan is Team" in body_of(message)
    out = capsys.readouterr().out
    assert out.startswith("accepted ann@example.com ")
    assert out.split()[2] == next(Path("outbox/new").iterdir()).name


def test_send_text_and_html_to_several_makes_a_message_each(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--subject", "Hi {{ name }}", "--text", "Text", "--html", "<b>HTML</b>", "-q", "--json"]
    assert send("--to", "a@example.com", "--to", "B <b@example.com>", *words) == 0
    document = json_of(capsys)
    assert document["this_run"]["counts"]["accepted"] == 2
    assert [m["address"] for m in document["messages"]] == ["a@example.com", "b@example.com"]
    assert len(sent()) == 2
    assert {"Hi there", "Hi B"} == {message["Subject"] for message in sent()}


def test_send_reads_its_text_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Backup done, {{ name }}\n"))
    assert send("--to", "ops@example.com", "--subject", "Backup", "--text", "-", "--var", "name=Ann", "-q") == 0
    assert body_of(sent()[0]).strip() == "Backup done, Ann"


def test_send_each_call_is_its_own_entry_but_for_an_idempotency_key(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--to", "a@example.com", "--subject", "s", "--text", "t", "-q"]
    assert send(*words) == 0
    assert send(*words) == 0
    assert len(sent()) == 2
    for _ in range(3):
        assert send(*words, "--idempotency-key", "order 7") == 0
    assert len(sent()) == 3
    assert "used before" in capsys.readouterr().out
    run(["status", "send", "--json"])
    assert json_of(capsys)["counts"]["accepted"] == 3


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--to", "a@example.com"], 2, "missing"),
        (["--to", "a@example.com", "--text", "x", "-t", "welcome.html"], 2, "given twice"),
        (["--to", "a@example.com", "--text", "-", "--html", "-", "-s", "x"], 2, "both"),
        (["--to", "a@example.com", "--text", "x"], 3, "ubject"),
        (["--to", "nobody", "--text", "x", "-s", "x"], 2, "--to 'nobody'"),
        (["--to", "a@example.com", "--text", "x", "-s", "x", "--var", "name"], 2, "--var 'name'"),
        (["--to", "a@example.com", "--text", "x", "-s", "x", "--data", "list.json"], 2, "no JSON object"),
        (["--to", "a@example.com", "--text", "x", "-s", "x", "--data", "missing.json"], 2, "missing.json"),
        (["--to", "a@example.com", "--text", "{{ x", "-s", "x"], 3, "the message:1"),
        (
            ["--to", "a@example.com", "--text", "x", "-s", "x", "--via", "smtp://127.0.0.1:1", "--from", "a@b.test"],
            4,
            ":1",
        ),
    ],
)
def test_send_mistake_is_one_line_with_its_code(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_template()
    Path("list.json").write_text("[1]", encoding="utf-8")
    assert code == send(*words)
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_send_that_misses_a_variable_is_invalid_and_exit_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert send("--to", "a@example.com", "--text", "{{ nope }}", "-s", "x", "--json", "-q") == 1
    (message,) = json_of(capsys)["messages"]
    assert message["outcome"] == "invalid"
    assert "nope" in message["reason"]


def test_send_data_with_nesting_reaches_the_template() -> None:
    Path("d.json").write_text(json.dumps({"order": {"total": 9.5}}), encoding="utf-8")
    assert send("--to", "a@example.com", "--text", "{{ order.total }}", "-s", "x", "--data", "d.json", "-q") == 0
    assert body_of(sent()[0]).strip() == "9.5"

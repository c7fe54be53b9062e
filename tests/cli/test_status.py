from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from words import a_list, a_template, json_of

from mailblast.cli.app import run


@pytest.fixture
def _campaign() -> None:
    rows = ["ann@example.com,Ann,x", "bad address,=cmd|x,y", "bob@example.com,Bob,z"]
    assert run(["bulk", a_list(rows), "-t", a_template(), "-q"]) == 1


def test_status_without_campaigns_says_how_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status"]) == 0
    assert "mailblast bulk" in capsys.readouterr().out
    assert run(["status", "--json"]) == 0
    assert json_of(capsys) == {"campaigns": []}


@pytest.mark.usefixtures("_campaign")
def test_status_shows_all_campaigns_or_one(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["status"]) == 0
    assert "welcome-list: complete, 3 rows: 2 accepted, 1 invalid" in capsys.readouterr().out
    assert run(["status", "welcome-list", "--json"]) == 0
    document = json_of(capsys)
    keys = {"campaign", "state", "rows", "counts", "provider", "started", "finished", "duration_s", "rate_per_s"}
    assert keys | {"grade", "exit_code"} <= set(document)
    assert document["exit_code"] == 1
    assert document["grade"] == "A"


def test_status_of_an_unknown_campaign_is_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["status", "nope"], ["failures", "nope"]):
        assert run(command) == 2
        assert "nope" in capsys.readouterr().err


@pytest.mark.usefixtures("_campaign")
def test_failures_can_be_fed_to_bulk_again(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["failures", "welcome-list", "-o", "again.csv"]) == 0
    with Path("again.csv").open(encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["email"] == "bad address"
    assert row["outcome"] == "invalid"
    assert row["name"] == "'=cmd|x"
    text = Path("again.csv").read_text(encoding="utf-8").replace("bad address", "good@example.com")
    Path("again.csv").write_text(text, encoding="utf-8")
    assert run(["bulk", "again.csv", "-t", "welcome.html", "-c", "welcome-list", "-q"]) == 0
    assert run(["failures", "welcome-list", "--state", "accepted", "-o", "all.jsonl"]) == 0
    lines = Path("all.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 3
    assert all(json.loads(line)["outcome"] == "accepted" for line in lines)


@pytest.mark.usefixtures("_campaign")
@pytest.mark.parametrize("words", [["--state", "lost"], ["--state", ""], ["-o", "x.txt"], ["-o", "no/such/x.csv"]])
def test_failures_mistake_is_code_two(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["failures", "welcome-list", *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("_campaign")
def test_failures_as_json_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run(["failures", "welcome-list", "--state", "accepted,invalid", "--json"]) == 0
    document = json_of(capsys)
    assert document["campaign"] == "welcome-list"
    assert ["accepted", "accepted", "invalid"] == [row["outcome"] for row in document["rows"]]
    assert run(["failures", "welcome-list", "--state", "failed", "--json"]) == 0
    assert json_of(capsys)["rows"] == []
    # A file that is asked for is written as well.
    assert run(["failures", "welcome-list", "--state", "accepted", "--json", "-o", "also.jsonl"]) == 0
    rows = json_of(capsys)["rows"]
    assert ["accepted", "accepted"] == [row["outcome"] for row in rows]
    assert rows == [json.loads(line) for line in Path("also.jsonl").read_text(encoding="utf-8").splitlines()]

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from words import json_of

from mailblast.cli.app import run

SHA = sha256(b"eve@example.com").hexdigest()


def test_suppress_add_check_remove(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["suppress", "check", "ada@example.com"]) == 0
    assert run(["suppress", "add", "ada@example.com", "@example.org", "--reason", "complaint", "--source", "call"]) == 0
    assert "2 added, 0 were on the list already" in capsys.readouterr().out
    assert run(["suppress", "check", "Ada@example.com", "x@sub.example.org", "bob@example.net"]) == 1
    out = capsys.readouterr().out
    assert "Ada@example.com: must not be mailed: complaint (ada@example.com, " in out
    assert "from call" in out
    assert "x@sub.example.org: must not be mailed" in out
    assert "bob@example.net: may be mailed" in out
    assert run(["suppress", "remove", "ada@example.com", "bob@example.net"]) == 0
    assert "1 removed, 1 were not on the list" in capsys.readouterr().out
    assert run(["suppress", "check", "ada@example.com"]) == 0


def test_suppress_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["suppress", "add", "a@example.com", "a@example.com", "--json"]) == 0
    assert json_of(capsys) == {"added": 1, "already_there": 0}
    assert run(["suppress", "check", "a@example.com", "b@example.com", "--json"]) == 1
    first, second = json_of(capsys)["addresses"]
    assert ("a@example.com", True, "manual") == (first["address"], first["suppressed"], first["reason"])
    assert {"address": "b@example.com", "suppressed": False} == second
    assert run(["suppress", "export", "--json"]) == 0
    assert ["a@example.com"] == [entry["address"] for entry in json_of(capsys)["entries"]]
    assert run(["suppress", "remove", "a@example.com", "--json"]) == 0
    assert json_of(capsys) == {"removed": 1, "not_there": 0}


def test_suppress_refuses_what_is_no_address(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["suppress", "add", "good@example.com", "a@b@c.de"]) == 2
    assert "'a@b@c.de' has more than one '@'" in capsys.readouterr().err
    assert run(["suppress", "check", "good@example.com"]) == 0


def test_suppress_import_names_rows_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gone.txt").write_text(f"# left\nada@example.com\n@example.org\n{SHA}\nnonsense\n", encoding="utf-8")
    assert run(["suppress", "import", "gone.txt", "--reason", "unsubscribe"]) == 1
    output = capsys.readouterr()
    assert "3 added, 0 were on the list already, 1 rows cannot be used" in output.out
    assert "gone.txt, row 5, column 'address': has no '@'." in output.err
    assert run(["suppress", "check", "eve@example.com"]) == 1


def test_suppress_export_is_imported_again_as_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    run(["suppress", "add", "ada@example.com", "--reason", "bounce", "--source", "=cmd"])
    assert run(["suppress", "export", "-o", "all.csv"]) == 0
    assert "'=cmd" in Path("all.csv").read_text(encoding="utf-8")
    capsys.readouterr()
    assert run(["suppress", "export"]) == 0
    before = capsys.readouterr().out
    run(["suppress", "remove", "ada@example.com"])
    capsys.readouterr()
    assert run(["suppress", "import", "all.csv", "--json"]) == 0
    assert json_of(capsys) == {"added": 1, "already_there": 0, "invalid": 0}
    assert run(["suppress", "export"]) == 0
    assert before == capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("email,reason\na@example.com,whim\n", "row 2, column 'reason': is 'whim', which is no reason"),
        ("email,date\na@example.com,soon\n", "row 2, column 'added': is 'soon', which is no date"),
        ("email,name\na@example.com,x,y,z\n", "row 2"),
    ],
)
def test_suppress_import_of_a_bad_row_goes_on(capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    Path("gone.csv").write_text(text + "b@example.com,\n", encoding="utf-8")
    assert run(["suppress", "import", "gone.csv"]) == 1
    output = capsys.readouterr()
    assert message in output.err
    assert "1 added" in output.out


def test_suppress_import_of_json_lines_takes_each_row_by_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gone.jsonl").write_text('{"email": "a@example.com", "added": "2026-01-31"}\n{"x": 1}\n', encoding="utf-8")
    assert run(["suppress", "import", "gone.jsonl", "--source", "partner"]) == 1
    assert "row 2: holds no address, domain or hash" in capsys.readouterr().err
    run(["suppress", "check", "a@example.com"])
    assert "2026-01-31T00:00:00Z, from partner" in capsys.readouterr().out


def test_suppress_import_without_a_column_of_addresses_is_code_three(capsys: pytest.CaptureFixture[str]) -> None:
    Path("gone.csv").write_text("who,why\nx,y\n", encoding="utf-8")
    assert run(["suppress", "import", "gone.csv"]) == 3
    assert "no column of addresses" in capsys.readouterr().err
    assert run(["suppress", "import", "missing.csv"]) == 3


def test_suppress_import_of_a_list_that_breaks_keeps_what_came_before(capsys: pytest.CaptureFixture[str]) -> None:
    rows = "".join(f"u{number}@example.com,x\n" for number in range(5_100))
    Path("gone.csv").write_text(f'email,name\n{rows}bad@example.com,"open\n', encoding="utf-8")
    assert run(["suppress", "import", "gone.csv"]) == 3
    assert "5,100 were added before the list broke" in capsys.readouterr().err


def test_suppress_export_to_a_folder_is_code_two(capsys: pytest.CaptureFixture[str]) -> None:
    run(["suppress", "add", "ada@example.com"])
    assert run(["suppress", "export", "-o", "."]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_suppress_with_a_damaged_list_is_code_four(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".mailblast").mkdir()
    Path(".mailblast/suppressions.sqlite3").write_bytes(b"x" * 5_000)
    assert run(["suppress", "check", "ada@example.com"]) == 4
    assert "The do-not-mail list" in capsys.readouterr().err

from __future__ import annotations

from pathlib import Path

import pytest
from words import ROWS, a_list, a_template, json_of

from mailblast.cli.app import run


def test_verify_clean_list_and_template_is_code_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", a_list(), "-t", a_template(), "--json"]) == 0
    document = json_of(capsys)
    assert (0, 0) == (document["errors"], document["warnings"])
    assert ["template.compiles", "list.rows"] == [check["id"] for check in document["checks"]]
    assert set(document["checks"][0]) == {"id", "level", "subject", "row", "message", "fix"}
    assert not Path("outbox").exists()
    assert not Path(".mailblast").exists()


def test_verify_names_every_bad_row_with_id_and_row(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*ROWS, "no-address,X,y", "ann@example.com,Again,x", ",Nobody,"]
    assert run(["verify", a_list(rows), "-t", a_template(), "--json"]) == 1
    document = json_of(capsys)
    found = {(check["id"], check["row"]) for check in document["checks"] if check["row"]}
    assert found == {("list.row", 4), ("list.duplicate", 5), ("list.row", 6)}
    assert (2, 1) == (document["errors"], document["warnings"])


def test_verify_renders_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f'{{"email": "u{number}@example.com", "name": "U", "plan": "x"}}' for number in range(2500)]
    lines[2400] = '{"email": "u@example.com", "name": "U"}'
    Path("list.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run(["verify", "list.jsonl", "-t", a_template(), "--json"]) == 1
    (fault,) = (check for check in json_of(capsys)["checks"] if check["id"] == "template.row")
    assert fault["row"] == 2401
    assert "plan" in fault["message"]


def test_verify_warnings_count_only_when_strict(capsys: pytest.CaptureFixture[str]) -> None:
    a_list(["ann@example.com,Ann,x", "ann@example.com,Ann,x"])
    assert run(["verify", "list.csv"]) == 0
    assert run(["verify", "list.csv", "--strict"]) == 1
    assert "list.duplicate" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (["missing.csv"], "list.readable"),
        (["columns.csv"], "list.columns"),
        (["quote.csv"], "list.readable"),
        (["list.csv", "-t", "missing.html"], "template.compiles"),
        (["-t", "syntax.html"], "template.compiles"),
        (["--via", "smtp://127.0.0.1:1"], "provider.connect"),
        (["--via", "outbox:taken"], "provider.connect"),
    ],
)
def test_verify_what_cannot_be_used_is_an_error(
    words: list[str], finding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    a_list()
    Path("taken").touch()
    Path("columns.csv").write_text("first,last\nA,B\n", encoding="utf-8")
    Path("quote.csv").write_text('email\na@example.com\n"b@example.com\n', encoding="utf-8")
    Path("syntax.html").write_text("<title>{{ x</title>", encoding="utf-8")
    assert run(["verify", *words, "--json"]) == 1
    errors = [check for check in json_of(capsys)["checks"] if check["level"] == "error"]
    assert [finding] == [check["id"] for check in errors]
    assert all(check["message"] for check in errors)


def test_verify_variable_that_is_no_column_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    run(["verify", a_list(), "-t", a_template("<title>{{ nmae }}</title>"), "--json"])
    found = {check["id"]: check["message"] for check in json_of(capsys)["checks"]}
    assert "'nmae'" in found["template.variable"]


def test_verify_empty_list_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", a_list([]), "--json"]) == 0
    assert [check["id"] for check in json_of(capsys)["checks"]] == ["list.empty"]


def test_verify_with_nothing_given_looks_at_the_provider(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify"]) == 0
    assert "provider.connect" in capsys.readouterr().out


def test_verify_long_html_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    html = f"<title>x</title><p>{'word ' * 20000}</p>"
    assert run(["verify", "-t", a_template(html)]) == 0
    assert "102 KB" in capsys.readouterr().out


def test_verify_many_findings_of_a_kind_are_cut_short_on_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["verify", a_list(["bad,x,y"] * 50)]) == 1
    out = capsys.readouterr().out
    assert "and 30 more" in out
    assert "50 errors" in out

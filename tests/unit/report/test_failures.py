from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.model.outcome import Outcome, State
from mailblast.report.failures import ADDED, write_failures

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDED_TEXT = ",".join(ADDED)


def an_outcome(fields: Mapping[str, object] | None, state: State = State.FAILED, **changes: Any) -> Outcome:
    address = str((fields or {}).get("email") or "ann@example.com")
    outcome = Outcome(
        1, address, address, 2, state, 1_700_000_000.0, "smtp:mx", 550, "5.1.1", "no such user", 1, fields=fields
    )
    return outcome._replace(**changes)


def written(*outcomes: Outcome, form: Literal["csv", "jsonl"] = "csv") -> str:
    target = io.StringIO(newline="")
    assert len(outcomes) == write_failures(lambda: iter(outcomes), target, format=form)
    return target.getvalue()


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv_has_the_original_columns_and_what_became_of_them() -> None:
    assert written(an_outcome({"email": "ann@example.com", "name": 'A "B", C'})) == (
        f"email,name,{ADDED_TEXT}\r\n"
        'ann@example.com,"A ""B"", C",failed,550,5.1.1,no such user,smtp:mx,1,2023-11-14T22:13:20Z\r\n'
    )


def test_csv_of_nobody_is_a_header_that_can_be_read() -> None:
    assert f"email,{ADDED_TEXT}\r\n" == written()
    assert "" == written(form="jsonl")


def test_csv_columns_are_those_of_all_rows() -> None:
    (first, second) = rows(written(an_outcome({"email": "a@x.y", "a": 1}), an_outcome({"email": "b@x.y", "b": None})))

    assert ["email", "a", "b", *ADDED] == list(first)
    assert ("1", "", "", "") == (first["a"], first["b"], second["a"], second["b"])


def test_row_without_columns_has_its_address() -> None:
    for column in ("email", "E-Mail", " Address", "to", "Mail", "email address"):
        with_it, without = rows(written(an_outcome({"name": "A", column: "a@x.y"}), an_outcome(None)))
        assert ("a@x.y", "ann@example.com") == (with_it[column], without[column])
    (only,) = rows(written(an_outcome({"contact": "a@x.y"}, address="a@x.y")))
    assert "a@x.y" == only["email"]
    assert {"email": "ann@example.com"} | json.loads(written(an_outcome(None), form="jsonl")) == json.loads(
        written(an_outcome(None), form="jsonl")
    )


def test_values_that_were_never_known_are_empty() -> None:
    (row,) = rows(written(an_outcome({"email": "a@x.y"}, code=0, time_s=0.0, enhanced="", provider="", text="")))

    assert ["", "", "", "", ""] == [row[name] for name in ("code", "time", "enhanced", "provider", "reason")]


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_column_of_the_list_with_one_of_our_names_stays(form: Literal["csv", "jsonl"]) -> None:
    text = written(an_outcome({"email": "a@x.y", "code": "SPRING-10"}), form=form)
    row: dict[str, Any] = rows(text)[0] if form == "csv" else json.loads(text)

    assert ("SPRING-10", "550") == (row["code"], str(row["mailblast_code"]))

    again = written(an_outcome(row, State.DEFERRED, code=451), form=form)
    second: dict[str, Any] = rows(again)[0] if form == "csv" else json.loads(again)
    assert list(row) == list(second)
    assert ("SPRING-10", "451", "deferred") == (second["code"], str(second["mailblast_code"]), second["outcome"])


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_list_that_was_written_here_is_brought_up_to_date(form: Literal["csv", "jsonl"]) -> None:
    text = written(an_outcome({"email": "a@x.y", "name": "A"}), form=form)
    row: dict[str, Any] = rows(text)[0] if form == "csv" else json.loads(text)

    again = written(an_outcome(row, State.DEFERRED), form=form)

    second: dict[str, Any] = rows(again)[0] if form == "csv" else json.loads(again)
    assert list(row) == list(second)
    assert "deferred" == second["outcome"]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("=cmd|'/C calc'!A0", "'=cmd|'/C calc'!A0"),
        ("+49 30 123", "'+49 30 123"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-5", "-5"),
        ("+4930123", "+4930123"),
        ("-1.5", "-1.5"),
        ("a=b", "a=b"),
        ("", ""),
        ("two\nlines", "two\nlines"),
        (True, "true"),
        ({"a": [1]}, '{"a": [1]}'),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_csv_cell_is_nothing_that_a_spreadsheet_runs(cell: object, expected: str) -> None:
    (row,) = rows(written(an_outcome({"email": "a@x.y", "cell": cell})))

    assert expected == row["cell"]


def test_csv_reply_of_a_server_is_nothing_that_a_spreadsheet_runs() -> None:
    (row,) = rows(written(an_outcome({"email": "a@x.y"}, text='=HYPERLINK("http://x")')))

    assert row["reason"].startswith("'=")


@pytest.mark.parametrize(("state", "expected"), [(State.FAILED, "+a@x.y"), (State.INVALID, "'+a@x.y")])
def test_csv_valid_address_is_never_changed(state: State, expected: str) -> None:
    (row,) = rows(written(an_outcome({"email": "+a@x.y"}, state)))

    assert expected == row["email"]


def test_jsonl_keeps_values_as_they_are() -> None:
    fields = {"email": "a@x.y", "n": 1, "deep": {"a": [None, "=1"]}, "é": "\u2028"}
    text = written(an_outcome(fields), an_outcome(fields), form="jsonl")

    assert 2 == text.count("\n")
    row = json.loads(text.splitlines()[0])
    assert fields == {key: row[key] for key in fields}
    assert ("failed", 550, 1) == (row["outcome"], row["code"], row["attempts"])


@given(st.lists(st.dictionaries(st.text(min_size=1), st.text(), max_size=4), max_size=4))
def test_csv_of_any_fields_reads_back_with_a_row_each(fields: list[dict[str, str]]) -> None:
    text = written(*[an_outcome(each) for each in fields])

    # As the module reads them: every row has as many cells as the header.
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert len(fields) + 1 == len(read)
    assert 1 == len({len(row) for row in read})

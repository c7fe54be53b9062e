from __future__ import annotations

from pathlib import Path

from mailblast.lists.failure_list import ADDED, is_failure_list
from mailblast.lists.rows import ListSettings, open_list
from mailblast.model.row import Row
from mailblast.report.failures import ADDED as WRITTEN


def rows_of(text: str) -> list[dict[str, object]]:
    Path("list.csv").write_text(text, encoding="utf-8")
    with open_list("list.csv", ListSettings()) as reader:
        return [dict(row.fields) for row in reader if isinstance(row, Row)]


def test_columns_are_those_that_the_report_writes() -> None:
    assert WRITTEN == ADDED


def test_failure_list_is_told_by_its_last_columns() -> None:
    assert is_failure_list(("email", *ADDED))
    assert is_failure_list(("email", "code", "outcome", "mailblast_code", *ADDED[2:]))
    assert not is_failure_list(("email", *ADDED[1:]))
    assert not is_failure_list(None)


def test_quote_before_a_formula_is_taken_away_again_in_our_own_lists_only() -> None:
    (row,) = rows_of(f"email,phone,quoted,{','.join(ADDED)}\na@b.test,'+49 30,'tis,failed,550,,x,,1,\n")
    assert (row["phone"], row["quoted"]) == ("+49 30", "'tis")
    (row,) = rows_of("email,phone\na@b.test,'+49 30\n")
    assert row["phone"] == "'+49 30"


def test_bad_row_in_a_failure_list_stays_a_bad_row() -> None:
    assert rows_of(f"email,{','.join(ADDED)}\na@b.test,1,2,3,4,5,6,7,8,9,10\n") == []

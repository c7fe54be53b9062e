from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from mailblast.lists.rows import ListSettings, open_list
from mailblast.model.recipient import Recipient
from mailblast.model.row import BadRow
from mailblast.recipients.recipients import RecipientSettings, read_recipients

SAMPLES = Path(__file__).parents[3] / "sample_lists"
#: Good rows, wrong rows, and what templates ask of them.
EXPECTED = {
    "welcome.csv": (12, 0, {"name", "plan", "signup_date"}),
    "subscribers.txt": (8, 0, {"name"}),
    "invoices.jsonl": (5, 0, {"name", "invoice_number", "due_date", "items", "total"}),
    "receipts.jsonl": (5, 0, {"name", "order_number", "paid_on", "items", "total", "card_last4"}),
    "excel-semicolon.csv": (4, 0, {"name", "plan", "note"}),
    "with-wrong-rows.csv": (9, 5, {"name", "plan"}),
}


def read(name: str) -> list[Recipient | BadRow]:
    with open_list(str(SAMPLES / name), ListSettings()) as rows:
        return list(read_recipients(rows, RecipientSettings(), columns=rows.columns, name=rows.name))


@pytest.mark.parametrize("name", EXPECTED)
def test_sample_list_has_the_rows_it_says(name: str) -> None:
    good, wrong, needed = EXPECTED[name]
    recipients = read(name)
    assert {Recipient: good, BadRow: wrong} == {
        kind: sum(isinstance(recipient, kind) for recipient in recipients) for kind in (Recipient, BadRow)
    }
    for recipient in recipients:
        if isinstance(recipient, Recipient):
            assert needed <= set(recipient.variables)
            assert recipient.address.rpartition("@")[2] in {"example.com", "example.org", "example.net"}


def test_sample_lists_are_all_described_and_tested() -> None:
    lists = {path.name for path in SAMPLES.iterdir()} - {"README.md"}
    assert set(EXPECTED) == lists
    readme = (SAMPLES / "README.md").read_text(encoding="utf-8")
    assert [] == [name for name in lists if f"| `{name}` |" not in readme]


def test_sample_with_wrong_rows_has_one_of_each_kind_and_a_duplicate() -> None:
    recipients = read("with-wrong-rows.csv")
    reasons = [(row.number, row.reason.split(";")[0]) for row in recipients if isinstance(row, BadRow)]
    expected = [
        (3, "is empty"),
        (5, "has more than one '@'"),
        (7, "has 4 cells, the header has 3"),
        (9, "holds a control character"),
        (11, "holds two addresses"),
    ]
    assert expected == reasons
    keys = Counter(recipient.key for recipient in recipients if isinstance(recipient, Recipient))
    assert ["ada.brooks@example.com"] == [key for key, count in keys.items() if count > 1]


def test_sample_invoices_add_up() -> None:
    for name in ("invoices.jsonl", "receipts.jsonl"):
        with open_list(str(SAMPLES / name), ListSettings()) as rows:
            for row in rows:
                items = row.fields["items"]
                assert isinstance(items, list)
                assert row.fields["total"] == pytest.approx(sum(item["quantity"] * item["price"] for item in items))


def test_sample_from_excel_keeps_its_line_break() -> None:
    first = read("excel-semicolon.csv")[0]
    assert "Prefers mail in the morning;\r\nnever on Fridays" == first.fields["note"]

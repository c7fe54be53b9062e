from __future__ import annotations

import pytest

from mailblast.errors import ListError
from mailblast.model.recipient import Recipient
from mailblast.model.row import BadRow
from mailblast.recipients.row_routes import MAX_KNOWN, check_rows, column_of, transport_of

NAMES = frozenset({"news", "bills"})


def a_row(**fields: object) -> Recipient:
    return Recipient(2, "a@b.c", "a@b.c", {}, {"email": "a@b.c", **fields})


def checked(*given: Recipient | BadRow) -> list[Recipient | BadRow]:
    return list(check_rows(given, sender_column="from", via_column="via", transports=NAMES))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"from": "", "via": ""},
        {"from": None, "via": None},
        {"from": " ", "via": "  "},
        {"from": "News <news@example.com>", "via": " bills "},
        {"from": "news@example.com", "via": "news"},
    ],
)
def test_rows_that_can_be_sent_to_come_through(fields: dict[str, object]) -> None:
    row = a_row(**fields)
    assert [row, row] == checked(row, row)


@pytest.mark.parametrize(
    ("fields", "column", "reason"),
    [
        ({"from": "news"}, "from", "has no '@'"),
        ({"from": "a@b.c\r\nBcc: x@y.z"}, "from", ""),
        ({"from": 5}, "from", "is not text"),
        ({"from": ["a@b.c"]}, "from", "is not text"),
        ({"via": 5}, "via", "is not text"),
        ({"via": ["news"]}, "via", "is not text"),
        ({"via": "smtp://evil.example.com"}, "via", "is none of [transports] in mailblast.toml: bills, news"),
        ({"via": "News"}, "via", "is none of [transports]"),
        ({"via": "x\r\ny"}, "via", "x\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}y"),
        ({"via": "x" * 5000}, "via", "is none of"),
    ],
)
def test_rows_that_cannot_be_sent_to_are_bad_rows(fields: dict[str, object], column: str, reason: str) -> None:
    (bad,) = checked(a_row(**fields))
    assert isinstance(bad, BadRow)
    assert (2, column, "a@b.c") == (bad.number, bad.column, bad.address)
    assert reason in bad.reason
    assert len(bad.reason) < 200
    assert bad.fields["email"] == "a@b.c"


def test_bad_rows_come_through_as_they_are() -> None:
    bad = BadRow(3, "is empty")
    assert [bad] == checked(bad)


def test_many_senders_are_checked_each() -> None:
    good = [a_row(**{"from": f"s{number}@example.com"}) for number in range(MAX_KNOWN + 5)]
    assert good == checked(*good)


def test_transport_of_row_without_the_column_is_the_usual_one() -> None:
    assert "" == transport_of(a_row(), "via", NAMES)


@pytest.mark.parametrize(
    ("columns", "wanted", "expected"),
    [(("email", "Via"), "via", "Via"), (None, "via", "via"), (("email",), None, ""), (None, None, "")],
)
def test_column_of_finds_it_in_any_case(columns: tuple[str, ...] | None, wanted: str | None, expected: str) -> None:
    assert expected == column_of(columns, wanted, "--via-column", "list.csv")


def test_column_of_that_is_not_there_is_told() -> None:
    with pytest.raises(ListError, match=r"list.csv has no column 'way'; it has: email, via. Give --via-column"):
        column_of(("email", "via"), "way", "--via-column", "list.csv")

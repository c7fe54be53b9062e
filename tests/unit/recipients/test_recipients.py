from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import ListError
from mailblast.model.recipient import Recipient
from mailblast.model.row import BadRow, Row
from mailblast.recipients.recipients import MAX_SHAPES, RecipientSettings, read_recipients

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def read(
    *objects: Mapping[str, object] | BadRow,
    email: str | None = None,
    key: str | None = None,
    columns: tuple[str, ...] | None = None,
) -> list[Recipient | BadRow]:
    rows = (
        fields if isinstance(fields, BadRow) else Row(number, fields) for number, fields in enumerate(objects, start=2)
    )
    return list(read_recipients(rows, RecipientSettings(email, key), columns=columns, name="list.csv"))


def variables(fields: Mapping[str, object]) -> Mapping[str, object]:
    (recipient,) = read(fields)
    assert isinstance(recipient, Recipient)
    return recipient.variables


def test_row_becomes_a_recipient() -> None:
    fields = {"email": " Ada@Example.COM ", "name": " Ada ", "plan": "Pro"}
    (recipient,) = read(fields, columns=tuple(fields))
    address = "Ada@example.com"
    expected = {"email": address, "name": "Ada", "plan": "Pro", "data": ""}
    assert Recipient(2, address, address, expected, fields) == recipient
    assert recipient == pickle.loads(pickle.dumps(recipient))


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        (("to", "mail", "address", "e-mail", "email"), "email"),
        (("to", "mail", "address", "e-mail"), "e-mail"),
        (("to", "mail", "address"), "address"),
        (("mail", "to"), "to"),
        (("Email Address", "mail"), "mail"),
        (("Email Address", "name"), "Email Address"),
        (("EMAIL", "to"), "EMAIL"),
        (("Email", "email"), "email"),
    ],
)
@pytest.mark.parametrize("has_header", [True, False])
def test_column_of_addresses_is_found_in_order(columns: tuple[str, ...], column: str, *, has_header: bool) -> None:
    fields = {name: f"{position}@b.co" for position, name in enumerate(columns)}
    (recipient,) = read(fields, columns=columns if has_header else None)
    assert isinstance(recipient, Recipient)
    assert fields[column] == recipient.address == recipient.variables["email"]


def test_column_of_addresses_that_is_asked_for_counts_alone() -> None:
    fields = {"email": "a@b.co", "Work Mail": "w@b.co"}
    (recipient,) = read(fields, email="work mail", columns=tuple(fields))
    assert isinstance(recipient, Recipient)
    assert "w@b.co" == recipient.address == recipient.variables["email"]
    assert "a@b.co" == recipient.fields["email"]


@pytest.mark.parametrize(
    ("columns", "email", "key", "what", "fix"),
    [
        (
            ("name", "phone"),
            None,
            None,
            "has no column of addresses such as 'email'; it has: name, phone.",
            "--email-col",
        ),
        (("email",), "work", None, "has no column 'work'; it has: email.", "--email-column"),
        (("email",), None, "invoice", "has no column 'invoice'; it has: email.", "--key"),
        (tuple(f"c{n}" for n in range(25)), None, None, "c18, c19 and 5 more.", "--email-column"),
    ],
)
def test_header_without_a_needed_column_is_an_error_before_any_row(
    columns: tuple[str, ...], email: str | None, key: str | None, what: str, fix: str
) -> None:
    untouched = iter([Row(2, {})])
    with pytest.raises(ListError) as caught:
        read_recipients(untouched, RecipientSettings(email, key), columns=columns, name="list.csv")
    assert "list.csv has no column" in caught.value.message
    assert what in caught.value.message
    assert fix in caught.value.fix
    assert 1 == len(list(untouched))


@pytest.mark.parametrize(
    ("fields", "reason", "column", "address"),
    [
        ({"email": "bob", "x": 1}, "has no '@'", "email", "bob"),
        ({"email": ""}, "is empty", "email", ""),
        ({"email": None}, "is empty", "email", ""),
        ({"email": 7}, "is not text", "email", ""),
        ({"email": ["a@b.co"]}, "is not text", "email", ""),
        ({"name": "Bob"}, "has no 'email'", "", ""),
        ({}, "has no 'email'", "", ""),
        ({"to": "a@b.co\u202e, d@e.co"}, "U+202E", "to", "a@b.co\ufffd, d@e.co"),
        ({"email": "x" * 400}, "has no '@'", "email", "x" * 320 + "…"),
        ({"email": "Bob <a@b.co> x"}, "angle bracket", "email", "Bob <a@b.co> x"),
    ],
)
def test_row_without_a_usable_address_is_bad_and_the_next_is_read(
    fields: dict[str, object], reason: str, column: str, address: str
) -> None:
    bad, good = read(fields, {"email": "a@b.co"})
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (2, column, address, fields) == (bad.number, bad.column, bad.address, bad.fields)
    assert isinstance(good, Recipient)
    assert 3 == good.row


def test_row_that_lacks_the_column_asked_for_names_it() -> None:
    (bad,) = read({"email": "a@b.co"}, email="work")
    assert isinstance(bad, BadRow)
    assert "has no 'work'" == bad.reason


def test_bad_row_of_the_list_passes_with_its_address() -> None:
    bad = BadRow(9, "too many cells", fields={"E-Mail": " a@b.co\x1b[2J", "x": "1"})
    assert [bad._replace(address="a@b.co\ufffd[2J")] == read(bad)
    assert [bad._replace(address="a@b.co\ufffd[2J")] == read(bad, columns=("E-Mail", "x"))
    known = BadRow(9, "no JSON", address="x")
    assert [known] == read(known)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({}, "there"),
        ({"name": ""}, "there"),
        ({"name": "  "}, "there"),
        ({"name": None}, "there"),
        ({"name": True}, "there"),
        ({"name": {"first": "Ada"}}, "there"),
        ({"name": ["Ada"]}, "there"),
        ({"name": 7}, 7),
        ({"name": 0}, 0),
        ({"name": 1.5}, 1.5),
        ({"name": " Ada "}, "Ada"),
        ({"Name": "Ada"}, "Ada"),
    ],
)
def test_name_is_there_where_there_is_none(fields: dict[str, object], name: object) -> None:
    assert name == variables({"email": "a@b.co", **fields})["name"]


def test_name_in_the_address_cell_stands_in_for_a_missing_one() -> None:
    assert "Ada" == variables({"email": "Ada <a@b.co>"})["name"]
    assert "Ada" == variables({"email": "Ada <a@b.co>", "name": " "})["name"]
    assert "Lady Ada" == variables({"email": "Ada <a@b.co>", "name": "Lady Ada"})["name"]
    assert "a@b.co" == variables({"email": "Ada <a@b.co>"})["email"]


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({}, ""),
        ({"data": None}, ""),
        ({"data": []}, ""),
        ({"data": ""}, ""),
        ({"data": " as it is "}, " as it is "),
        ({"data": ["x", "y z"]}, "x, y z"),
        ({"data": ["x", 1, 2.5, True, False, None]}, "x, 1, 2.5, true, false, "),
        ({"data": {"x": 1}}, {"x": 1}),
        ({"data": [{"x": 1}]}, [{"x": 1}]),
        ({"data": 7}, 7),
        ({"Data": "own"}, "own"),
    ],
)
def test_data_is_text_where_it_can_be(fields: dict[str, object], data: object) -> None:
    assert data == variables({"email": "a@b.co", **fields})["data"]


def test_columns_are_reachable_by_snake_forms_unless_these_collide() -> None:
    fields = {
        "email": "a@b.co",
        "First Name": "Ada",
        "E-Mail (work)": "w",
        "2nd line": "2",
        "Größe": "XL",
        "plan": "own",
        "Plan": "other",
        "a-b": "1",
        "a b": "2",
        "???": "3",
    }
    found = variables(fields)
    extra = {"first_name": "Ada", "e_mail_work": "w", "_2nd_line": "2", "größe": "XL", "name": "there", "data": ""}
    assert {**fields, **extra} == found


@pytest.mark.parametrize(
    ("value", "key"),
    [("INV-7", "INV-7"), (" 7 ", "7"), (7, "7"), (7.5, "7.5"), (True, "True"), ("x" * 1_000, "x" * 1_000)],
)
def test_key_is_the_value_of_its_column_alone(value: object, key: str) -> None:
    (recipient,) = read({"email": "a@b.co", "Invoice": value}, key="invoice")
    assert isinstance(recipient, Recipient)
    assert key == recipient.key


@pytest.mark.parametrize(
    ("fields", "reason", "column"),
    [
        ({"invoice": ""}, "is the key, and empty", "invoice"),
        ({"invoice": " "}, "is the key, and empty", "invoice"),
        ({"invoice": None}, "is the key, and empty", "invoice"),
        ({"invoice": [1]}, "neither text nor a number", "invoice"),
        ({"invoice": {}}, "neither text nor a number", "invoice"),
        ({"invoice": "x" * 1_001}, "longer than 1,000 characters", "invoice"),
        ({}, "has no 'invoice', which is the key", ""),
    ],
)
def test_row_without_a_usable_key_is_bad(fields: dict[str, object], reason: str, column: str) -> None:
    (bad,) = read({"email": "a@b.co", **fields}, key="invoice")
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (column, "a@b.co") == (bad.column, bad.address)


def test_objects_of_ever_new_shapes_are_all_read() -> None:
    count = 3 * MAX_SHAPES
    recipients = read(*({"to": f"a{number}@b.co", f"Column {number}": number} for number in range(count)))
    assert list(range(count)) == [
        recipient.variables[f"column_{number}"]
        for number, recipient in enumerate(recipients)
        if isinstance(recipient, Recipient)
    ]


def test_errors_of_the_list_come_after_the_rows_before_them() -> None:
    def rows() -> Iterator[Row]:
        yield Row(2, {"email": "a@b.co"})
        raise ListError("list.csv, row 3: broken")

    recipients = read_recipients(rows(), RecipientSettings(), columns=("email",), name="list.csv")
    first = next(recipients)
    assert isinstance(first, Recipient)
    with pytest.raises(ListError, match="row 3"):
        next(recipients)

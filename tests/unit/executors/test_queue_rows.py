"""Claims as they are stored with a batch, and taken out again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.executors.queue.rows import FEW, decode_rows, encode_rows
from mailblast.model.recipient import Claim, Recipient
from mailblast.recipients.variables import shape_of, variables_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MANY = FEW + 4

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
#: Equal to each other, or nearly; they repeat, too.
ALIKE: st.SearchStrategy[Any] = st.sampled_from([1, True, 1.0, 0, False, 0.0, -0.0, "1", "", None, [1], [True], {}, []])
CELLS = ALIKE | VALUES
FIELDS = st.dictionaries(st.text(), CELLS, max_size=5)
DIGESTS = st.none() | st.integers(0, 2**32 - 1)


@st.composite
def tables(draw: st.DrawFn) -> list[Claim]:
    """Claims of rows that have the same columns, and variables that are some of the cells, and others."""
    columns = draw(st.lists(st.text() | st.sampled_from(["Name", "E-Mail"]), min_size=1, max_size=4, unique=True))
    names = draw(st.lists(st.sampled_from([*columns, "name", "data"]), max_size=3, unique=True))
    claims = []
    for at in range(draw(st.integers(FEW - 1, MANY))):
        fields = {column: draw(ALIKE | st.text(max_size=3)) for column in columns}
        address = draw(st.sampled_from([f"{at}@b.co", *(cell for cell in fields.values() if isinstance(cell, str))]))
        key = draw(st.sampled_from([address, f"key {at}"]))
        # Of any column, in some rows; or neither.
        own = {name: draw(st.sampled_from([fields[columns[0]], fields.get(name), "there", at])) for name in names}
        number = draw(st.sampled_from([at, 2 * at, 7]))
        recipient = Recipient(number + 2, key, address, {**fields, **own}, fields)
        claims.append(Claim(number, recipient, 1_700_000_000, draw(st.integers(0, 2)), draw(DIGESTS)))
    return claims


def exact(claims: Sequence[Claim]) -> str:
    """Return everything that claims are, with their types."""
    return json.dumps(claims, sort_keys=True)


def claims_of(rows: Sequence[Mapping[str, Any]]) -> list[Claim]:
    """Return the claims of a list."""
    claims = []
    for at, fields in enumerate(rows):
        local, _, domain = fields["email"].rpartition("@")
        address = fields["email"] if domain == domain.lower() else f"{local}@{domain.lower()}"
        variables = variables_of(fields, shape_of(fields, None, None), address, "")
        claims.append(Claim(at + 7, Recipient(at + 2, address, address, variables, fields), 1_700_000_000))
    return claims


@given(FIELDS, FIELDS, st.text(), DIGESTS, st.integers(1, MANY))
def test_claims_of_any_columns_come_back_as_they_were(
    fields: dict[str, object], own: dict[str, object], key: str, digest: int | None, count: int
) -> None:
    claims = [Claim(7, Recipient(3, key, "a@b.c", {**fields, **own}, fields), 1_700_000_000, 2, digest)] * count
    line = encode_rows(claims)
    again = decode_rows(line.encode("ascii"))
    assert claims == again
    assert exact(claims) == exact(again)
    assert "\n" not in line


@given(tables())
def test_claims_of_a_table_come_back_as_they_were(claims: list[Claim]) -> None:
    again = decode_rows(encode_rows(claims))
    assert claims == again
    assert exact(claims) == exact(again)
    # A second try is stored by who has read the first one.
    assert exact(claims) == exact(decode_rows(encode_rows(again)))


@given(st.lists(st.tuples(FIELDS, FIELDS), max_size=MANY))
def test_claims_whose_columns_differ_come_back_as_they_were(rows: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    claims = [
        Claim(at, Recipient(at, str(at), "a@b.c", {**fields, **own}, fields), 5)
        for at, (fields, own) in enumerate(rows)
    ]
    assert exact(claims) == exact(decode_rows(encode_rows(claims)))


def test_order_of_names_is_kept() -> None:
    claims = claims_of([{"Plan": "a", "email": f"{at}@b.co", "First Name": "x"} for at in range(MANY)])
    for claim, again in zip(claims, decode_rows(encode_rows(claims)), strict=True):
        assert list(claim.recipient.fields) == list(again.recipient.fields)
        assert list(claim.recipient.variables) == list(again.recipient.variables)


def test_variables_in_another_order_than_the_columns_come_back() -> None:
    claims = [
        Claim(at, Recipient(at, "k", "a@b.c", {"x": at, "b": 1, "a": 2}, {"a": 2, "b": 1}), 5) for at in range(MANY)
    ]
    assert claims == decode_rows(encode_rows(claims))


def test_rows_of_which_some_have_other_columns_come_back() -> None:
    rows = [{"email": f"{at}@b.co", "plan": "a"} for at in range(MANY)]
    for odd in ({"email": "x@b.co"}, {"email": "x@b.co", "place": "a"}, {"plan": "a", "email": "x@b.co"}):
        claims = claims_of([*rows, odd])
        assert exact(claims) == exact(decode_rows(encode_rows(claims)))


@pytest.mark.parametrize("count", [FEW - 1, FEW, MANY])
def test_cells_that_are_variables_are_held_once(count: int) -> None:
    # Not literals, which are the same object wherever they stand.
    rows = [{"email": f"{at}@b.co", "name": f"Ann {at}" if at % 5 else "", "Plan": f"plan {at}"} for at in range(count)]
    claims = claims_of(rows)
    again = decode_rows(encode_rows(claims))
    assert exact(claims) == exact(again)
    for claim in again:
        recipient = claim.recipient
        assert recipient.fields["email"] is recipient.variables["email"]
        assert recipient.fields["Plan"] is recipient.variables["Plan"]
        assert recipient.fields["name"] is recipient.variables["name"] or recipient.variables["name"] == "there"


def test_what_rows_and_columns_share_is_written_once() -> None:
    line = encode_rows(claims_of([{"email": f"user{at}@b.co", "Plan": f"plan {at}"} for at in range(MANY)]))
    assert [1] * MANY == [line.count(f"user{at}@b.co") for at in range(MANY)]
    assert [1] * MANY == [line.count(f'"plan {at}"') for at in range(MANY)]
    assert [1, 1] == [line.count("1700000000"), line.count('"Plan"')]


@pytest.mark.parametrize("odd", [0, 3])
def test_cells_that_differ_from_their_column_are_written_beside_it(odd: int) -> None:
    rows = [{"email": f"user{at}@b.co", "name": f"Ann {at}"} for at in range(MANY)]
    rows[odd] = {"email": f"user{odd}@B.co", "name": ""}
    claims = claims_of(rows)
    line = encode_rows(claims)
    assert exact(claims) == exact(decode_rows(line))
    assert [1] * MANY == [line.count(f"user{at}@{'B' if at == odd else 'b'}.co") for at in range(MANY)]
    assert MANY - 1 == line.count('"Ann ')
    assert 1 == line.count('"there"')


def test_equal_cells_of_another_source_are_written_once() -> None:
    # As the journal gives them: columns and variables are read apart from each other.
    claims = [
        claim._replace(recipient=claim.recipient._replace(fields=json.loads(json.dumps(claim.recipient.fields))))
        for claim in claims_of([{"email": f"{at}@b.co", "plan": f"plan {at}"} for at in range(MANY)])
    ]
    line = encode_rows(claims)
    assert exact(claims) == exact(decode_rows(line))
    assert MANY == line.count('"plan ')


def test_half_of_a_pair_comes_back() -> None:
    claims = claims_of([{"email": f"{at}@b.co", "x": "\udc80"} for at in range(MANY)])
    assert exact(claims) == exact(decode_rows(encode_rows(claims)))


def test_no_claims_come_back_as_none() -> None:
    assert [] == decode_rows(encode_rows([]))

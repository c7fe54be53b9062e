"""Claims as JSON: column by column where all rows have the same columns, else row by row.

By columns, an object: how many rows; names of columns; names of the variables that are beside these; cells of each
column; what else claims have. Of that, and of each variable, the cells are an array or, shorter, one of

    {"all": x}                            each cell is x
    {"from": 7}                           7, 8, 9 …
    {"of": 2}                             the cells of column 2; addresses come behind the last column
    {"of": 2, "but": [[0, 4], [x, y]]}    these, but x in the first row and y in the fifth

By rows, an array of arrays, each with the columns by name, and with those variables that are not the cells of their
columns.
"""

from __future__ import annotations

import json
from itertools import repeat
from operator import is_
from typing import TYPE_CHECKING, Any, TypeAlias

from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    #: Of one column, or of one variable.
    Cells: TypeAlias = Sequence[Any]
    #: Cells as they are written.
    Column: TypeAlias = Sequence[Any] | dict[str, Any]

#: Fewer rows are written sooner one by one.
FEW = 16
#: In no list.
_ABSENT = object()
#: Made once: json.dumps() makes one for each call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_rows(claims: Sequence[Claim]) -> str:
    """Return claims as JSON in ASCII, on one line."""
    return _encode((_by_columns(claims) if len(claims) >= FEW else None) or [_by_name(claim) for claim in claims])


def decode_rows(text: bytes | str) -> list[Claim]:
    """Return the claims that were encoded."""
    found = json.loads(text)
    if isinstance(found, dict):
        return _from_columns(**found)
    return [
        Claim(claim_id, Recipient(row, key, address, {**fields, **own}, fields), dated_s, attempts, digest)
        for claim_id, row, key, address, fields, own, dated_s, attempts, digest in found
    ]


# By rows.


def _by_name(claim: Claim) -> list[Any]:
    claim_id, (row, key, address, variables, fields), dated_s, attempts, digest = claim
    own = {
        name: value
        for name, value in variables.items()
        if fields.get(name, _ABSENT) is not value and not _is_same(value, fields.get(name, _ABSENT))
    }
    return [claim_id, row, key, address, dict(fields), own, dated_s, attempts, digest]


def _is_same(cell: object, other: object) -> bool:
    # Nearly always they are the very same. 1 and true are equal, and are not written the same.
    return cell is other or (isinstance(cell, str) and isinstance(other, str) and cell == other)


# By columns.


def _by_columns(claims: Sequence[Claim]) -> dict[str, Any] | None:
    """Return claims as they are written; None where rows differ in their columns, or variables."""
    ids, recipients, dated_s, attempts, digests = zip(*claims, strict=True)
    rows, keys, addresses, variables, fields = zip(*recipients, strict=True)
    columns, names = _common_names(fields), _common_names(variables)
    if columns is None or names is None or columns != names[: len(columns)]:
        return None
    cells = _cells_of(fields)
    known = _Known(cells)
    address = known.column(addresses)
    known.add(addresses)
    return {
        "count": len(claims),
        "columns": columns,
        "more": names[len(columns) :],
        "cells": cells,
        "address": address,
        "key": known.column(keys),
        "id": _numbers(ids),
        "row": _numbers(rows),
        "dated": _alike(dated_s),
        "attempts": _alike(attempts),
        "digest": _alike(digests),
        "variables": [
            known.column(each, number if number < len(columns) else None)
            for number, each in enumerate(_cells_of(variables))
        ],
    }


def _common_names(rows: Sequence[Mapping[str, object]]) -> tuple[str, ...] | None:
    """Return the names that all rows have, in one order; None where some have others, or there are none."""
    try:
        names = [*zip(*rows, strict=True)]
    except ValueError:
        return None
    if names and all(some.count(some[0]) == len(some) for some in names):
        return tuple(some[0] for some in names)
    return None


def _cells_of(rows: Iterable[Mapping[str, object]]) -> list[Cells]:
    return [*zip(*[row.values() for row in rows], strict=True)]


def _numbers(cells: Cells) -> Column:
    first = cells[0]
    return {"from": first} if cells == tuple(range(first, first + len(cells))) else cells


def _alike(cells: Cells) -> Column:
    return {"all": cells[0]} if all(map(is_, cells, repeat(cells[0]))) else cells


class _Known:
    """Columns that others can be told by.

    Args:
        columns: Cells of each.
    """

    def __init__(self, columns: Iterable[Cells]) -> None:
        self._columns: list[Cells] = []
        #: By the identity of the first cell, and of the last.
        self._numbers: dict[int, int] = {}
        for each in columns:
            self.add(each)

    def add(self, cells: Cells) -> None:
        """Take in one more."""
        self._numbers.setdefault(id(cells[0]), len(self._columns))
        self._numbers.setdefault(id(cells[-1]), len(self._columns))
        self._columns.append(cells)

    def column(self, cells: Cells, near: int | None = None) -> Column:
        """Return cells as they are written.

        Args:
            cells: One for each row.
            near: Number of a column that most of them may be of, where no cell at an end is of any.
        """
        for number in (self._numbers.get(id(cells[0])), self._numbers.get(id(cells[-1])), near):
            if number is not None and (column := _told_by(number, self._columns[number], cells)):
                return column
        return _alike(cells)


def _told_by(number: int, known: Cells, cells: Cells) -> Column | None:
    """Return cells as they are written by a column; None where that takes longer."""
    if all(map(is_, cells, known)):
        return {"of": number}
    others = [at for at, (cell, other) in enumerate(zip(cells, known, strict=True)) if not _is_same(cell, other)]
    if not others:
        return {"of": number}
    # Each of them takes a number as well.
    if 2 * len(others) > len(cells):
        return None
    return {"of": number, "but": [others, [cells[at] for at in others]]}


def _from_columns(
    *,
    count: int,
    columns: list[str],
    more: list[str],
    cells: list[Cells],
    address: Column,
    variables: list[Column],
    **others: Column,
) -> list[Claim]:
    known = [*cells]
    addresses = _cells(address, count, known)
    known.append(addresses)
    empty = dict.fromkeys(columns)
    fields = [empty.copy() for _ in range(count)]
    _fill(fields, zip(columns, cells, strict=True))
    keys, rows, ids, dated_s, attempts, digests = (
        _cells(others[name], count, known) for name in ("key", "row", "id", "dated", "attempts", "digest")
    )
    whole = _variables(fields, len(columns), zip([*columns, *more], variables, strict=True), known)
    recipients = map(Recipient._make, zip(rows, keys, addresses, whole, fields, strict=True))
    return [*map(Claim._make, zip(ids, recipients, dated_s, attempts, digests, strict=True))]


def _cells(column: Column, count: int, known: Sequence[Cells]) -> Cells:
    """Return the cells of a column as it is written."""
    if not isinstance(column, dict):
        return column
    if "all" in column:
        return [column["all"]] * count
    if "from" in column:
        return range(column["from"], column["from"] + count)
    cells = known[column["of"]]
    if "but" in column:
        cells = [*cells]
        for at, cell in zip(*column["but"], strict=True):
            cells[at] = cell
    return cells


def _variables(
    fields: Sequence[dict[str, Any]], width: int, columns: Iterable[tuple[str, Column]], known: Sequence[Cells]
) -> list[dict[str, Any]]:
    """Return fields, of so many columns, with the variables that are not the cells of their columns."""
    common: dict[str, Any] = {}
    others: list[tuple[str, Cells]] = []
    for number, (name, column) in enumerate(columns):
        if number < width and column == {"of": number}:
            continue
        if isinstance(column, dict) and "all" in column:
            common[name] = column["all"]
        else:
            # Holds its place.
            common[name] = None
            others.append((name, _cells(column, len(fields), known)))
    rows = [{**row, **common} for row in fields]
    _fill(rows, others)
    return rows


def _fill(rows: Sequence[dict[str, Any]], columns: Iterable[tuple[str, Cells]]) -> None:
    for name, cells in columns:
        for row, cell in zip(rows, cells, strict=True):
            row[name] = cell

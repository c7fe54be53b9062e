"""The first record of a CSV file, and what its cells are called."""

from __future__ import annotations

from typing import NamedTuple

from mailblast.errors import ListError

FIX_HEADER = "Correct the first row."
POSITIONS = ("email", "name", "data")


class Header(NamedTuple):
    """The columns of a CSV file."""

    names: tuple[str, ...]
    #: How many columns without a name follow; Excel writes them where a cell was once filled.
    spare: int


def read_header(name: str, row: int, cells: list[str], max_columns: int) -> Header | None:
    """Return the header, or None where the first record is a recipient already.

    Args:
        name: Of the list, for messages.
        row: Number of the record.
        cells: Free of control characters; at least one is not blank.
        max_columns: Most columns.

    Raises:
        ListError: A column has no name, or the name of another; there are too many; or the record holds an address but
            does not begin with it.
    """
    if any("@" in cell for cell in cells):
        if "@" not in cells[0]:
            what = "there is no header, and the first cell is no address."
            raise _error(name, row, what, "Put a header with a column 'email' first, or the addresses into column 1.")
        return None
    names = [" ".join(cell.split()) for cell in cells]
    while not names[-1]:
        names.pop()
    if len(names) > max_columns:
        raise _error(name, row, f"there are {len(names):,} columns, the limit is {max_columns:,}.", "Remove some.")
    seen: dict[str, int] = {}
    for position, column in enumerate(names, start=1):
        if not column:
            raise _error(name, row, f"column {position} has no name.", "Name it, or remove the column.")
        if column in seen:
            what = f"columns {seen[column]} and {position} are both named '{column[:100]}'."
            raise _error(name, row, what, "Rename one of them.")
        seen[column] = position
    return Header(tuple(names), len(cells) - len(names))


def positional_fields(cells: list[str]) -> dict[str, object]:
    """Return the fields of a record without header: ``email``, ``name`` where it has one, the rest as ``data``."""
    fields: dict[str, object] = {"email": cells[0].strip()}
    if len(cells) > 1:
        fields["name"] = cells[1]
    fields["data"] = cells[2:]
    return fields


def second_address(cells: list[str]) -> str | None:
    """Return the fault of a record without header whose second cell is another address, not a name."""
    second = cells[1].strip() if len(cells) > 1 else ""
    if "@" not in second or " " in second or second.casefold() == cells[0].strip().casefold():
        return None
    return "holds two addresses; one row, one recipient"


def _error(name: str, row: int, what: str, fix: str) -> ListError:
    return ListError(f"{name}, row {row:,}: {what}", fix=fix)

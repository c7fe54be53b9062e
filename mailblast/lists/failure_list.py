"""Lists that ``mailblast failures`` wrote, to be sent to again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.model.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.row import BadRow

#: The columns behind the original ones; each may have ``mailblast_`` before it.
ADDED = ("outcome", "code", "enhanced", "reason", "provider", "attempts", "time")
# The writer puts a quote before what a spreadsheet would run as a formula.
_GUARDED = re.compile(r"'[=+\-@\t\r]")


def is_failure_list(columns: tuple[str, ...] | None) -> bool:
    """Return whether a header is one that we wrote."""
    last = (columns or ())[-len(ADDED) :]
    return tuple(name.removeprefix("mailblast_") for name in last) == ADDED


def unguarded(rows: Iterator[Row | BadRow]) -> Iterator[Row | BadRow]:
    """Yield the rows with the cells as they were before they were written for spreadsheets."""
    for row in rows:
        if isinstance(row, Row):
            fields = {
                name: cell[1:] if isinstance(cell, str) and _GUARDED.match(cell) else cell
                for name, cell in row.fields.items()
            }
            yield row._replace(fields=fields)
        else:
            yield row

"""What a list gives: rows, and rows that cannot be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Row(NamedTuple):
    """One record of the list."""

    #: Position in the file as a spreadsheet shows it: the first record is 1, a header counts.
    number: int
    #: Column name to cell. Cells are text, or any JSON value for JSON lines.
    fields: Mapping[str, object]


class BadRow(NamedTuple):
    """A record that cannot become a recipient. The run goes on without it."""

    number: int
    #: What is wrong and what to do, in one sentence, without file and row.
    reason: str
    #: The column at fault; empty where the whole row is.
    column: str = ""
    #: The address as written, where there is one; else empty.
    address: str = ""
    #: The row as far as it could be read, for the list of failures.
    fields: Mapping[str, object] = {}

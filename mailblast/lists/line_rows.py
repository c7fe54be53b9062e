"""Lists with one record a line: JSON lines, and the mixed ``.txt``."""

from __future__ import annotations

import csv
import json
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from mailblast.errors import ListError, RowFaultError
from mailblast.lists.byte_source import LineFaultError
from mailblast.lists.csv_header import POSITIONS, positional_fields, second_address
from mailblast.lists.formats import DELIMITERS, delimiter_of
from mailblast.lists.json_object import parse_object
from mailblast.lists.lines import CONTROL
from mailblast.model.row import BadRow, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailblast.lists.lines import LineReader

    #: Takes a line without white space around it; None where there is nothing to send.
    Parse: TypeAlias = Callable[[str], dict[str, object] | None]

#: How much of a line is shown as the address of a bad row.
LONGEST_ADDRESS = 320


def line_rows(name: str, lines: LineReader, first: list[str], parse: Parse, max_bytes: int) -> Iterator[Row | BadRow]:
    """Yield a row for each line that holds one.

    Args:
        name: Of the list, for messages.
        lines: Nothing read from it yet but its first chunk.
        first: The first chunk.
        parse: Makes fields of a line, or raises ``RowFaultError``.
        max_bytes: Longest line, for messages.

    Raises:
        ListError: The list is broken from a row on; all before it was given.
    """
    number = 0
    try:
        for number, raw in enumerate(chain(first, chain.from_iterable(lines)), start=1):
            line = raw.strip()
            if not line:
                if number in lines.overlong:
                    start = lines.overlong.pop(number).start
                    yield _bad(number, f"is longer than {max_bytes:,} bytes", "", start)
                continue
            try:
                fields = parse(line)
            except RowFaultError as fault:
                yield _bad(number, fault.reason, fault.column, line)
                continue
            if fields is not None:
                yield Row(number, fields)
    except LineFaultError as fault:
        raise ListError(f"{name}, row {number + 1:,}: {fault.what}", fix=fault.fix) from fault


def json_parser(max_columns: int) -> Parse:
    """Return what makes fields of a line of JSON."""
    return lambda line: parse_object(line, max_columns)


def mixed_parser(max_columns: int) -> Parse:
    """Return what makes fields of a line that is JSON, ``email,name,data…`` or an address; ``#`` begins a comment."""

    def parse(line: str) -> dict[str, object] | None:
        if line.startswith("#"):
            return None
        return parse_object(line, max_columns) if line.startswith("{") else _parse_cells(line, max_columns)

    return parse


def refuse_spread_json(name: str, first: list[str]) -> None:
    """Refuse a file that is one JSON value over many lines, which is no JSON lines.

    Raises:
        ListError: The file begins with an array, or with an object that does not end on its line.
    """
    line = next((line.strip() for line in first if line.strip()), "")
    if line.startswith("[") and not _is_plain_array(line):
        what, command = "is one JSON array", "jq -c '.[]'"
    elif line == "{":
        what, command = "has JSON objects over several lines", "jq -c ."
    else:
        return
    raise ListError(
        f"{name} {what}; mailblast reads one object a line.", fix=f"Convert it: {command} FILE > list.jsonl"
    )


def _is_plain_array(line: str) -> bool:
    """Return whether a line is an array of its own with something else than objects: one bad row among others."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return bool(value) and not any(isinstance(item, dict) for item in value)


def _parse_cells(line: str, max_columns: int) -> dict[str, object]:
    if "@" not in line:
        raise RowFaultError("holds no address")
    cells = [line]
    if any(delimiter in line for delimiter in DELIMITERS):
        try:
            # What is no CSV stays whole: "Last, First" <a@b.c> is an address.
            cells = next(csv.reader([line], delimiter=delimiter_of([line]), strict=True))
        except csv.Error:
            cells = [line]
    if len(cells) > max_columns:
        raise RowFaultError(f"has {len(cells):,} cells, the limit is {max_columns:,}")
    for position, cell in enumerate(cells):
        if CONTROL.search(cell):
            raise RowFaultError("holds a control character; type it again", column=POSITIONS[min(position, 2)])
    if reason := second_address(cells):
        raise RowFaultError(reason, column="name")
    return positional_fields(cells)


def _bad(number: int, reason: str, column: str, line: str) -> BadRow:
    """Return a bad row with the line as its address, where it is no JSON."""
    shown = "" if line.startswith(("{", "[")) else CONTROL.sub("\N{REPLACEMENT CHARACTER}", line)
    shown = shown if len(shown) <= LONGEST_ADDRESS else shown[:LONGEST_ADDRESS] + "…"
    return BadRow(number, reason, column, shown, {"email": shown} if shown else {})

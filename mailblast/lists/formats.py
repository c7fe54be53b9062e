"""Which format a list is in, and what separates its cells."""

from __future__ import annotations

import re
from pathlib import PurePath

from mailblast.errors import ListError, UsageError

#: By suffix, and by the value of ``--list-format``.
FORMATS = {"csv": "csv", "tsv": "tsv", "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl", "txt": "txt"}
DELIMITERS = ",;\t"
#: Excel's own first line; it is not shown in the spreadsheet.
SEP_LINE = re.compile(r'"?sep=([^"\w\s@.]|\t)"?\r?\n?', re.IGNORECASE)
#: A cell that only a header has.
ADDRESS_HEADING = re.compile(r"\s*(?:to|.*(?:mail|address).*)\s*", re.IGNORECASE | re.DOTALL)
#: Headings are short; anything longer is text.
LONGEST_HEADING = 100
FIX_FORMAT = "Say which it is with --list-format csv, tsv, jsonl or txt."


def format_by_name(name: str, wanted: str | None) -> str | None:
    """Return the format that was asked for, or that the file's name tells; None where it tells nothing.

    Raises:
        UsageError: What was asked for is no format.
    """
    if wanted is not None:
        if known := FORMATS.get(wanted.lower()):
            return known
        raise UsageError(f"{wanted!a} is no list format.", fix="Use csv, tsv, jsonl or txt.")
    suffixes = [suffix[1:].lower() for suffix in PurePath(name).suffixes]
    if suffixes and suffixes[-1] == "gz":
        suffixes.pop()
    return FORMATS.get(suffixes[-1]) if suffixes else None


def format_by_content(name: str, lines: list[str]) -> str:
    """Return the format that the first lines show.

    Raises:
        ListError: They show none.
    """
    first = next((line.strip() for line in lines if line.strip()), "")
    if first.startswith(("{", "[")):
        return "jsonl"
    if first.startswith("#"):
        return "txt"
    if SEP_LINE.fullmatch(first) or is_header(first):
        return "csv"
    delimited = any(delimiter in first for delimiter in DELIMITERS)
    if "@" in first:
        return "csv" if delimited else "txt"
    if delimited:
        return "csv"
    raise ListError(f"The format of {name} cannot be told from its name or its first line.", fix=FIX_FORMAT)


def is_header(line: str) -> bool:
    """Return whether a line without an address names a column of addresses."""
    cells = line.split(delimiter_of([line]))
    return "@" not in line and any(
        len(cell) <= LONGEST_HEADING and ADDRESS_HEADING.fullmatch(cell.strip('" \r\n')) for cell in cells
    )


def delimiter_of(lines: list[str]) -> str:
    """Return the most frequent of comma, semicolon and tab outside the quotes of the first record."""
    counts = dict.fromkeys(DELIMITERS, 0)
    quoted = False
    for line in lines:
        # Every second piece between quotes is quoted; a record goes on as long as a quote is open.
        pieces = line.split('"')
        for delimiter in DELIMITERS:
            counts[delimiter] += sum(piece.count(delimiter) for piece in pieces[quoted::2])
        quoted ^= len(pieces) % 2 == 0
        if not quoted and line.strip():
            break
    return max(DELIMITERS, key=lambda delimiter: counts[delimiter])

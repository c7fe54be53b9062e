"""Open a list in any format and read its rows as a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from mailblast.errors import ListError
from mailblast.lists.byte_source import ByteSource, LineFaultError, open_bytes
from mailblast.lists.csv_rows import CsvRows
from mailblast.lists.encoding import after_mark, check_encoding, wide_encoding_of
from mailblast.lists.failure_list import is_failure_list, unguarded
from mailblast.lists.formats import format_by_content, format_by_name, is_header
from mailblast.lists.line_rows import json_parser, line_rows, mixed_parser, refuse_spread_json
from mailblast.lists.lines import LineReader

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from mailblast.model.row import BadRow, Row


@dataclass(frozen=True, slots=True)
class ListSettings:
    """How a list is read."""

    #: csv, tsv, jsonl (ndjson, json) or txt; None: by the file's name, else by its first line.
    format: str | None = None
    #: A byte order mark counts for more.
    encoding: str = "utf-8"
    #: Longest record; a longer one is a bad row.
    max_record_bytes: int = 1_000_000
    max_columns: int = 1_000


class RowReader:
    """A list that is being read: iterate over it once. Made by ``open_list()``; used as a context manager.

    Args:
        source: Closed by ``close()``.
        columns: Of the header.
        rows: In the order of the file.
    """

    def __init__(self, source: ByteSource, columns: tuple[str, ...] | None, rows: Iterator[Row | BadRow]) -> None:
        #: The file as the user named it, ``stdin`` for ``-``.
        self.name = source.name
        #: Names of the header; None where rows bring their own (JSON lines, no header, txt).
        self.columns = columns
        #: Of the file on disk, compressed or not; None for pipes and stdin.
        self.size_bytes = source.size_bytes
        self._source = source
        self._rows = rows

    def position_bytes(self) -> int:
        """Return how much of ``size_bytes`` has been read."""
        return self._source.consumed

    def close(self) -> None:
        """Close the file; stdin stays open."""
        self._source.close()

    def __iter__(self) -> Iterator[Row | BadRow]:
        # The generator itself, not self: one call less for each row.
        return self._rows

    def __next__(self) -> Row | BadRow:
        return next(self._rows)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_list(source: str, settings: ListSettings, *, stdin: BinaryIO | None = None) -> RowReader:
    """Open a list and read its header.

    Row numbers are positions as a spreadsheet shows them: the first record is 1, the header counts, blank ones count
    but are not given.

    Args:
        source: File, named pipe, or ``-`` for stdin. Gzip is recognised by its content.
        settings: Format, encoding, limits.
        stdin: Read for ``-``; never closed.

    Returns:
        A reader that the caller closes. Iterating raises ``ListError`` at the row from which on the list is broken,
        after every row before it was given.

    Raises:
        ListError: The beginning shows that it is no usable list. Nothing stays open.
        UsageError: There is no such format or encoding.
    """
    wanted = format_by_name(source, settings.format)
    encoding = check_encoding(settings.encoding)
    content = open_bytes(source, stdin)
    try:
        return _reader(content, settings, wanted, encoding, gzipped=source.lower().endswith(".gz"))
    except LineFaultError as fault:
        content.close()
        raise ListError(f"{content.name}, row 1: {fault.what}", fix=fault.fix) from fault
    except BaseException:
        content.close()
        raise


def _reader(
    content: ByteSource, settings: ListSettings, wanted: str | None, encoding: str, *, gzipped: bool
) -> RowReader:
    head = content.begin(gzipped=gzipped)
    encoding, mark = after_mark(head, encoding)
    if encoding == "utf-8" and (wide := wide_encoding_of(head[:4])):
        raise ListError(f"{content.name} is not UTF-8 but looks like {wide}.", fix=f"Add --encoding {wide}.")
    if mark:
        content.read(mark)
    lines = LineReader(content.read, encoding, mark, settings.max_record_bytes)
    first = next(iter(lines), None)
    if first is None:
        raise ListError(f"{content.name} is empty.", fix="It needs a header with a column 'email', or addresses.")
    kind = wanted or format_by_content(content.name, first)
    if kind == "jsonl":
        refuse_spread_json(content.name, first)
        parse = json_parser(settings.max_columns)
    elif kind == "txt" and not _is_table(first):
        parse = mixed_parser(settings.max_columns)
    else:
        rows = CsvRows(
            content.name,
            lines,
            first,
            delimiter="\t" if kind == "tsv" else None,
            max_bytes=settings.max_record_bytes,
            max_columns=settings.max_columns,
        )
        read = iter(rows)
        return RowReader(content, rows.columns, unguarded(read) if is_failure_list(rows.columns) else read)
    return RowReader(content, None, line_rows(content.name, lines, first, parse, settings.max_record_bytes))


def _is_table(first: list[str]) -> bool:
    """Return whether a ``.txt`` is what Excel saves as text: a header and cells behind tabs."""
    line = next((line for line in first if line.strip()), "")
    return any(delimiter in line for delimiter in "\t;,") and not line.startswith(("#", "{")) and is_header(line)

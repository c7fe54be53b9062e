"""CSV and TSV, with or without a header, as spreadsheets write them."""

from __future__ import annotations

import csv
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import ListError
from mailblast.lists.byte_source import LineFaultError
from mailblast.lists.csv_header import FIX_HEADER, POSITIONS, positional_fields, read_header, second_address
from mailblast.lists.formats import SEP_LINE, delimiter_of
from mailblast.lists.lines import CHUNK_BYTES, CONTROL, utf8_length
from mailblast.model.row import BadRow, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.lists.lines import LineReader

FIX_QUOTE = 'Close the quote, or write it twice ("") where it belongs to the text.'


class _Fault(NamedTuple):
    reason: str
    #: Index of the cell at fault; -1 where the whole record is.
    at: int = -1


class CsvRows:
    """The rows of one CSV file, to be iterated over once.

    ``columns`` is known when the object is made; None without a header, where a row is ``email``, ``name`` and, as a
    list, ``data``. Names of columns lose the white space around them, and line breaks inside become blanks.

    Args:
        name: Of the list, for messages.
        lines: Nothing read from it yet but its first chunk.
        first: The first chunk.
        delimiter: None to find it.
        max_bytes: Longest record.
        max_columns: Most cells in a record.

    Raises:
        ListError: There is no usable first record.
    """

    def __init__(
        self, name: str, lines: LineReader, first: list[str], *, delimiter: str | None, max_bytes: int, max_columns: int
    ) -> None:
        self._name = name
        self._lines = lines
        self._max_bytes = max_bytes
        self._max_columns = max_columns
        sep = SEP_LINE.fullmatch(first[0])
        self._delimiter = sep[1] if sep else delimiter or delimiter_of(first)
        # The limit belongs to the csv module, so it is only ever raised. What bounds a record here is max_bytes.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * (max_bytes + CHUNK_BYTES)))
        every_line = chain.from_iterable(self._watched(chain([first], lines)))
        self._reader = csv.reader(every_line, delimiter=self._delimiter, strict=True)
        #: Line number of the last whole record's end.
        self._done = 0
        #: Number of the last record. Excel does not show its own first line, so it has none.
        self._number = -1 if sep else 0
        self.columns: tuple[str, ...] | None = None
        self._spare = 0
        self._first = self._first_record()
        if header := read_header(name, self._number, self._first, max_columns):
            self.columns, self._spare = header

    def __iter__(self) -> Iterator[Row | BadRow]:
        if self.columns is None and (row := self._row(self._first, self._done)):
            yield row
        while True:
            try:
                yield from self._headed(self.columns) if self.columns else self._headerless()
            except csv.Error as error:
                self._number += 1
                yield self._malformed(error)
            except LineFaultError as fault:
                raise self._broken(self._number + 1, fault.what, fault.fix) from fault
            else:
                return

    def _headed(self, columns: tuple[str, ...]) -> Iterator[Row | BadRow]:
        """Yield rows; the way of nearly all of them is short."""
        lines, reader, done = self._lines, self._reader, self._done
        # Rows of one column need the closer look for blanks, rows with spare cells for what is in them.
        width = len(columns) if len(columns) > 1 and not self._spare else -1
        for cells in reader:
            self._number += 1
            line = reader.line_num
            if len(cells) == width and cells[0] and line == done + 1 and line > lines.suspect:
                self._done = done = line
                # Their number is known to be equal; zip(strict=…) takes a fifth of the time of a row.
                yield Row(self._number, dict(zip(columns, cells)))  # noqa: B905
                continue
            row = self._row(cells, line)
            self._done = done = line
            if row is not None:
                yield row

    def _headerless(self) -> Iterator[Row | BadRow]:
        for cells in self._reader:
            self._number += 1
            row = self._row(cells, self._reader.line_num)
            self._done = self._reader.line_num
            if row is not None:
                yield row

    def _row(self, cells: list[str], line: int) -> Row | BadRow | None:
        """Return a record looked at closely; None where it is blank."""
        fault = self._fault(cells, line) or self._misfit(cells)
        if fault is not None:
            return self._bad(cells, fault)
        if not any(map(str.strip, cells)):
            return None
        if self.columns is None:
            return Row(self._number, positional_fields(cells))
        # Excel leaves out empty cells at the end.
        cells = [*cells[: len(self.columns)], *[""] * (len(self.columns) - len(cells))]
        return Row(self._number, dict(zip(self.columns, cells, strict=True)))

    def _misfit(self, cells: list[str]) -> _Fault | None:
        """Return what is wrong with the number of cells."""
        if self.columns is None:
            if len(cells) > self._max_columns:
                return _Fault(f"has {len(cells):,} cells, the limit is {self._max_columns:,}")
            reason = second_address(cells)
            return _Fault(reason, 1) if reason else None
        width = len(self.columns)
        if len(cells) > width + self._spare:
            return _Fault(f"has {len(cells):,} cells, the header has {width:,}; quote a cell that holds the delimiter")
        if any(map(str.strip, cells[width:])):
            return _Fault("has a cell under a column without a name; name the column or empty the cell")
        return None

    def _fault(self, cells: list[str], line: int) -> _Fault | None:
        """Return what is wrong with a record as such. Of one that was too long, its beginning is put back.

        Raises:
            ListError: It has swallowed a line that was too long: its quote is not closed where it should be.
        """
        overlong = self._lines.overlong
        for number in [number for number in overlong if number <= line]:
            start, quotes = overlong.pop(number)
            if line > self._done + 1 or quotes % 2:
                raise self._unclosed()
            cells[:] = self._reparse(start)[0]
            return _Fault(f"is longer than {self._max_bytes:,} bytes")
        if line > self._done + 1 and sum(map(utf8_length, cells)) > self._max_bytes:
            return _Fault(f"is longer than {self._max_bytes:,} bytes")
        if CONTROL.search("".join(cells)):
            at = next(index for index, cell in enumerate(cells) if CONTROL.search(cell))
            return _Fault("holds a control character; type the cell again", at)
        return None

    def _bad(self, cells: list[str], fault: _Fault) -> BadRow:
        names = POSITIONS if self.columns is None else self.columns
        fields = positional_fields(cells) if self.columns is None else dict(zip(names, cells, strict=False))
        column = names[min(fault.at, len(names) - 1)] if fault.at >= 0 else ""
        return BadRow(self._number, fault.reason, column, fields=fields)

    def _malformed(self, error: csv.Error) -> BadRow:
        """Return the bad row for a record that the csv module refuses, where it is certain where it ends.

        Raises:
            ListError: Its quotes reach into other lines.
        """
        line = self._reader.line_num
        cells, is_open = self._reparse(self._lines.line(line))
        if line != self._done + 1 or is_open:
            raise self._unclosed() from error
        self._done = line
        if "new-line" in str(error):
            return self._bad(cells, _Fault("holds a carriage return outside quotes; quote the cell or remove it"))
        return self._bad(cells, _Fault('has text after a closing quote; write a quote in a quoted cell twice ("")'))

    def _reparse(self, line: str) -> tuple[list[str], bool]:
        """Return the cells of one line, read leniently, and whether a quote is still open at its end."""
        lines = iter([line.rstrip("\r\n").replace("\r", " ") + "\n", "\n"])
        reader = csv.reader(lines, delimiter=self._delimiter)
        return next(reader) or [""], reader.line_num > 1

    def _first_record(self) -> list[str]:
        """Return the first record that is not blank, and count those before it."""
        try:
            for cells in self._reader:
                self._number += 1
                fault = self._fault(cells, self._reader.line_num) if self._number else None
                self._done = self._reader.line_num
                if fault is not None:
                    where = f"cell {fault.at + 1} " if fault.at >= 0 else "it "
                    raise self._broken(self._number, f"{where}{fault.reason}.", FIX_HEADER)
                if self._number and any(map(str.strip, cells)):
                    return cells
        except csv.Error as error:
            self._number += 1
            raise self._broken(self._number, f"it {self._malformed(error).reason}.", FIX_HEADER) from error
        except LineFaultError as fault:
            raise self._broken(self._number + 1, fault.what, fault.fix) from fault
        raise ListError(f"{self._name} is empty.", fix="It needs a header with a column 'email', or addresses.")

    def _watched(self, chunks: Iterator[list[str]]) -> Iterator[list[str]]:
        """Pass chunks on, and notice a record that goes on for too long: somebody forgot a quote."""
        held = 0
        for chunk in chunks:
            yield chunk
            # The csv reader wants more: what follows the last whole record belongs to one that is still open.
            whole = self._done - self._lines.first + 1
            held = sum(map(len, chunk[whole:])) if whole > 0 else held + sum(map(len, chunk))
            if held > self._max_bytes:
                self._number += 1
                raise self._unclosed()

    def _unclosed(self) -> ListError:
        what = "a quote is opened and not closed, so nobody can tell where the rows after it begin."
        return self._broken(self._number, what, FIX_QUOTE)

    def _broken(self, row: int, what: str, fix: str) -> ListError:
        return ListError(f"{self._name}, row {row:,}: {what}", fix=fix)

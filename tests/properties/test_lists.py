from __future__ import annotations

import csv
import gzip
import io
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from mailblast.errors import ListError
from mailblast.lists.rows import ListSettings, open_list
from mailblast.model.row import BadRow, Row
from mailblast.recipients.recipients import RecipientSettings, read_recipients

if TYPE_CHECKING:
    from mailblast.model.recipient import Recipient

#: What a cell may hold: everything but control characters other than tab and line ends.
CHARACTERS = st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('\t\n\r",;" ')
CELLS = st.text(CHARACTERS, max_size=20)
TABLES = st.integers(1, 6).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=20))
NUMBERS = st.integers(-(10**200), 10**200) | st.floats(allow_nan=False, allow_infinity=False)
NEWLINES = st.sampled_from(["\n", "\r\n", "\r"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | NUMBERS | CELLS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(CELLS, inner, max_size=4),
    max_leaves=10,
)
FRAGMENTS = st.sampled_from([*'",;\t\r\n{}[]#\0', "\r\n", "a@b.co", '{"email": "a@b.co"}', "email", "sep=;"])
DIRTY = st.lists(FRAGMENTS | st.text(max_size=5), max_size=30).map("".join).map(str.encode)


def read(data: bytes, **settings: object) -> list[Row | BadRow]:
    with open_list("-", ListSettings(**settings), stdin=io.BytesIO(data)) as reader:  # type: ignore[arg-type]  # by name
        return list(reader)


@given(
    TABLES,
    st.sampled_from([",", ";", "\t"]),
    NEWLINES,
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.sampled_from([64, 1_000_000]),
)
def test_csv_gives_back_the_cells_that_were_written(
    table: list[list[str]], delimiter: str, newline: str, quoting: Any, encoding: str, limit: int
) -> None:
    width = len(table[0]) if table else 2
    columns = ["email", *(f"column {number}" for number in range(1, width))]
    if any("\r" in cell or "\n" in cell for cells in table for cell in cells):
        # Python's writer quotes only the line ends that it writes itself.
        quoting = csv.QUOTE_ALL
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerow(columns)
    writer.writerows(table)
    data = file.getvalue().encode(encoding)
    expected = [(number, cells) for number, cells in enumerate(table, start=2) if any(cell.strip() for cell in cells)]
    # A small limit makes small chunks; records over it are tested elsewhere.
    longest = max((len("".join(cells).encode()) * 2 + 3 * width + 2 for cells in table), default=0)
    limit = max(limit, longest, 100)
    rows = read(data, format="csv", max_record_bytes=limit)
    assert [] == [row for row in rows if isinstance(row, BadRow)]
    assert expected == [(row.number, list(row.fields.values())) for row in rows]
    assert all(columns == list(row.fields) for row in rows)


@given(st.lists(st.dictionaries(CELLS, VALUES, max_size=5), max_size=10), st.booleans(), NEWLINES)
def test_json_lines_give_back_the_objects_that_were_written(
    objects: list[dict[str, object]],
    ascii_only: bool,  # noqa: FBT001 - drawn by hypothesis
    newline: str,
) -> None:
    lines = [json.dumps(value, ensure_ascii=ascii_only) for value in objects]
    rows = read(newline.join([*lines, "", "{}"]).encode(), format="jsonl")
    assert [*objects, {}] == [row.fields for row in rows]


@given(
    st.binary(max_size=300) | DIRTY | DIRTY.map(gzip.compress) | DIRTY.map(lambda data: gzip.compress(data)[:-9]),
    st.sampled_from([None, "csv", "tsv", "jsonl", "txt"]),
    st.sampled_from(["utf-8", "cp1252", "utf-16", "utf-7", "shift_jis"]),
    st.sampled_from([1, 10, 1_000_000]),
    st.integers(1, 5),
)
def test_bytes_of_any_kind_give_rows_bad_rows_or_a_list_error(
    data: bytes, kind: str | None, encoding: str, limit: int, columns: int
) -> None:
    found: list[Recipient | BadRow] = []
    settings = ListSettings(kind, encoding, limit, columns)
    try:
        with open_list("-", settings, stdin=io.BytesIO(data)) as reader:
            found.extend(read_recipients(reader, RecipientSettings(), columns=reader.columns, name=reader.name))
    except ListError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most inputs raise nothing
    numbers = [one.number if isinstance(one, BadRow) else one.row for one in found]
    assert sorted(set(numbers)) == numbers


@given(DIRTY, st.sampled_from(["csv", "jsonl", "txt"]), st.integers(1, 50))
def test_pieces_in_which_bytes_arrive_change_nothing(data: bytes, kind: str, size: int) -> None:
    class Pieces(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            return super().read1(size)

    def outcome(stream: io.BytesIO) -> list[object]:
        found: list[object] = []
        try:
            with open_list("-", ListSettings(format=kind), stdin=stream) as reader:
                found.extend(reader)
        except ListError as error:
            found.append(str(error))
        return found

    assert outcome(io.BytesIO(data)) == outcome(Pieces(data))

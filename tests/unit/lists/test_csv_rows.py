from __future__ import annotations

import io

import pytest

from mailblast.errors import ListError
from mailblast.lists.rows import ListSettings, open_list
from mailblast.model.row import BadRow, Row


def read(data: str | bytes, **settings: object) -> list[Row | BadRow]:
    content = data.encode() if isinstance(data, str) else data
    chosen = ListSettings(**{"format": "csv", **settings})  # type: ignore[arg-type]  # tests name their own fields
    with open_list("-", chosen, stdin=io.BytesIO(content)) as reader:
        return list(reader)


def fields(data: str | bytes, **settings: object) -> list[dict[str, object]]:
    rows = read(data, **settings)
    assert [] == [row for row in rows if isinstance(row, BadRow)]
    return [dict(row.fields) for row in rows]


def broken(data: str | bytes, **settings: object) -> tuple[list[Row | BadRow], ListError]:
    """Return what came before the error, and the error."""
    content = data.encode() if isinstance(data, str) else data
    chosen = ListSettings(**{"format": "csv", **settings})  # type: ignore[arg-type]  # tests name their own fields
    rows: list[Row | BadRow] = []
    with pytest.raises(ListError) as caught, open_list("-", chosen, stdin=io.BytesIO(content)) as reader:
        rows.extend(reader)
    return rows, caught.value


ADA = {"email": "ada@example.com", "name": "Ada"}
BEN = {"email": "ben@example.com", "name": "Ben"}


@pytest.mark.parametrize(
    "data",
    [
        "email,name\nada@example.com,Ada\nben@example.com,Ben\n",
        "email,name\nada@example.com,Ada\nben@example.com,Ben",
        "email,name\r\nada@example.com,Ada\r\nben@example.com,Ben\r\n",
        "email,name\rada@example.com,Ada\rben@example.com,Ben\r",
        "email,name\r\r\nada@example.com,Ada\r\r\nben@example.com,Ben\r\r\n",
        "\ufeffemail,name\nada@example.com,Ada\nben@example.com,Ben\n",
        "email;name\nada@example.com;Ada\nben@example.com;Ben\n",
        "email\tname\nada@example.com\tAda\nben@example.com\tBen\n",
        "sep=;\r\nemail;name\r\nada@example.com;Ada\r\nben@example.com;Ben\r\n",
        "sep=|\nemail|name\nada@example.com|Ada\nben@example.com|Ben\n",
        '"email","name"\n"ada@example.com","Ada"\n"ben@example.com","Ben"\n',
        " email , name \nada@example.com,Ada\nben@example.com,Ben\n",
        "email,name,,\nada@example.com,Ada,,\nben@example.com,Ben\n",
        "\n\nemail,name\n\nada@example.com,Ada\n,\n  \nben@example.com,Ben\n\n",
    ],
)
def test_csv_in_any_dress_gives_the_same_cells(data: str) -> None:
    assert [ADA, BEN] == fields(data)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-16-be-with-mark"])
def test_byte_order_mark_tells_the_encoding(encoding: str) -> None:
    text = "email\tname\r\nada@example.com\tÅda\r\n"
    data = ("\ufeff" + text).encode("utf-16-be") if encoding.endswith("mark") else text.encode(encoding)
    assert [{"email": "ada@example.com", "name": "Åda"}] == fields(data)


def test_numbers_count_header_blank_lines_and_multiline_records_once() -> None:
    rows = read('\nemail,note\na@b.co,"x\ny"\n\nb@b.co,z\n')
    assert [(3, "x\ny"), (5, "z")] == [(row.number, row.fields["note"]) for row in rows]


def test_numbers_do_not_count_the_line_that_excel_hides() -> None:
    assert [2] == [row.number for row in read("sep=;\nemail;name\na@b.co;A\n")]


def test_delimiter_in_quotes_of_the_first_record_is_not_counted() -> None:
    data = 'email;"a, b, c, d";"x\n,,,,,"\na@b.co;1;2\n'
    assert [{"email": "a@b.co", "a, b, c, d": "1", "x ,,,,,": "2"}] == fields(data)


def test_quoted_cells_keep_line_breaks_tabs_and_quotes() -> None:
    data = 'email,note\r\na@b.co,"one\r\ntwo\tthree ""four"""\r\n'
    assert [{"email": "a@b.co", "note": 'one\r\ntwo\tthree "four"'}] == fields(data)


def test_short_row_is_filled_with_empty_cells() -> None:
    assert [{"email": "a@b.co", "name": "", "plan": ""}] == fields("email,name,plan\na@b.co\n")


def test_one_column_skips_rows_of_blanks() -> None:
    assert [{"email": "a@b.co"}] == fields("email\n   \na@b.co\n\n")


def test_row_without_its_first_cell_is_kept() -> None:
    assert [{"name": "", "email": "a@b.co"}] == fields("name,email\n,a@b.co\n")


def test_header_only_gives_no_rows_and_its_columns() -> None:
    with open_list("-", ListSettings(format="csv"), stdin=io.BytesIO(b"email,name\n")) as reader:
        assert ("email", "name") == reader.columns
        assert [] == list(reader)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("a@b.co\n", {"email": "a@b.co", "data": []}),
        ("a@b.co,\n", {"email": "a@b.co", "name": "", "data": []}),
        ("a@b.co,A,x,y\n", {"email": "a@b.co", "name": "A", "data": ["x", "y"]}),
        ("a@b.co;A;x,y\n;;\n", {"email": "a@b.co", "name": "A", "data": ["x,y"]}),
        ("a@b.co,a@b.co\n", {"email": "a@b.co", "name": "a@b.co", "data": []}),
    ],
)
def test_csv_without_header_names_cells_by_position(data: str, expected: dict[str, object]) -> None:
    assert [expected] == fields(data)


def test_csv_without_header_counts_from_one_and_has_no_columns() -> None:
    with open_list("-", ListSettings(format="csv"), stdin=io.BytesIO(b"a@b.co,A\n\nb@b.co\n")) as reader:
        assert reader.columns is None
        assert [1, 3] == [row.number for row in reader]


@pytest.mark.parametrize(
    ("data", "number", "reason", "column"),
    [
        ("email,name\na@b.co,A,x\n", 2, "has 3 cells, the header has 2", ""),
        ("email,name,\na@b.co,A,x\n", 2, "under a column without a name", ""),
        ("email,name\na@b.co,A\x00\n", 2, "holds a control character", "name"),
        ("email,name\na@b.co,A\x1b[2J\n", 2, "holds a control character", "name"),
        ("email,name\na\x7f@b.co,A\n", 2, "holds a control character", "email"),
        ('email,name\na@b.co,"A" B\n', 2, "text after a closing quote", ""),
        ("email,name\na@b.co,A\rx@b.co,X\n", 2, "carriage return", ""),
        ("a@b.co\na@b.co,A,x,\x01\n", 2, "holds a control character", "data"),
        ("a@b.co,c@d.co\n", 1, "holds two addresses", "name"),
    ],
)
def test_bad_row_is_named_and_the_next_one_read(data: str, number: int, reason: str, column: str) -> None:
    rows = read(data + "ok@b.co,Ok\n")
    bad = next(row for row in rows if isinstance(row, BadRow))
    assert (number, column) == (bad.number, bad.column)
    assert reason in bad.reason
    assert "@b.co" in str(bad.fields["email"])
    assert ("ok@b.co", number + 1) == (rows[-1].fields["email"], rows[-1].number)


def test_control_character_in_a_wide_encoding_is_found() -> None:
    rows = read("email,name\na@b.co,A\x01\nb@b.co,B\n".encode("utf-16"))
    assert [BadRow, Row] == [type(row) for row in rows]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ("email,name,email\n", "columns 1 and 3 are both named 'email'"),
        ("email,,name\na@b.co,x,A\n", "column 2 has no name"),
        ("email,na\x00me\n", "cell 2 holds a control character"),
        ("name,a@b.co\n", "the first cell is no address"),
        ("email,a,b,c,d\n", "there are 5 columns, the limit is 4"),
        ('email,"na"me\n', "text after a closing quote"),
        ('email,"name\na@b.co,A\n', "a quote is opened"),
    ],
)
def test_unusable_first_record_stops_at_once(data: str, what: str) -> None:
    with pytest.raises(ListError) as caught:
        open_list("-", ListSettings(format="csv", max_columns=4), stdin=io.BytesIO(data.encode()))
    assert "stdin, row 1: " in caught.value.message
    assert what in caught.value.message
    assert caught.value.fix


def test_too_many_cells_without_header_is_a_bad_row() -> None:
    (row,) = read("a@b.co,1,2,3,4\n", max_columns=4)
    assert isinstance(row, BadRow)
    assert "has 5 cells, the limit is 4" in row.reason


@pytest.mark.parametrize("data", ["", "\ufeff", "\n\n", " , \n"])
def test_empty_file_is_an_error(data: str) -> None:
    _, error = broken(data)
    assert "stdin is empty." == error.message


@pytest.mark.parametrize(
    "tail",
    [
        'c@b.co,"C\nd@b.co,D\n',  # until the end of the file
        'c@b.co,"C',
        'c@b.co,"C\nd@b.co,"D"\n',  # until the next quote
        'c@b.co,5" x,"C\nd@b.co,D\n',  # an even number of quotes
        'c@b.co,"C" x,"y\nd@b.co,D\n',  # a bad row that reaches into the next
    ],
)
def test_unclosed_quote_names_its_row_and_keeps_what_came_before(tail: str) -> None:
    rows, error = broken("email,name\na@b.co,A\n" + tail)
    assert ["a@b.co"] == [row.fields["email"] for row in rows]
    assert "row 3: a quote is opened and not closed" in error.message
    assert "Close the quote" in error.fix


def test_unclosed_quote_in_row_two_of_many_stops_within_the_limit() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read1(self, size: int | None = -1, /) -> bytes:
            data = super().read1(size if size is not None else -1)
            self.taken += len(data)
            return data

    stream = Counting(b'email,name\na@b.co,"A\n' + b"x@example.com,somebody\n" * 100_000)
    with (
        pytest.raises(ListError, match="row 2: a quote is opened"),
        open_list("-", ListSettings(format="csv", max_record_bytes=10_000), stdin=stream) as reader,
    ):
        list(reader)
    # read1 of the counted stream may look ahead by one buffer.
    assert stream.taken < 200_000


def test_long_line_is_a_bad_row_with_what_it_began_with() -> None:
    rows = read("email,name\na@b.co,A\nb@b.co," + "x" * 300_000 + "\nc@b.co,C\n", max_record_bytes=1_000)
    assert [(2, Row), (3, BadRow), (4, Row)] == [(row.number, type(row)) for row in rows]
    assert isinstance(rows[1], BadRow)
    assert "is longer than 1,000 bytes" == rows[1].reason
    assert "b@b.co" == rows[1].fields["email"]
    assert len(str(rows[1].fields["name"])) < 1_100


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("excess", [0, 1])
def test_longest_line_is_exactly_the_limit(newline: str, excess: int) -> None:
    line = "a@b.co," + "é" * 46 + "x" * (1 + excess)
    rows = read(newline.join(("email,name", line, "b@b.co,B", "")), max_record_bytes=100)
    assert [BadRow if excess else Row, Row] == [type(row) for row in rows]
    assert [2, 3] == [row.number for row in rows]


def test_long_line_at_the_very_end_is_a_bad_row() -> None:
    rows = read("email,name\nb@b.co," + "x" * 3_000, max_record_bytes=1_000)
    assert [BadRow] == [type(row) for row in rows]


def test_long_first_line_is_an_error() -> None:
    _, error = broken("x" * 3_000, max_record_bytes=1_000)
    assert "row 1: it is longer than 1,000 bytes." in error.message


def test_long_line_that_leaves_a_quote_open_is_an_error() -> None:
    rows, error = broken('email,name\na@b.co,A\nb@b.co,"' + "x" * 3_000 + "\nevil@b.co,E\n", max_record_bytes=1_000)
    assert 1 == len(rows)
    assert "row 3: a quote is opened" in error.message


def test_long_line_inside_a_quoted_cell_is_an_error() -> None:
    data = 'email,name\na@b.co,A\nb@b.co,"x\n' + "x" * 3_000 + '\ny"\nc@b.co,C\n'
    rows, error = broken(data, max_record_bytes=1_000)
    assert 1 == len(rows)
    assert "row 3: a quote is opened" in error.message


def test_long_record_of_short_lines_is_a_bad_row() -> None:
    data = 'email,name\na@b.co,"' + "é\n" * 300 + '"\nb@b.co,B\n'
    rows = read(data, max_record_bytes=800)
    assert [BadRow, Row] == [type(row) for row in rows]


def test_cell_beyond_the_csv_module_s_own_limit_is_read() -> None:
    (row,) = read('email,note\na@b.co,"' + "line of text\n" * 20_000 + '"\n')
    assert 260_000 == len(str(row.fields["note"]))


def test_records_across_many_chunks_are_whole() -> None:
    lines = [f'user{number}@example.com,"Name\n{number}"\n' for number in range(5_000)]
    rows = read("email,name\n" + "".join(lines))
    assert [(number + 2, f"Name\n{number}") for number in range(5_000)] == [
        (row.number, row.fields["name"]) for row in rows
    ]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_pipe_that_gives_single_bytes_reads_the_same(newline: str) -> None:
    class Trickle(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            return super().read1(1)

    data = newline.join(("email,name", "a@b.co,Å", '"b@b.co","x\ny"', "", "c@b.co,C", "")).encode()
    with open_list("-", ListSettings(format="csv"), stdin=Trickle(data)) as reader:
        assert [("a@b.co", 2), ("b@b.co", 3), ("c@b.co", 5)] == [(row.fields["email"], row.number) for row in reader]

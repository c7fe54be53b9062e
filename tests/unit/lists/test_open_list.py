from __future__ import annotations

import gzip
import io
import os
import threading
from pathlib import Path

import pytest

from mailblast.errors import ListError, UsageError
from mailblast.lists.rows import ListSettings, open_list
from mailblast.model.row import BadRow, Row

CSV = b"email,name\na@b.co,A\nb@b.co,B\n"
EMAILS = ["a@b.co", "b@b.co"]


def emails(name: str, **settings: object) -> list[object]:
    with open_list(name, ListSettings(**settings)) as reader:  # type: ignore[arg-type]  # tests name their own fields
        return [row.fields["email"] for row in reader]


def error_of(name: str, **settings: object) -> ListError:
    with pytest.raises(ListError) as caught:
        emails(name, **settings)
    assert caught.value.fix
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("list.csv", CSV),
        ("LIST.CSV", CSV),
        ("list.tsv", b"email\tname, first\na@b.co\tA\nb@b.co\tB\n"),
        ("list.jsonl", b'{"email": "a@b.co"}\n{"email": "b@b.co"}\n'),
        ("list.ndjson", b'{"email": "a@b.co"}\n{"email": "b@b.co"}\n'),
        ("list.json", b'{"email": "a@b.co"}\n{"email": "b@b.co"}\n'),
        ("list.txt", b"a@b.co\nb@b.co\n"),
        ("list.csv.gz", gzip.compress(CSV)),
        ("two members.csv.gz", gzip.compress(CSV[:15]) + gzip.compress(CSV[15:])),
        ("compressed whatever its name.csv", gzip.compress(CSV)),
        ("list", CSV),
        ("list.v2", CSV),
        ("list.gz", gzip.compress(CSV)),
        ("list.data", b'\n{"email": "a@b.co"}\n{"email": "b@b.co"}\n'),
        ("list.data", b"a@b.co\nb@b.co\n"),
        ("list.data", b"a@b.co,A\nb@b.co\n"),
        ("list.data", b"# readers\na@b.co\nb@b.co\n"),
        ("list.data", b"email\na@b.co\nb@b.co\n"),
        ("list.data", b"sep=;\nemail\na@b.co\nb@b.co\n"),
        ("list.data", b"who,email\nA,a@b.co\nB,b@b.co\n"),
        ("list.data", b"email;x\na@b.co\nb@b.co\n"),
    ],
)
def test_format_is_known_by_name_or_content(name: str, data: bytes) -> None:
    Path(name).write_bytes(data)
    assert EMAILS == emails(name)


def test_table_of_unknown_name_is_csv_whatever_its_columns() -> None:
    Path("list.data").write_bytes(b"given;contact\nA;a@b.co\n")
    with open_list("list.data", ListSettings()) as reader:
        assert ("given", "contact") == reader.columns


def test_format_that_is_asked_for_counts_for_more_than_the_name() -> None:
    Path("list.csv").write_bytes(b"a@b.co\nb@b.co\n")
    assert EMAILS == emails("list.csv", format="TXT")


def test_reader_knows_name_size_and_position() -> None:
    data = b"email,name\n" + b"a@b.co,A\n" * 50_000
    Path("list.csv").write_bytes(data)
    with open_list("list.csv", ListSettings()) as reader:
        assert ("list.csv", len(data), ("email", "name")) == (reader.name, reader.size_bytes, reader.columns)
        assert Row(2, {"email": "a@b.co", "name": "A"}) == next(reader)
        assert 0 < reader.position_bytes() < len(data)
        assert 49_999 == sum(1 for _ in reader)
        assert len(data) == reader.position_bytes()
    assert len(data) == reader.position_bytes()


def test_position_in_a_compressed_file_is_of_the_file() -> None:
    Path("list.csv.gz").write_bytes(gzip.compress(CSV))
    with open_list("list.csv.gz", ListSettings()) as reader:
        assert 2 == sum(1 for _ in reader)
        assert Path("list.csv.gz").stat().st_size == reader.size_bytes == reader.position_bytes()


def test_stdin_has_no_size_and_stays_open() -> None:
    stdin = io.BytesIO(CSV)
    with open_list("-", ListSettings(), stdin=stdin) as reader:
        assert ("stdin", None) == (reader.name, reader.size_bytes)
        assert 2 == sum(1 for _ in reader)
    assert not stdin.closed


def test_stdin_that_does_not_block_is_waited_for() -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    with os.fdopen(read_end, "rb") as stdin:
        writer = threading.Thread(target=_write, args=(write_end, CSV))
        writer.start()
        with open_list("-", ListSettings(), stdin=stdin) as reader:
            assert 2 == sum(1 for _ in reader)
        writer.join()


def test_named_pipe_is_read() -> None:
    os.mkfifo("pipe.csv")
    writer = threading.Thread(target=Path("pipe.csv").write_bytes, args=(CSV,))
    writer.start()
    with open_list("pipe.csv", ListSettings()) as reader:
        assert reader.size_bytes is None
        assert EMAILS == [row.fields["email"] for row in reader]
    writer.join()


def test_row_from_a_pipe_comes_before_the_next_is_written() -> None:
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as stdin:
        os.write(write_end, b"email,name\na@b.co,A\n")
        with open_list("-", ListSettings(), stdin=stdin) as reader:
            assert 2 == next(reader).number
            os.write(write_end, b"b@b.co,B\n")
            assert 3 == next(reader).number
            os.close(write_end)


@pytest.mark.parametrize(
    ("name", "data", "what"),
    [
        ("missing.csv", None, "does not exist"),
        (".", None, "is a folder"),
        ("nul\0.csv", None, "cannot be opened"),
        ("x" * 5_000, None, "cannot be opened"),
        ("empty.csv", b"", "is empty"),
        ("empty.jsonl", b"", "is empty"),
        ("empty.txt", b"\xef\xbb\xbf", "is empty"),
        ("empty.csv.gz", gzip.compress(b""), "is empty"),
        ("plain.csv.gz", CSV, "is not gzip"),
        ("cut.csv.gz", gzip.compress(CSV)[:5], "ends too early"),
        ("list.csv", b"PK\x03\x04rest", "an Excel workbook or a zip file"),
        ("list.data", b"hello\nworld\n", "format of list.data cannot be told"),
        ("list.csv", "email,name\na@b.co,A\n".encode("utf-16-le"), "looks like utf-16-le"),
        ("list.csv", "email,name\na@b.co,A\n".encode("utf-16-be"), "looks like utf-16-be"),
    ],
)
def test_file_that_is_no_list_is_an_error_at_once(name: str, data: bytes | None, what: str) -> None:
    if data is not None:
        Path(name).write_bytes(data)
    assert what in error_of(name).message


def test_file_that_may_not_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("list.csv").write_bytes(CSV)
    Path("list.csv").chmod(0)
    if os.access("list.csv", os.R_OK):  # root may read everything
        monkeypatch.setattr(Path, "open", _refuse)
    assert "may not be read" in error_of("list.csv").message


def _write(descriptor: int, data: bytes) -> None:
    os.write(descriptor, data)
    os.close(descriptor)


def _refuse(*args: object, **kwargs: object) -> None:
    raise PermissionError


def test_stdin_that_is_not_there_is_an_error() -> None:
    assert "no stdin" in error_of("-").message


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"format": "xlsx"}, "no list format"),
        ({"encoding": "klingon"}, "not known"),
        ({"encoding": "hex"}, "not known"),
        ({"encoding": "a\0b"}, "not known"),
        ({"encoding": "undefined"}, "not known"),
    ],
)
def test_setting_that_does_not_exist_is_a_usage_error(settings: dict[str, object], what: str) -> None:
    Path("list.csv").write_bytes(CSV)
    with pytest.raises(UsageError) as caught:
        emails("list.csv", **settings)
    assert what in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    ("tail", "asked", "likely"),
    [
        ("c@b.co,Zoë\n".encode("cp1252"), "utf-8", "cp1252"),
        (b"c@b.co,\x81\x8d\n", "utf-8", "latin-1"),
        ("c@b.co,Zoë\n".encode(), "ascii", "utf-8"),
        (b"c@b.co,\x81\n", "cp1252", "latin-1"),
    ],
)
def test_wrong_encoding_names_row_byte_and_remedy_after_all_before_it(tail: bytes, asked: str, likely: str) -> None:
    Path("list.csv").write_bytes(CSV + tail)
    rows: list[object] = []
    with (
        pytest.raises(ListError) as caught,
        open_list("list.csv", ListSettings(encoding=asked)) as reader,
    ):
        rows.extend(row.fields["email"] for row in reader)
    assert EMAILS == rows
    assert "list.csv, row 4: byte 0x" in caught.value.message
    assert f"--encoding {likely}" in caught.value.fix


def test_wrong_encoding_far_inside_gives_its_offset() -> None:
    data = b"email,name\n" + b"a@b.co,A\n" * 30_000
    Path("list.csv").write_bytes(data + b"x@b.co,\xe9\n")
    assert f"row 30,002: byte 0xE9 at offset {len(data) + 7:,} is not utf-8" in error_of("list.csv").message


def test_wrong_encoding_in_lines_of_json_names_the_row() -> None:
    Path("list.jsonl").write_bytes(b'{"email": "a@b.co"}\n{"email": "\xe9@b.co"}\n')
    assert "list.jsonl, row 2: byte 0xE9 at offset 31" in error_of("list.jsonl").message


def test_wrong_encoding_in_the_header_names_the_first_row() -> None:
    Path("list.csv").write_bytes(b'email,"na\nm\xe9"\na@b.co,A\n')
    assert "list.csv, row 1: byte 0xE9" in error_of("list.csv").message


def test_wrong_encoding_of_characters_that_depend_on_earlier_ones_is_an_error() -> None:
    Path("list.csv").write_bytes(CSV + b"c@b.co,\x1b$B\xff\xff\n")
    assert "is not iso2022_jp" in error_of("list.csv", encoding="iso2022_jp").message


def test_text_that_its_codec_refuses_without_naming_a_place_is_an_error() -> None:
    Path("list.csv").write_bytes(b"xn--^5V_%-\n")
    assert "list.csv, row 1: " in error_of("list.csv", encoding="idna").message


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("utf-16-le", "utf-16"),
        ("utf-16-be", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-32-le", "utf-32"),
    ],
)
def test_wide_encoding_without_a_mark_is_read_when_asked_for(written: str, asked: str) -> None:
    Path("list.csv").write_bytes(CSV.decode().encode(written))
    assert EMAILS == emails("list.csv", encoding=asked)


def test_file_that_ends_inside_a_character_is_an_error() -> None:
    Path("list.csv").write_bytes(CSV + b"c@b.co,Zo\xc3")
    assert "row 4: the file ends in the middle of a character" in error_of("list.csv").message


def test_encoding_that_is_asked_for_is_used() -> None:
    Path("list.csv").write_bytes("email,name\na@b.co,Zoë €\n".encode("cp1252"))
    with open_list("list.csv", ListSettings(encoding="Windows-1252")) as reader:
        assert ["Zoë €"] == [row.fields["name"] for row in reader]


@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "shift_jis", "iso2022_jp", "utf-16-le"])
def test_control_characters_are_found_in_unusual_encodings(encoding: str) -> None:
    Path("list.csv").write_bytes("email,name\na@b.co,A\x01\nb@b.co,B\n".encode(encoding))
    with open_list("list.csv", ListSettings(encoding=encoding)) as reader:
        assert [BadRow, Row] == [type(row) for row in reader]


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda data: data[: len(data) // 2], "ends too early"),
        (lambda data: data[:-6] + b"\0\0" + data[-4:], "damaged"),
        (lambda data: data + b"garbage", "damaged"),
    ],
)
def test_damaged_gzip_stops_after_what_could_be_read(damage: object, what: str) -> None:
    content = b"email,name\n" + b"".join(b"user%d@example.com,%d\n" % (n, n * n) for n in range(60_000))
    assert callable(damage)
    Path("list.csv.gz").write_bytes(damage(gzip.compress(content, mtime=0)))
    rows: list[Row | BadRow] = []
    with pytest.raises(ListError) as caught, open_list("list.csv.gz", ListSettings()) as reader:
        rows.extend(reader)
    assert what in caught.value.message
    assert f"row {len(rows) + 2:,}: " in caught.value.message
    assert len(rows) > 1_000
    # The row that was cut is not among them.
    assert [f"user{n}@example.com" for n in range(len(rows))] == [row.fields["email"] for row in rows]


def test_reader_that_was_closed_says_so() -> None:
    Path("list.csv").write_bytes(b"email,name\n" + b"a@b.co,A\n" * 20_000)
    reader = open_list("list.csv", ListSettings())
    reader.close()
    with pytest.raises(ListError, match="was closed"):
        list(reader)


def test_disk_that_fails_is_an_error_at_its_row() -> None:
    class Failing(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            data = super().read1(size if size is not None else -1)
            if not data:
                raise OSError(5, "Input/output error")
            return data

    with (
        pytest.raises(ListError, match="stdin, row 4: the file cannot be read \\(Input/output error\\)"),
        open_list("-", ListSettings(), stdin=Failing(CSV)) as reader,
    ):
        list(reader)


def test_stream_without_read1_is_read() -> None:
    class Plain:
        def __init__(self) -> None:
            self.read = io.BytesIO(CSV).read

    with open_list("-", ListSettings(), stdin=Plain()) as reader:  # type: ignore[arg-type]  # as odd as stdin can be
        assert 2 == sum(1 for _ in reader)

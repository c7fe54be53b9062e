from __future__ import annotations

import io
import json

import pytest

from mailblast.errors import ListError
from mailblast.lists.rows import ListSettings, open_list
from mailblast.model.row import BadRow, Row


def read(data: str, kind: str = "jsonl", limit: int = 1_000_000) -> list[Row | BadRow]:
    settings = ListSettings(format=kind, max_record_bytes=limit, max_columns=10)
    with open_list("-", settings, stdin=io.BytesIO(data.encode())) as reader:
        assert reader.columns is None
        return list(reader)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_json_lines_keep_nested_values_and_skip_blank_lines(newline: str) -> None:
    first = {"email": "a@b.co", "items": [{"price": 1.5, "n": 2, "ok": True, "none": None}]}
    second = {"email": "b@b.co", "name": "Zoë \U0001f600"}
    rows = read(newline.join((json.dumps(first), "", "  ", json.dumps(second, ensure_ascii=False))))
    assert [Row(1, first), Row(4, second)] == rows


@pytest.mark.parametrize(
    ("line", "reason", "column"),
    [
        ('{"a": 1', "is no JSON", ""),
        ("{'a': 1}", "is no JSON: Expecting property name enclosed in double quotes at character 2", ""),
        ("[1, 2]", "is no JSON object", ""),
        ("3", "is no JSON object", ""),
        ('"a@b.co"', "is no JSON object", ""),
        ('{"a": 1, "b": 2, "a": 3}', "appears twice", "a"),
        ('{"x": {"b": 1, "b": 1}}', "appears twice", "b"),
        ('{"a": NaN}', "holds NaN", ""),
        ('{"a": -Infinity}', "holds -Infinity", ""),
        ('{"a": 1e999}', "too large", ""),
        ('{"a": ' + "9" * 5_000 + "}", "more than 300 digits", ""),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested deeper", ""),
        ('{"a": ' + "[" * 100 + "]" * 100 + "}", "nested deeper", ""),
        ('{"a": "' + "[" * 101 + '\\"' * 200_000, "is no JSON: Unterminated string", ""),
        ('{"a": "' + "[" * 101 + "\\", "is no JSON: Unterminated string", ""),
        ('{"a": "\\ud800"}', "holds a control character or half of one", "a"),
        ('{"a": {"b": ["\\u0000"]}}', "holds a control character", "a"),
        ('{"a\\u0007": 1}', "holds a control character", "a\ufffd"),
        ('{"a": "\x7f"}', "holds a control character", "a"),
        ('{"a": "\x01"}', "is no JSON: Invalid control character", ""),
        (json.dumps(dict.fromkeys("abcdefghijk", 1)), "has 11 keys, the limit is 10", ""),
    ],
)
def test_json_that_cannot_be_trusted_is_a_bad_row(line: str, reason: str, column: str) -> None:
    bad, good = read(line + '\n{"email": "a@b.co"}\n')
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (1, column) == (bad.number, bad.column)
    assert Row(2, {"email": "a@b.co"}) == good


@pytest.mark.parametrize(
    "line",
    [
        '{"a": "line\\nbreak\\ttab \\ud83d\\ude00 \\\\ \\""}',
        '{"a": "' + "[" * 200 + '\\"{"}',
        '{"a": ' + "[" * 99 + "]" * 99 + "}",
        '{"a": [' + "[], " * 200 + "[]]}",
    ],
)
def test_json_with_escapes_and_many_brackets_is_a_row(line: str) -> None:
    assert [Row(1, json.loads(line))] == read(line)


@pytest.mark.parametrize(
    ("data", "what", "command"),
    [
        ('[{"email": "a@b.co"}]', "one JSON array", "jq -c '.[]'"),
        ('\n [\n{"email": "a@b.co"}\n]', "one JSON array", "jq -c '.[]'"),
        ("[]", "one JSON array", "jq -c '.[]'"),
        ('{\n"email": "a@b.co"\n}', "over several lines", "jq -c ."),
    ],
)
def test_json_in_one_piece_is_an_error_with_its_remedy(data: str, what: str, command: str) -> None:
    with pytest.raises(ListError) as caught:
        read(data)
    assert what in caught.value.message
    assert command in caught.value.fix


def test_long_line_of_json_is_a_bad_row() -> None:
    rows = read('{"email": "a@b.co"}\n{"email": "' + "x" * 200_000 + '"}\n{"email": "c@b.co"}\n', limit=1_000)
    assert [(1, Row), (2, BadRow), (3, Row)] == [(row.number, type(row)) for row in rows]
    assert "longer than 1,000 bytes" in rows[1].reason if isinstance(rows[1], BadRow) else None


def test_txt_mixes_addresses_cells_and_json() -> None:
    data = '# readers\n\na@b.co\nb@b.co,B,x,y\nc@b.co;C\n{"email": "d@b.co"}\n"E, F" <e@b.co>\n"G,\' <g@b.co>\n'
    expected = [
        Row(3, {"email": "a@b.co", "data": []}),
        Row(4, {"email": "b@b.co", "name": "B", "data": ["x", "y"]}),
        Row(5, {"email": "c@b.co", "name": "C", "data": []}),
        Row(6, {"email": "d@b.co"}),
        Row(7, {"email": '"E, F" <e@b.co>', "data": []}),
        Row(8, {"email": "\"G,' <g@b.co>", "data": []}),
    ]
    assert expected == read(data, "txt")


@pytest.mark.parametrize(
    ("line", "reason", "column", "address"),
    [
        ("Bob", "holds no address", "", "Bob"),
        ("Bob\x07", "holds no address", "", "Bob\ufffd"),
        ("x" * 400, "holds no address", "", "x" * 320 + "…"),
        ("a@b.co, c@d.co", "holds two addresses", "name", "a@b.co, c@d.co"),
        ("a@b.co,B\x01", "holds a control character", "name", "a@b.co,B\ufffd"),
        ("a@b.co,B,x,y,z\x01", "holds a control character", "data", "a@b.co,B,x,y,z\ufffd"),
        ("a@b.co" + ",x" * 11, "has 12 cells, the limit is 10", "", "a@b.co" + ",x" * 11),
        ('{"email": 1', "is no JSON", "", ""),
    ],
)
def test_txt_line_that_cannot_be_used_is_a_bad_row(line: str, reason: str, column: str, address: str) -> None:
    _, bad, good = read(f"a@b.co\n{line}\nz@b.co\n", "txt")
    assert isinstance(bad, BadRow)
    assert reason in bad.reason
    assert (2, column, address) == (bad.number, bad.column, bad.address)
    assert 3 == good.number


def test_txt_that_excel_saved_is_read_as_a_table() -> None:
    data = "\r\nFirst Name\tE-Mail\r\nAda\ta@b.co\r\n".encode("utf-16")
    with open_list("-", ListSettings(format="txt"), stdin=io.BytesIO(data)) as reader:
        assert ("First Name", "E-Mail") == reader.columns
        assert [Row(3, {"First Name": "Ada", "E-Mail": "a@b.co"})] == list(reader)


def test_txt_with_a_comment_that_looks_like_a_header_stays_mixed() -> None:
    assert [Row(2, {"email": "a@b.co", "data": []})] == read("# email,name\na@b.co\n", "txt")

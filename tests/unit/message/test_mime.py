from __future__ import annotations

import quopri

import pytest

from mailblast.errors import RowFaultError
from mailblast.message.mime import boundary, known_runs, quoted_printable


@pytest.mark.parametrize(
    "text",
    [
        "Hello\n",
        "\n",
        ".\n",
        "a\n.\nb\n",
        "..\n...\n",
        "From me\nFrom you\n",
        "." * 300 + "\n",
        ("." + "x" * 74) * 5 + "\n",
        "." + "=" * 200 + "\n",
        "." + "é" * 200 + "\n",
        *("." + "x" * length + "é=é=é" + "y" * 20 + "\n" for length in range(60, 76)),
        "From " * 100 + "\n",
        "x" * 75 + ".y\n",
        "x" * 75 + "From here on\n",
        "trailing blank \nand tab\t\n",
        "x" * 5000 + "\n",
        "=" * 100 + "\n",
        "=3D =_x\n",
        "Grüße, 日本, \U0001f600\n" * 10,
        "\x01\x0b\x0c\x1b\x7f\x85\u2028\n",
        "\n\n\n",
        "שלום\n",
    ],
)
def test_body_decodes_to_the_text_and_is_safe_on_the_way(text: str) -> None:
    body = quoted_printable(text)
    lines = body.split(b"\r\n")

    assert text.encode() == quopri.decodestring(body.replace(b"\r\n", b"\n"))
    assert body.isascii()
    assert lines.pop() == b""
    for line in lines:
        assert len(line) <= 76
        assert not line.startswith((b".", b"From "))
        assert not line.endswith((b" ", b"\t"))
        assert not set(line) - set(range(32, 127)) - {9}
    assert b"=_" not in body


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b"\r\n"),
        ("a", b"a\r\n"),
        ("a\r\nb", b"a\r\nb\r\n"),
        ("a\rb\n", b"a\r\nb\r\n"),
        ("a\r\r\nb", b"a\r\n\r\nb\r\n"),
        ("a\n.\nb", b"a\r\n=2E\r\nb\r\n"),
        (".hidden", b"=2Ehidden\r\n"),
        ("From me", b"=46rom me\r\n"),
        ("a \n", b"a=20\r\n"),
        ("1 = 1", b"1 =3D 1\r\n"),
    ],
)
def test_body_is_written_like_this(text: str, expected: bytes) -> None:
    assert expected == quoted_printable(text)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "a\n\udfff\n"])
def test_body_with_what_no_message_holds_is_refused(text: str) -> None:
    with pytest.raises(RowFaultError):
        quoted_printable(text)


@pytest.mark.parametrize("text", ["x\0", "line\r\nend", "\ud800", "{{ a }}", "{% if a %}", "{# a #}"])
def test_line_that_is_changed_before_it_is_written_is_not_known(text: str) -> None:
    assert text not in known_runs([text])


def test_known_runs_change_nothing_but_the_time() -> None:
    source = "Hello {{ name }}\n.x { color: red }\n\nFrom here\n" + "y" * 100 + "\nlast {{ name }}"
    text = source.replace("{{ name }}", "Zoë =")
    known = known_runs([source, None, ""])

    assert {
        ".x { color: red }": [".x { color: red }\n\nFrom here\n" + "y" * 100 + "\n", ".x { color: red }\n"],
        "": ["\n"],
    } == {first: [run.text for run in runs] for first, runs in known.items()}
    assert quoted_printable(text) == quoted_printable(text, known)


@pytest.mark.parametrize(
    "text",
    ["a\nb\nc", "a\nb\nc\n", "a\nb\n", "a", "a\nb\ncd", "a\nx\nb\nc\n", "x\na\nb\na\nb\nc\na", "\na\r\nb\r\nc\n"],
)
def test_run_that_is_there_in_part_or_twice_is_written_as_it_stands(text: str) -> None:
    known = known_runs(["a\nb\nc", "{{ x }}\na\nb\n{{ x }}"])

    assert quoted_printable(text) == quoted_printable(text, known)


@pytest.mark.parametrize(
    "line", ["a", "a b", "x" * 76, "x" * 77, "a ", " a", ".a", "a.b", "From a", "From", "a=b", "é", "a\tb"]
)
def test_line_by_itself_is_written_as_between_others(line: str) -> None:
    assert quoted_printable(f"{line}\n=\n") == quoted_printable(line) + quoted_printable("=")


def test_boundary_differs_by_token_and_cannot_stand_in_a_body() -> None:
    assert boundary("a") == boundary("a")
    assert boundary("a") != boundary("b")
    assert boundary("a").startswith("=_")

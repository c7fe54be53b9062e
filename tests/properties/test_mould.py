"""The short way to a message tells the reader what the long way tells, or is not taken."""

from __future__ import annotations

import email
import email.policy
import quopri
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailblast.delivery.composer import Composer
from mailblast.delivery.moulding import moulding
from mailblast.errors import RowFaultError
from mailblast.message.mime import quoted_printable
from mailblast.message.mould import Mould
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.recipient import Claim, Recipient
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from mailblast.model.message import Message

PIECES = ["\n", "\n\n", ".", "From ", "Fr", " ", "\t", "=", "é", "日本", "<b>", "&", "'", "w" * 30, "a.b", "\n.\n"]
LONG = st.integers(60, 80).map(lambda size: "w" * size)
STATIC = st.lists(st.one_of(st.sampled_from(PIECES), LONG), max_size=4).map("".join)
VALUES = st.one_of(
    st.sampled_from(
        ["Ada", "Ada ", " ", "", "\n", "a\n", ".", "From x", "om x", "\r\n", "\0", "\ud800", "<&>'\"", "é"]
    ),
    st.text(max_size=100),
    st.text("ab .=", max_size=80),
    STATIC,
)
#: Static texts with a value behind each.
PARTS = st.lists(st.tuples(STATIC, VALUES), min_size=1, max_size=6)
BLANKS = ["{{ a }}", "{{ b | default('<x>', true) }}", "{{ c | default('you') }}", "{{ email }}"]
SOURCES = st.lists(st.one_of(STATIC, st.sampled_from(BLANKS)), max_size=8).map("".join)


def cast(parts: list[tuple[str, str]], end: str) -> bytes | None:
    pieces = [piece for static, _ in parts for piece in (static, "")] + [end]
    return Mould(pieces, range(1, len(pieces), 2)).cast([value for _, value in parts])


@given(PARTS, STATIC)
@example([("w" * 76, "Ada")], "")
@example([("é" * 13, "Ada"), ("." + "w" * 75, "b")], ".")
@example([("w" * 75 + ".", "Ada")], ".x")
def test_mould_casts_what_decodes_to_the_whole(parts: list[tuple[str, str]], end: str) -> None:
    encoded = cast(parts, end)

    if encoded is not None:
        whole = quoted_printable("".join(static + value for static, value in parts) + end)
        assert quopri.decodestring(whole) == quopri.decodestring(encoded)
        for line in encoded.split(b"\r\n"):
            assert len(line) <= 76
            assert not line.startswith((b".", b"From "))
            assert not line.endswith((b" ", b"\t"))


@pytest.mark.parametrize(
    ("parts", "end", "expected"),
    [
        ([("Hello ", "Ada")], ",\nbye\n", b"Hello Ada,\r\nbye\r\n"),
        ([("w" * 50 + " ", "Ada")], "!", b"w" * 50 + b"=20=\r\nAda=\r\n!\r\n"),
        ([("é ", "Ada"), (" ", "b")], "\n", b"=C3=A9=20=\r\nAda=\r\n=20=\r\nb\r\n"),
        ([("x", "a" * 75)], "y", None),
        ([("", "a" * 70)], "", b"a" * 70 + b"\r\n"),
    ],
)
def test_mould_keeps_a_value_on_its_line_where_there_is_room(
    parts: list[tuple[str, str]], end: str, expected: bytes | None
) -> None:
    assert expected == cast(parts, end)


def composed(template: Template, values: dict[str, str], *, by_the_short_way: bool) -> Message | str:
    composer = Composer(Campaign("c", "t0ken", template, Mailbox("", "n@example.com")))
    if not by_the_short_way:
        composer._moulding = None
    try:
        return composer.compose(Claim(1, Recipient(1, "k", "ada@example.com", values, values), 1))
    except RowFaultError as fault:
        return fault.reason


def read(message: Message | str) -> object:
    """Return all that a reader sees of a message."""
    if isinstance(message, str):
        return message
    parsed = email.message_from_bytes(b"".join(map(bytes, message.parts)), policy=email.policy.default)  # type: ignore[arg-type]  # all in memory
    parts = [part.get_payload(decode=True) for part in parsed.walk() if not part.is_multipart()]
    return parsed.items(), parts, message[:4]


@given(st.one_of(st.none(), SOURCES), SOURCES, VALUES, VALUES)
def test_short_way_makes_the_same_message(text: str | None, html: str, a: str, b: str) -> None:
    template = Template("t", "", "s {{ a }}", text, html, (("X-B", "{{ b }}"),))
    values = {"a": a, "b": b, "email": "ada@example.com"}

    by_the_long_way = composed(template, values, by_the_short_way=False)

    assert read(by_the_long_way) == read(composed(template, values, by_the_short_way=True))


def test_short_way_is_taken_for_plain_values() -> None:
    renderer = Renderer(Template("t", "", "s {{ a }}", "Hi {{ a }}\nx\n", "<b>{{ a }}</b>\n"))
    short_way = moulding(renderer)
    assert short_way is not None

    assert ("s <A>", b"Hi <A>\r\nx\r\n", b"<b>&lt;A&gt;</b>\r\n", ()) == short_way.content({"a": "<A>"})
    assert short_way.content({"a": "é"}) is None
    assert short_way.content({"a": 1}) is None


def test_default_does_not_stand_for_a_function_of_jinja() -> None:
    short_way = moulding(Renderer(Template("t", "", "s", None, "{{ range | default('x') }}")))
    assert short_way is not None

    assert short_way.content({}) is None


@pytest.mark.parametrize("html", ["{{ a|upper }}", "{% if a %}x{% endif %}", "a\0{{ a }}", "w" * 1_999_990 + "{{ a }}"])
def test_short_way_is_not_offered_for_what_only_the_long_way_can(html: str) -> None:
    assert moulding(Renderer(Template("t", "", "s", None, html))) is None

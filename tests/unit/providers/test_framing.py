from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from servers.list_deliveries import a_message

from mailblast.providers.smtp import framing


def stuffed(text: bytes) -> bytes:
    """Dot-stuff line by line: slow and plain."""
    lines = text.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


@pytest.mark.parametrize(
    ("parts", "wire"),
    [
        ((b"Subject: x\r\n\r\n", b"a\r\n"), b"Subject: x\r\n\r\na\r\n.\r\n"),
        ((b".a\r\n",), b"..a\r\n.\r\n"),
        ((b"a\r\n.\r\n..b\r\n",), b"a\r\n..\r\n...b\r\n.\r\n"),
        ((b"a\r\n", b".b\r\n"), b"a\r\n..b\r\n.\r\n"),
        ((b"a\r", b"\n.b\r\n"), b"a\r\n..b\r\n.\r\n"),
        ((b"a\r", b"\n", b"", b".b\r\n"), b"a\r\n..b\r\n.\r\n"),
        ((b"a",), b"a\r\n.\r\n"),
        ((), b".\r\n"),
        ((b"a.b\n.c\r\n",), b"a.b\n.c\r\n.\r\n"),
    ],
)
def test_small_body_is_stuffed_and_ended(parts: tuple[bytes, ...], wire: bytes) -> None:
    message = a_message()._replace(parts=parts)
    assert wire == framing.small_body(message)
    assert wire == b"".join(framing.blocks(parts)) + framing.TERMINATOR


PIECES = st.lists(st.sampled_from([b"", b".", b"\r", b"\n", b"\r\n", b"..", b"x", b"\r\n.", b"x" * 9]), max_size=12)


@given(PIECES, st.integers(1, 5))
def test_blocks_any_borders_equal_the_whole(pieces: list[bytes], size: int) -> None:
    whole = b"".join(pieces)
    expected = stuffed(whole)
    if whole and not whole.endswith(b"\r\n"):
        expected += b"\r\n"
    original = framing.BLOCK_BYTES
    framing.BLOCK_BYTES = size
    try:
        assert expected == b"".join(framing.blocks(tuple(pieces)))
    finally:
        framing.BLOCK_BYTES = original
    assert expected + b".\r\n" == framing.small_body(a_message()._replace(parts=tuple(pieces)))


def test_blocks_shared_part_is_not_copied_where_it_needs_no_dot() -> None:
    part = b"x" * 1000 + b"\r\n"
    assert part is next(framing.blocks((part,)))


def test_blocks_large_part_comes_in_pieces() -> None:
    part = b"0123456789ABCD\r\n" * 100_000
    blocks = list(framing.blocks((b"head\r\n", part)))
    assert b"head\r\n" + part == b"".join(blocks)
    assert max(map(len, blocks)) <= framing.BLOCK_BYTES + 2


@pytest.mark.parametrize(
    ("address", "utf8", "wire"),
    [
        ("a@b.c", False, b"a@b.c"),
        ("o'brien+tag=1/2@[192.0.2.1]", False, b"o'brien+tag=1/2@[192.0.2.1]"),
        ("x" * 254, False, b"x" * 254),
        ("ü@b.c", True, "ü@b.c".encode()),
        ("用户@例子.广告", True, "用户@例子.广告".encode()),
        ("x" * 255, False, None),
        ("ü@b.c", False, None),
        ("a b@c", False, None),
        ('"a b"@c', False, None),
        ("<a@b>", False, None),
        ("a@b\n", False, None),
        ("a@b\r", True, None),
        ("a@b\0", True, None),
        ("a@b\x85", True, None),
        ("a@b\u2028", True, None),
        ("a@b\ufffe", True, None),
        ("a@b\udc80", True, None),
        ("", True, None),
    ],
)
def test_wire_address_holds_nothing_that_ends_a_path(address: str, wire: bytes | None, *, utf8: bool) -> None:
    assert wire == framing.wire_address(address, utf8=utf8)

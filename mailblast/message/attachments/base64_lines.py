"""Base64 in lines (RFC 2045 section 6.8)."""

from __future__ import annotations

from binascii import b2a_base64

#: Characters of a line without its CRLF, and the bytes that they stand for.
LINE = 76
LINE_BYTES = 57
#: Bytes encoded at once: whole lines, of which the last block alone may have a shorter one. 64 KB when encoded.
BLOCK_BYTES = LINE_BYTES * 840


def encode_lines(data: bytes) -> bytes:
    """Return data as base64, each line with its CRLF; nothing for nothing.

    Splitting one long line costs a third of what encoding line by line does.
    """
    encoded = b2a_base64(data, newline=False)
    if not encoded:
        return b""
    lines = [encoded[start : start + LINE] for start in range(0, len(encoded), LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


def encoded_length(size: int) -> int:
    """Return the length of ``encode_lines()`` of so many bytes."""
    characters = (size + 2) // 3 * 4
    return characters + 2 * ((characters + LINE - 1) // LINE)

"""Encoded words (RFC 2047): text beyond ASCII in a header, and ASCII that would be mistaken for one."""

from __future__ import annotations

from binascii import b2a_base64

#: Longest encoded word (RFC 2047 section 2), and longest line with one.
LONGEST_WORD = 75
LONGEST_LINE = 76

_Q, _B, _END = b"=?utf-8?q?", b"=?utf-8?b?", b"?="
# What may stand for itself everywhere, also in a display name (RFC 2047 section 5 (3)); a blank is an underscore.
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_Q_BYTES = tuple(
    b"_" if code == ord(" ") else bytes([code]) if code in _PLAIN else b"=%02X" % code for code in range(256)
)
# UTF-8: the bytes of a character after its first are 10xxxxxx.
_TOP_BITS, _CONTINUES = 0xC0, 0x80


def encode_words(text: str, used: int) -> bytes:
    """Return text as encoded words, folded, split between characters.

    Args:
        text: Without control characters; not empty.
        used: Length of what stands on the first line before it, with its blank.

    Raises:
        UnicodeEncodeError: The text holds a lone surrogate.
    """
    data = text.encode()
    as_q = b"".join([_Q_BYTES[code] for code in data])
    length = len(_Q) + len(_END)
    if len(as_q) <= (len(data) + 2) // 3 * 4:
        if used + length + len(as_q) <= LONGEST_LINE and length + len(as_q) <= LONGEST_WORD:
            return _Q + as_q + _END
        return _folded(_q_chunks(text, used))
    return _folded(_b_chunks(data, used))


def _folded(words: list[bytes]) -> bytes:
    return b"\r\n ".join(words)


def _room(used: int) -> int:
    return min(LONGEST_WORD, LONGEST_LINE - used) - len(_Q) - len(_END)


def _q_chunks(text: str, used: int) -> list[bytes]:
    words: list[bytes] = []
    chunk = b""
    room = _room(used)
    for character in text:
        piece = b"".join([_Q_BYTES[code] for code in character.encode()])
        if chunk and len(chunk) + len(piece) > room:
            words.append(_Q + chunk + _END)
            chunk = b""
            room = _room(1)
        chunk += piece
    words.append(_Q + chunk + _END)
    return words


def _b_chunks(data: bytes, used: int) -> list[bytes]:
    words: list[bytes] = []
    start = 0
    room = _room(used)
    while start < len(data):
        end = start + max(room // 4 * 3, 4)
        # Never between the bytes of one character.
        while end < len(data) and data[end] & _TOP_BITS == _CONTINUES:
            end -= 1
        words.append(_B + b2a_base64(data[start:end], newline=False) + _END)
        start = end
        room = _room(1)
    return words

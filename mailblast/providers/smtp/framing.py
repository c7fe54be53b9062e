"""Addresses, commands and bodies as they go on the wire."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.model.reply import Reply, Stage
from mailblast.providers.body import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.message import Message, StreamedPart

#: Largest body that is written together with its final dot.
SMALL_BODY_BYTES = 65_536
#: Largest piece handed to the transport at once.
BLOCK_BYTES = 262_144
#: Longest path without its angle brackets (RFC 5321 section 4.5.3.1.3).
MAX_ADDRESS_BYTES = 254

#: What may stand between the angle brackets: visible ASCII without the brackets themselves. No space, so that
#: nothing can pass for a parameter, and no control character, so that nothing can pass for a command.
ASCII_ADDRESS = re.compile(r"[!-;=?-~]+")
#: The same with the letters of RFC 6531: no C1 control, no line or paragraph separator, no surrogate.
UTF8_ADDRESS = re.compile("[!-;=?-~\u00a1-\u2027\u202f-\ud7ff\ue000-\ufdcf\ufdf0-\ufffd\U00010000-\U0010ffff]+")

_DOT_AT_START = re.compile(rb"\n\.").search

RSET = b"RSET\r\n"
QUIT = b"QUIT\r\n"
DATA = b"DATA\r\n"
LONE_DOT = b".\r\n"
TERMINATOR = b".\r\n"


def wire_address(address: str, *, utf8: bool) -> bytes | None:
    """Return an address as it goes between the angle brackets of a path, or None where it must not.

    Args:
        address: addr-spec.
        utf8: Whether the transaction is under SMTPUTF8.
    """
    if not (UTF8_ADDRESS if utf8 else ASCII_ADDRESS).fullmatch(address):
        return None
    wire = address.encode("utf-8")
    return wire if len(wire) <= MAX_ADDRESS_BYTES else None


def too_large(size: int, limit: int) -> Reply:
    """Return our own refusal of a message that is larger than the server takes (RFC 1870 section 6.1)."""
    text = f"Message of {size} bytes is larger than the {limit} bytes that the server takes"
    return Reply(552, "5.3.4", text, Stage.MAIL)


def needs_smtputf8() -> Reply:
    """Return our own refusal of an address that the server cannot take (RFC 6531 section 3.5)."""
    return Reply(553, "5.6.7", "The address needs SMTPUTF8, which the server does not offer", Stage.MAIL)


def bad_sender() -> Reply:
    """Return our own refusal of a reverse path (RFC 3463 section 3.2)."""
    return Reply(553, "5.1.7", "The sender's address cannot be written into a command", Stage.MAIL)


def bad_recipient() -> Reply:
    """Return our own refusal of a forward path (RFC 3463 section 3.2)."""
    return Reply(553, "5.1.3", "The recipient's address cannot be written into a command", Stage.RCPT)


def small_body(message: Message) -> bytes:
    """Return the dot-stuffed body with its final dot, for messages that are small."""
    body = b"".join(message.parts)  # type: ignore[arg-type]  # is_small() has been asked
    # Most messages hold no such dot. For 5 KB an expression takes 1.5 µs to find that out, and ``in`` 4.
    if _DOT_AT_START(body):
        body = body.replace(b"\r\n.", b"\r\n..")
    if body.startswith(b"."):
        body = b"." + body
    return body + (TERMINATOR if body.endswith(b"\r\n") or not body else b"\r\n" + TERMINATOR)


def is_small(message: Message) -> bool:
    """Whether a body is in memory and is written at once."""
    size = 0
    for part in message.parts:
        if not isinstance(part, bytes):
            return False
        size += len(part)
    return size <= SMALL_BODY_BYTES


def blocks(parts: tuple[bytes | StreamedPart, ...]) -> Iterator[bytes]:
    """Yield the dot-stuffed body, without its final dot, in blocks of at most about ``BLOCK_BYTES``.

    Parts are shared by many messages and are not copied as a whole; files are read as they are needed. The border of
    two blocks, or of two parts, may fall anywhere in ``CRLF .``.

    Raises:
        UnreadablePartError: A file cannot be read; the body must not be ended.
    """
    #: The last two bytes before the block. A body begins like a line.
    before = b"\r\n"
    for part in pieces(parts):
        for start in range(0, len(part), BLOCK_BYTES):
            block = part if len(part) <= BLOCK_BYTES else part[start : start + BLOCK_BYTES]
            border = before + block[:2]
            # Base64 holds no dot at all, which is found out twenty times as fast.
            if (b"." in block and b"\r\n." in block) or b"\r\n." in border:
                yield (before + block).replace(b"\r\n.", b"\r\n..")[len(before) :]
            else:
                yield block
            before = (before + block[-2:])[-2:]
    if before != b"\r\n":
        yield b"\r\n"

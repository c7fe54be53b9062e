"""Bodies: quoted-printable (RFC 2045 section 6.7), and the boundary between two of them."""

from __future__ import annotations

import re
from binascii import b2a_qp
from hashlib import blake2b
from typing import TYPE_CHECKING

from mailblast.errors import RowFaultError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: RFC 2045 section 6.7 (5), without CRLF.
LONGEST_LINE = 76

_RISKY_STARTS = (b".", b"From ")
_RISKY_LINE = re.compile(rb"\n(?:\.|From ).*")
# Code, and what the whole text is checked or changed for before its lines are looked up.
_NOT_KNOWN = re.compile("\\{[{%#]|[\0\r\ud800-\udfff]")
_NO_LINES: Mapping[str, bytes] = {}


def known_lines(sources: Iterable[str | None]) -> dict[str, bytes]:
    """Return the lines of templates that come out as they are, each with its quoted-printable form.

    Most lines of a mail are the same for everybody; with these at hand only the others are encoded for each.
    """
    lines = {line for source in sources if source for line in source.split("\n")}
    return {line: _encode_lines(line) for line in lines if not _NOT_KNOWN.search(line)}


def quoted_printable(text: str, known: Mapping[str, bytes] = _NO_LINES) -> bytes:
    """Return a body, ending in CRLF, that decodes to the text with CRLF line ends.

    Line ends of any kind count as one, and the last line gets one if it has none. Nothing in it depends on how relays
    treat blanks at the end of a line, a dot or ``From `` at its start, or 8-bit characters.

    Args:
        text: The part.
        known: Lines encoded before, from ``known_lines()``.

    Raises:
        RowFaultError: The text holds a NUL or a lone surrogate.
    """
    if "\0" in text:
        raise RowFaultError("The message would hold a NUL character; remove it from the list.")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    if text.endswith("\n"):
        lines.pop()
    encoded: list[bytes] = []
    unknown: list[str] = []
    try:
        for line in lines:
            if (piece := known.get(line)) is None:
                unknown.append(line)
                continue
            if unknown:
                encoded.append(_encode_lines("\n".join(unknown)))
                unknown.clear()
            encoded.append(piece)
        if unknown:
            encoded.append(_encode_lines("\n".join(unknown)))
    except UnicodeEncodeError:
        raise RowFaultError("The message would hold half a character (a lone surrogate).") from None
    return b"".join(encoded)


def boundary(token: str) -> str:
    """Return a campaign's boundary; nobody without its token can guess it.

    It begins with ``=_``, which quoted-printable never holds: there ``=`` is followed by two digits or a line end.
    """
    return f"=_{blake2b(token.encode(), digest_size=12, person=b'boundary').hexdigest()}"


def _encode_lines(lines: str) -> bytes:
    encoded = b2a_qp(lines.encode(), quotetabs=False, istext=True, header=False)
    if b"\n." in encoded or b"\nFrom " in encoded or encoded.startswith(_RISKY_STARTS):
        encoded = _RISKY_LINE.sub(_safe_line, b"\n" + encoded)[1:]
    return encoded.replace(b"\n", b"\r\n") + b"\r\n"


def _safe_line(match: re.Match[bytes]) -> bytes:
    """Encode the first character of a line, and fold again what no longer fits."""
    line = match[0][1:]
    lines = [b""]
    while True:
        if line.startswith(_RISKY_STARTS):
            line = b"=%02X" % line[0] + line[1:]
        if len(line) <= LONGEST_LINE:
            return b"\n".join([*lines, line])
        end = LONGEST_LINE - 1
        # Never inside an encoded character.
        if (escape := line.rfind(b"=", end - 2, end)) >= 0:
            end = escape
        lines.append(line[:end] + b"=")
        line = line[end:]

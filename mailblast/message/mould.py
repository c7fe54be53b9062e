"""A part's static text in quoted-printable, made once; per recipient the values are put in, where they are plain."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mailblast.message.mime import LONGEST_LINE, encode_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What no mould holds: it is replaced or refused where the whole is encoded.
_UNUSUAL = re.compile("[\0\r\ud800-\udfff]").search
#: Text that quoted-printable writes as it is, if something stands before and behind it.
_PLAIN = re.compile("[ -<>-~]*").fullmatch
_SOFT_BREAK = "=\r\n"
#: A line that its static text leaves less room for values is broken around each of them.
_LEAST_ROOM = 40


class _Line(NamedTuple):
    """Values that stand on one encoded line."""

    #: The first of them, and the one behind the last.
    start: int
    end: int
    #: Characters that they may have together.
    room: int


class Mould:
    """Gives one part, again and again, with other values in it.

    A value stands on its line as it is. Where the line would get too long, or is not plain by itself, soft line breaks
    (RFC 2045 section 6.7) set the value apart, so that nothing before and behind it depends on it.

    Args:
        pieces: The part, with an empty piece for each value.
        places: Which of the pieces these are, in their order.

    Raises:
        ValueError: The static text holds a carriage return, a NUL or half a character.
    """

    def __init__(self, pieces: Sequence[str], places: Sequence[int]) -> None:
        self._pieces: list[str] = []
        self._places: list[int] = []
        self._lines: list[_Line] = []
        #: Values that begin an encoded line, and those that end one of the text.
        self._beginning: list[int] = []
        self._ending: list[int] = []
        static: list[str] = []
        lines = _lines(pieces, frozenset(places))
        # A text that ends with a line end has no other line behind it.
        if lines[-1] == [""] and len(lines) > 1:
            lines.pop()
        for line in lines:
            if any(map(_UNUSUAL, line)):
                raise ValueError("A carriage return, a NUL or half a character in the static text.")
            if len(line) == 1:
                static += line
                continue
            if static:
                self._pieces.append(_encoded("\n".join(static)))
                static = []
            self._add(line)
        if static:
            self._pieces.append(_encoded("\n".join(static)))
        self._room = min((line.room for line in self._lines), default=LONGEST_LINE)

    def cast(self, values: Sequence[str]) -> bytes | None:
        """Return the part, which decodes to what ``quoted_printable()`` gives; None where values are not plain or long.

        Args:
            values: One for each place.
        """
        whole = "".join(values)
        if not (whole.isascii() and whole.isprintable()) or "=" in whole or "" in values:
            return None
        if len(whole) > self._room and any(len("".join(values[s:e])) > room for s, e, room in self._lines):
            return None
        for index in self._beginning:
            if values[index].startswith((".", "From ")):
                return None
        for index in self._ending:
            if values[index][-1] == " ":
                return None
        pieces = self._pieces.copy()
        for place, value in zip(self._places, values, strict=True):
            pieces[place] = value
        return "".join(pieces).encode("ascii")

    def _add(self, line: list[str]) -> None:
        """Add a line with values, given as its static text around them."""
        start, count = len(self._places), len(line) - 1
        room = LONGEST_LINE - sum(map(len, line))
        first, last = line[0], line[-1]
        # Whatever the values are, it must not begin with a dot or with "From ", nor end with a blank.
        is_safe = first and not first.startswith((".", "From "[: len(first)])) and last[-1:] != " "
        if room >= _LEAST_ROOM and is_safe and all(map(_PLAIN, line)):
            self._lines.append(_Line(start, start + count, room))
            before, between = first, line[1:-1]
            after = f"{last}\r\n"
        else:
            self._lines += [_Line(each, each + 1, LONGEST_LINE - 1) for each in range(start, start + count)]
            self._beginning += range(start, start + count)
            before = _broken(first)
            between = [_SOFT_BREAK + _broken(text) for text in line[1:-1]]
            after = _SOFT_BREAK + _encoded(last) if last else "\r\n"
        if not last:
            self._ending.append(start + count - 1)
        for text in (before, *between):
            self._pieces += (text, "")
            self._places.append(len(self._pieces) - 1)
        self._pieces.append(after)


def _encoded(lines: str) -> str:
    return encode_lines(lines).decode("ascii")


def _broken(text: str) -> str:
    """Return encoded text with a soft break behind it; nothing for nothing."""
    if not text:
        return ""
    encoded = _encoded(text).removesuffix("\r\n")
    if len(encoded) - (encoded.rfind("\n") + 1) >= LONGEST_LINE:
        # Room for the break's own character: the last one moves on, and stands at the start of a line then.
        cut = at if (at := encoded.find("=", len(encoded) - 3)) >= 0 else len(encoded) - 1
        moved = "=2E" if encoded[cut:] == "." else encoded[cut:]
        encoded = encoded[:cut] + _SOFT_BREAK + moved
    return encoded + _SOFT_BREAK


def _lines(pieces: Sequence[str], places: frozenset[int]) -> list[list[str]]:
    """Return the lines, each as its static text around its values."""
    lines = [[""]]
    for index, piece in enumerate(pieces):
        if index in places:
            lines[-1].append("")
            continue
        first, *others = piece.split("\n")
        lines[-1][-1] += first
        lines += [[other] for other in others]
    return lines

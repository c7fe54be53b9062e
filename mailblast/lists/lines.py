"""Decoded lines in chunks: the part that touches every character, so it works on many lines at once.

Lines end with LF or CRLF; only where the first line ends with a bare CR (old Mac files) does CR end lines. Otherwise a
stray CR stays inside its line and is found there, so that it cannot make up a record.
"""

from __future__ import annotations

import codecs
import re
from io import StringIO
from typing import TYPE_CHECKING, NamedTuple

from mailblast.lists.byte_source import LineFaultError
from mailblast.lists.encoding import CONTROL_BYTES, guess, keeps_control_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: C0 without tab and line ends, DEL, and halves of characters.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
LINE_END = re.compile(r"\r\n?|\n")
#: Large enough that work per chunk does not show, small enough to stay in the cache.
CHUNK_BYTES = 65_536
#: How much of a line that is too long is kept, to name the row by.
KEPT_CHARACTERS = 1_000


class Overlong(NamedTuple):
    """A line that was thrown away because of its length."""

    #: Its first characters.
    start: str
    #: How many double quotes it held.
    quotes: int


def utf8_length(text: str) -> int:
    """Return the length in bytes, without the line end."""
    return len(text.rstrip("\r\n").encode("utf-8", "surrogatepass"))


class LineReader:
    """Iterate over lists of lines, each with its line end.

    A line over ``max_bytes`` is replaced by an empty one and noted in ``overlong``; never more than that is held.

    Args:
        read: Gives at most so many bytes; empty at the end. May raise ``LineFaultError``.
        encoding: Canonical name, without a byte order mark.
        start: Offset of the first byte in the file, for messages.
        max_bytes: Longest line, in bytes of UTF-8, its end not counted.
    """

    def __init__(self, read: Callable[[int], bytes], encoding: str, start: int, max_bytes: int) -> None:
        self._read = read
        self._encoding = encoding
        self._offset = start
        self._max_bytes = max_bytes
        self._keeps_controls = keeps_control_bytes(encoding)
        self._newline: str | None = None
        self._chunks = self._iterate()
        #: Number of the current chunk's first line, from 1.
        self.first = 1
        self.current: list[str] = []
        #: Number of the current chunk's last line where it may hold control characters, else 0.
        self.suspect = 0
        #: By line number.
        self.overlong: dict[int, Overlong] = {}

    def __iter__(self) -> Iterator[list[str]]:
        return self._chunks

    def line(self, number: int) -> str:
        """Return a line of the current chunk; empty where it is no longer held."""
        at = number - self.first
        return self.current[at] if 0 <= at < len(self.current) else ""

    def _iterate(self) -> Iterator[list[str]]:
        tail, skipped, tail_is_clean = "", None, True
        for text, is_clean, is_last in self._texts():
            lines, new_tail = self._split(tail + text, is_last=is_last)
            if skipped is not None:
                start, quotes = skipped
                if lines or is_last:
                    rest = lines[0] if lines else ""
                    lines[:1] = ["\n"]
                    self._note(Overlong(start, quotes + rest.count('"')))
                    skipped = None
                else:
                    skipped = Overlong(start, quotes + new_tail.count('"'))
                    new_tail = new_tail[-1:] if new_tail.endswith("\r") else ""
            elif lines and self._is_overlong(lines[0]):
                self._note(Overlong(lines[0][:KEPT_CHARACTERS], lines[0].count('"')))
                lines[0] = "\n"
            if skipped is None and self._is_overlong(new_tail):
                skipped = Overlong(new_tail[:KEPT_CHARACTERS], new_tail.count('"'))
                new_tail = new_tail[-1:] if new_tail.endswith("\r") else ""
            tail = new_tail
            if lines:
                self.first += len(self.current)
                self.current = lines
                self.suspect = 0 if is_clean and tail_is_clean else self.first + len(lines) - 1
                yield lines
                tail_is_clean = is_clean
            else:
                tail_is_clean = tail_is_clean and is_clean

    def _note(self, line: Overlong) -> None:
        self.overlong[self.first + len(self.current)] = line

    def _is_overlong(self, line: str) -> bool:
        # A character is at most four bytes, so short lines need not be measured.
        return len(line) > self._max_bytes // 4 and utf8_length(line) > self._max_bytes

    def _split(self, text: str, *, is_last: bool) -> tuple[list[str], str]:
        """Return the whole lines and what is left for the next chunk."""
        if self._newline is None and (found := LINE_END.search(text)):
            if found[0] != "\r":
                self._newline = "\n"
            elif found.end() < len(text) or is_last:
                self._newline = ""
        if is_last:
            return list(StringIO(text, newline=self._newline or "\n")) if self._newline != "" else _any_lines(text), ""
        if self._newline is None:
            return [], text
        cut = text.rfind("\n") + 1
        if self._newline:
            return list(StringIO(text[:cut], newline="\n")), text[cut:]
        # A CR at the very end may be half of a CRLF.
        cut = max(cut, text.rfind("\r", 0, len(text) - 1) + 1)
        return _any_lines(text[:cut]), text[cut:]

    def _texts(self) -> Iterator[tuple[str, bool, bool]]:
        """Yield decoded text, whether it surely holds no control characters, and whether it is the last."""
        decoder = codecs.getincrementaldecoder(self._encoding)()
        size = max(min(CHUNK_BYTES, self._max_bytes), 1)
        data = b"x"
        while data:
            data = self._read(size)
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                yield self._before(error), False, False
                raise self._wrong_encoding(error, self._offset + len(data) - len(error.object)) from error
            except UnicodeError as error:
                raise LineFaultError(f"this is not {self._encoding}.", "Name the right one with --encoding.") from error
            self._offset += len(data)
            if self._keeps_controls:
                is_clean = len(data.translate(None, CONTROL_BYTES)) == len(data)
            else:
                is_clean = not CONTROL.search(text)
            yield text, is_clean, not data

    def _before(self, error: UnicodeDecodeError) -> str:
        # Where characters depend on what came earlier, the beginning of this piece is not known to mean the same alone.
        if not (self._keeps_controls or self._encoding.startswith(("utf-16", "utf-32"))):
            return ""
        try:
            return error.object[: error.start].decode(self._encoding)
        except UnicodeError:
            # A codec that does not name the true place.
            return ""

    def _wrong_encoding(self, error: UnicodeDecodeError, offset: int) -> LineFaultError:
        sample = error.object[error.start :]
        if error.reason in ("unexpected end of data", "truncated data"):
            return LineFaultError(
                f"the file ends in the middle of a character (byte {offset + error.start:,}).", "Copy or save it again."
            )
        what = f"byte 0x{sample[0]:02X} at offset {offset + error.start:,} is not {self._encoding}."
        likely = guess(re.split(rb"[\r\n]", sample, maxsplit=1)[0] or sample[:1], self._encoding)
        return LineFaultError(what, f"If it is {likely}, add --encoding {likely}; else save the list as UTF-8.")


def _any_lines(text: str) -> list[str]:
    return list(StringIO(text, newline=""))

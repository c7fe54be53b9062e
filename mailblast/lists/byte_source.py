"""The bytes of a list: a file, a pipe or stdin, decompressed where they are gzip."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import stat
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from mailblast.errors import ListError

if TYPE_CHECKING:
    from collections.abc import Callable

GZIP_MAGIC = b"\x1f\x8b"
#: Beginnings of files that people take for lists.
NOT_LISTS = {
    b"PK\x03\x04": "an Excel workbook or a zip file",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"%PDF": "a PDF file",
    b"SQLite f": "an SQLite database",
}
#: How much is read at once where only the beginning is wanted.
HEAD_BYTES = 65_536


class LineFaultError(Exception):
    """The list is broken from here on. Its reader knows the row and turns it into a ``ListError``."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


class _Counted(io.RawIOBase):
    """A stream that counts what was read, and can give its beginning twice."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        # A pipe gives what it has; waiting for a full buffer would hold rows back that are already here.
        self._read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self._ahead = b""
        self.consumed = 0

    def read(self, size: int = -1) -> bytes:
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
        else:
            data = self._read(size) or b""
        self.consumed += len(data)
        return data

    def peek(self, size: int) -> bytes:
        """Return the next bytes without taking them: at least ``size``, fewer only at the end."""
        while len(self._ahead) < size and (data := self._read(HEAD_BYTES)):
            self._ahead += data
        return self._ahead


class ByteSource:
    """An open list as bytes. Made by ``open_bytes()``.

    Args:
        name: As the user named it, ``stdin`` for ``-``.
        stream: Read in order.
        size_bytes: Of the file; None where it is not known.
        owned: Whether ``close()`` closes the stream.
    """

    def __init__(self, name: str, stream: BinaryIO, size_bytes: int | None, *, owned: bool) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self._stream = stream
        self._owned = owned
        self._counted = _Counted(stream)
        self._content = self._counted

    @property
    def consumed(self) -> int:
        """How many bytes of the file, as it is on disk, have been read."""
        return self._counted.consumed

    def begin(self, *, gzipped: bool) -> bytes:
        """Look at the beginning, decompress where it is gzip, and return the first bytes of the content.

        Raises:
            ListError: The file is no list, or its name ends in ``.gz`` and it is not compressed.
            LineFaultError: It cannot be read.
        """
        head = self._guarded(lambda: self._counted.peek(4))
        if head.startswith(GZIP_MAGIC):
            # _Counted has the one method that GzipFile needs for reading forward.
            self._content = _Counted(cast("BinaryIO", gzip.GzipFile(fileobj=self._counted, mode="rb")))
            head = self._guarded(lambda: self._content.peek(4))
        elif gzipped and head:
            raise ListError(f"{self.name} is not gzip, whatever its name says.", fix="Rename it without '.gz'.")
        for magic, what in NOT_LISTS.items():
            if head.startswith(magic):
                raise ListError(f"{self.name} is {what}, not a list.", fix="Save it as 'CSV UTF-8' and give that file.")
        return head

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes of the content, as soon as there are any; empty at the end.

        Raises:
            LineFaultError: The disk, the pipe or the compressed data gives no more, though it is not the end.
        """
        return self._guarded(lambda: self._content.read(size))

    def close(self) -> None:
        """Close what was opened."""
        if self._owned:
            self._stream.close()

    def _guarded(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except EOFError as error:
            raise LineFaultError(
                "the compressed file ends too early; it was not copied completely.", "Copy or download it again."
            ) from error
        except (zlib.error, gzip.BadGzipFile) as error:
            raise LineFaultError(f"the compressed data is damaged ({error}).", "Copy or download it again.") from error
        except OSError as error:
            raise LineFaultError(f"the file cannot be read ({error.strerror or error}).", "Try again.") from error
        except ValueError as error:
            raise LineFaultError("the file was closed while it was read.", "Keep it open until the end.") from error


def open_bytes(source: str, stdin: BinaryIO | None) -> ByteSource:
    """Open a file, a named pipe, or stdin for ``-``.

    Raises:
        ListError: It does not exist, is a folder, or may not be read.
    """
    if source == "-":
        if stdin is None:
            raise ListError("There is no stdin to read the list from.", fix="Give the name of a file.")
        # Without data a non-blocking stdin would look like the end of the list, and rows would be lost.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.set_blocking(stdin.fileno(), True)
        return ByteSource("stdin", stdin, None, owned=False)
    try:
        stream = Path(source).open("rb", buffering=0)  # noqa: SIM115 - closed by ByteSource.close()
    except FileNotFoundError as error:
        raise ListError(f"{source} does not exist.", fix="Check the name and the current folder.") from error
    except IsADirectoryError as error:
        raise ListError(f"{source} is a folder, not a list.", fix="Give the file inside it.") from error
    except PermissionError as error:
        raise ListError(f"{source} may not be read by this user.", fix=f"Allow it: chmod u+r '{source}'.") from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ListError(f"{source!a} cannot be opened ({why}).", fix="Check the name.") from error
    status = os.fstat(stream.fileno())
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return ByteSource(source, cast("BinaryIO", stream), size, owned=True)

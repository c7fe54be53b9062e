"""Files of a whole campaign: from a path, a stream or bytes to ``Attachment``."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import stat
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from zlib import crc32

from mailblast.errors import UsageError
from mailblast.message.attachments.base64_lines import BLOCK_BYTES, encode_lines
from mailblast.message.attachments.bounced_types import warnings_about
from mailblast.message.attachments.content_types import GZIP, content_type_of
from mailblast.message.attachments.file_part import FilePart, identity_of, read_exactly
from mailblast.message.attachments.gzip_stream import GzipStream
from mailblast.message.attachments.names import safe_name
from mailblast.model.message import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailblast.message.attachments.temporary import TemporaryFolder
    from mailblast.model.message import StreamedPart

#: Largest file that is kept in memory. A MB is 1,024 KB of 1,024 bytes here.
LARGEST_IN_MEMORY = 50 * 1024**2
#: Bytes read at once where nothing is encoded.
READ_BYTES = 262_144


class Compression(StrEnum):
    """Which attachments are compressed."""

    #: Those over ``LARGEST_IN_MEMORY``, and streams, whose size nobody knows.
    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def no_progress(_name: str, _done: int, _total: int | None) -> None:
    """Tell nobody."""


class AttachmentLoader:
    """Load the files of one campaign.

    Args:
        temporary: Where compressed files are put; they are needed until the last message is out.
        compression: Which files are compressed.
        progress: Called while a large file is read, with its name, the bytes read so far, and its size where known.
    """

    def __init__(
        self,
        temporary: TemporaryFolder,
        compression: Compression = Compression.AUTO,
        progress: Callable[[str, int, int | None], None] = no_progress,
    ) -> None:
        self._temporary = temporary
        self._compression = compression
        self._progress = progress
        #: What receivers may take offence at; grows while files are loaded.
        self.warnings: list[str] = []

    def from_path(self, path: str | Path) -> Attachment:
        """Load a file, or what comes out of a named pipe.

        Raises:
            UsageError: It cannot be read, is a folder or a device, has changed meanwhile, or the disk is full.
        """
        shown = str(path)
        if "\0" in shown:
            raise UsageError("The name of an attachment holds a NUL character.")
        with _told(shown):
            # A pipe that somebody gives by its name is waited for.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            mode = os.fstat(descriptor).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
                os.close(descriptor)
                kind = "a folder" if stat.S_ISDIR(mode) else "a device"
                raise UsageError(f"The attachment {shown} is {kind}.", fix="Give a file.")
            name = safe_name(Path(path).name)
            with open(descriptor, "rb", buffering=0) as file:  # noqa: PTH123 - from a descriptor
                return self._regular(file, name, Path(path)) if stat.S_ISREG(mode) else self._unknown_size(file, name)

    def from_stream(self, stream: BinaryIO, name: str) -> Attachment:
        """Load what a stream holds from its position to its end.

        Args:
            stream: Read by ``read()``; stays open.
            name: As recipients see it, before ``.gz`` is added.

        Raises:
            UsageError: It cannot be read, or the disk is full.
        """
        with _told(name):
            return self._unknown_size(stream, safe_name(name))

    def from_bytes(self, data: bytes, name: str, content_type: str = "", *, content_id: str = "") -> Attachment:
        """Load bytes.

        Args:
            data: Of any size; held by the caller.
            name: As recipients see it.
            content_type: Empty takes the one of the name.
            content_id: Set where HTML shows it; such a picture is never compressed.
        """
        name = safe_name(name)
        self.warnings += warnings_about(name, io.BytesIO(data))
        content_type = content_type or content_type_of(name)
        large = len(data) > LARGEST_IN_MEMORY
        if content_id or not (large or self._compression is Compression.ALWAYS):
            return Attachment(name, content_type, _encoded(io.BytesIO(data).read, len(data)), content_id)
        with _told(name):
            if self._compression is not Compression.NEVER:
                return self._compressed(io.BytesIO(data), name, len(data))
            return Attachment(name, content_type, self._spooled(io.BytesIO(data), name, len(data), None))

    def _regular(self, file: io.FileIO, name: str, path: Path) -> Attachment:
        before = identity_of(os.fstat(file.fileno()))
        self.warnings += warnings_about(name, file)
        file.seek(0)
        large = before.size > LARGEST_IN_MEMORY
        if self._compression is Compression.ALWAYS or (large and self._compression is Compression.AUTO):
            attachment = self._compressed(file, name, before.size)
        elif large:
            # Sent from where it is.
            crc = self._crc(file, name, before.size)
            attachment = Attachment(name, content_type_of(name), FilePart(str(path.resolve()), before, crc))
        else:
            attachment = Attachment(
                name, content_type_of(name), _encoded(functools.partial(read_exactly, file.fileno()), before.size)
            )
        if identity_of(os.fstat(file.fileno())) != before:
            raise _changed()
        return attachment

    def _unknown_size(self, stream: BinaryIO, name: str) -> Attachment:
        self.warnings += warnings_about(name, None)
        if self._compression is not Compression.NEVER:
            return self._compressed(stream, name, None)
        part = self._spooled(stream, name, None, None)
        return Attachment(name, content_type_of(name), part)

    def _compressed(self, source: BinaryIO, name: str, size: int | None) -> Attachment:
        part: StreamedPart | bytes
        if size is not None and size <= LARGEST_IN_MEMORY:
            gzip = GzipStream()
            pieces = [gzip.add(block) for block in iter(lambda: source.read(READ_BYTES), b"")]
            compressed = b"".join([*pieces, gzip.end()])
            part = encode_lines(compressed)
        else:
            part = self._spooled(source, name, size, GzipStream())
        return Attachment(f"{name}.gz", GZIP, part)

    def _spooled(self, source: BinaryIO, name: str, size: int | None, gzip: GzipStream | None) -> FilePart:
        """Write a source into a temporary file, compressed or not, a piece at a time."""
        with _room(self._temporary):
            descriptor, path = self._temporary.create()
        crc = done = 0
        with open(descriptor, "wb", buffering=0) as target:  # noqa: PTH123 - from a descriptor
            while block := source.read(READ_BYTES):
                done += len(block)
                if size is not None and done > size:
                    raise _changed()
                piece = block if gzip is None else gzip.add(block)
                crc = crc32(piece, crc)
                self._write(target, piece)
                self._progress(name, done, size)
            if gzip is not None:
                piece = gzip.end()
                crc = crc32(piece, crc)
                self._write(target, piece)
            return FilePart(str(path), identity_of(os.fstat(descriptor)), crc)

    def _write(self, target: io.FileIO, piece: bytes) -> None:
        left = memoryview(piece)
        with _room(self._temporary):
            while left:
                left = left[target.write(left) :]

    def _crc(self, file: io.FileIO, name: str, size: int) -> int:
        crc = done = 0
        while block := file.read(READ_BYTES):
            crc = crc32(block, crc)
            done += len(block)
            self._progress(name, done, size)
        return crc


def _encoded(read: Callable[[int], bytes], size: int) -> bytes:
    """Return as base64 what is read; nothing else is ever held as a whole.

    Args:
        read: Gives as many bytes as asked for, fewer only at the end: a line may not end in the middle.
        size: How many that must be.
    """
    encoded = io.BytesIO()
    left = size
    while block := read(BLOCK_BYTES):
        left -= len(block)
        if left < 0:
            break
        encoded.write(encode_lines(block))
    if left:
        raise _changed()
    return encoded.getvalue()


def _changed() -> OSError:
    return OSError(errno.ESTALE, "it changed while it was read")


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Turn what the system says about a file into a ``UsageError`` that names it."""
    try:
        yield
    except OSError as error:
        fix = "Check its name and its rights."
        if error.errno == errno.ESTALE:
            fix = "Send it when nobody writes to it any more."
        raise UsageError(f"The attachment {name} cannot be read: {error.strerror}.", fix=fix) from error


@contextlib.contextmanager
def _room(temporary: TemporaryFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"A temporary file cannot be written in {temporary.base}: {error.strerror}.",
            fix="Free some space there, or set MAILBLAST_TMP to another folder.",
        ) from error

"""A file as a part of messages: read and encoded when it is written out."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from mailblast.message.attachments.base64_lines import BLOCK_BYTES, encode_lines, encoded_length

if TYPE_CHECKING:
    from collections.abc import Iterator


class FileIdentity(NamedTuple):
    """What a file is known by again; a change of its content shows in its size or time."""

    device: int
    inode: int
    size: int
    modified_ns: int


def identity_of(status: os.stat_result) -> FileIdentity:
    """Return the identity of a file that was looked at."""
    return FileIdentity(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class FilePart:
    """A ``StreamedPart``: base64 of a file. Goes from one process to another as its path.

    A blocking read of 64 KB is made where the message is written out: of a local file just read before, it takes less
    time than handing it to a thread would.
    """

    path: str
    identity: FileIdentity
    #: CRC-32 of the file's own bytes.
    crc: int

    def __len__(self) -> int:
        """Return the length of the base64 with its line ends."""
        return encoded_length(self.identity.size)

    def chunks(self) -> Iterator[bytes]:
        """Encode the file from its start, in pieces of whole lines.

        Raises:
            OSError: It cannot be read, or is no longer the file that it was; the pieces so far must not be used.
        """
        crc = 0
        left = self.identity.size
        with open(self._opened(), "rb", buffering=0) as file:  # noqa: PTH123 - from a descriptor
            while left:
                block = read_exactly(file.fileno(), min(BLOCK_BYTES, left))
                if not block:
                    raise self._changed()
                left -= len(block)
                crc = crc32(block, crc)
                # Before the last piece, so that a message with wrong content is never complete.
                if not left and (crc != self.crc or identity_of(os.fstat(file.fileno())) != self.identity):
                    raise self._changed()
                yield encode_lines(block)

    def check(self) -> None:
        """Raise ``OSError`` unless the file is there, unchanged."""
        if identity_of(Path(self.path).lstat()) != self.identity:
            raise self._changed()

    def _opened(self) -> int:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or identity_of(status) != self.identity:
            os.close(descriptor)
            raise self._changed()
        return descriptor

    def _changed(self) -> OSError:
        return OSError(errno.ESTALE, "It has changed since the run began", self.path)


def read_exactly(descriptor: int, size: int) -> bytes:
    """Return so many bytes, fewer only at the end; a pipe gives them in small pieces."""
    block = os.read(descriptor, size)
    if len(block) == size or not block:
        return block
    pieces = [block]
    size -= len(block)
    while size and (block := os.read(descriptor, size)):
        pieces.append(block)
        size -= len(block)
    return b"".join(pieces)

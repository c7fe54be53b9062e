"""Attachments of queued campaigns, by the hash of their content."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailblast.errors import JournalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mailblast.model.message import StreamedPart

#: Base64 in lines of 76 with CRLF: a piece ends with a whole line.
LINE_BYTES = 78
PIECE_BYTES = LINE_BYTES * 840
#: A larger attachment is not held in memory.
HELD_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class EncodedFile:
    """A ``StreamedPart``: a file that holds an attachment as it stands in messages."""

    path: str
    size: int

    def __len__(self) -> int:
        """Return its length on the wire."""
        return self.size

    def chunks(self) -> Iterator[bytes]:
        """Read it from its start, in pieces of whole lines.

        Raises:
            OSError: It cannot be read, or is shorter than it was.
        """
        left = self.size
        with open(self.path, "rb", buffering=0) as file:  # noqa: PTH123 - unbuffered, as other parts are
            while left:
                piece = file.read(min(PIECE_BYTES, left))
                if not piece:
                    raise OSError(errno.ESTALE, "It has become shorter", self.path)
                left -= len(piece)
                yield piece


class FolderBlobs:
    """Attachments as files of one folder, made with the first of them. Their names are their hashes.

    Args:
        folder: Made with mode 0700.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, encoded: bytes | StreamedPart) -> str:
        """Keep an attachment; return its hash.

        Raises:
            JournalError: It cannot be written.
        """
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            return self.write(pieces_of(encoded))
        except OSError as error:
            raise JournalError(
                f"An attachment cannot be kept in {self._folder}: {error.strerror}.", fix="Make room on the disk."
            ) from error

    def write(self, pieces: Iterator[bytes]) -> str:
        """Write pieces into a file that is named by their hash; return it.

        Raises:
            OSError: They cannot be read or written.
        """
        draft = self._folder / f"draft-{os.getpid()}"
        digest = hashlib.sha256()
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - from a descriptor
            for piece in pieces:
                digest.update(piece)
                file.write(piece)
        name = digest.hexdigest()
        draft.rename(self._folder / name)
        return name

    def has(self, name: str) -> bool:
        """Return whether an attachment is here."""
        return (self._folder / name).is_file()

    def get(self, name: str) -> bytes | StreamedPart:
        """Return an attachment: its bytes, or what reads them where they are many.

        Raises:
            JournalError: It is gone.
        """
        path = self._folder / name
        try:
            size = path.stat().st_size
            return path.read_bytes() if size <= HELD_BYTES else EncodedFile(str(path), size)
        except OSError as error:
            raise JournalError(
                f"An attachment of a queued campaign cannot be read: {path}: {error.strerror}.",
                fix="Queue the campaign again.",
            ) from error


class FetchedBlobs:
    """Attachments that are fetched when they are first asked for, and stay.

    Args:
        folder: Where they stay; made with mode 0700.
        fetch: Yields one in pieces, by its hash.
    """

    def __init__(self, folder: Path, fetch: Callable[[str], Iterator[bytes]]) -> None:
        self._folder = folder
        self._fetch = fetch
        self._here = FolderBlobs(folder)

    def get(self, name: str) -> bytes | StreamedPart:
        """Return an attachment, as ``FolderBlobs.get()`` does.

        Raises:
            QueueError: It cannot be fetched.
            OSError: It cannot be written.
        """
        if not self._here.has(name):
            for folder in (self._folder.parent, self._folder):
                # Each of them private: only the last one is, where all are made at once.
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._here.write(self._fetch(name))
        return self._here.get(name)


def pieces_of(encoded: bytes | StreamedPart) -> Iterator[bytes]:
    """Yield an attachment in pieces."""
    if isinstance(encoded, bytes):
        yield encoded
    else:
        yield from encoded.chunks()

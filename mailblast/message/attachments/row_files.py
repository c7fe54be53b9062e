"""Files of single recipients: found by what a row says, and never outside their folder."""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from pathlib import Path, PurePath
from typing import NamedTuple
from zlib import crc32

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.attachments.base64_lines import BLOCK_BYTES, encode_lines
from mailblast.message.attachments.content_types import content_type_of
from mailblast.message.attachments.file_part import FileIdentity, FilePart, identity_of, read_exactly
from mailblast.message.attachments.loading import LARGEST_IN_MEMORY
from mailblast.message.attachments.names import safe_name
from mailblast.message.attachments.part import AttachedPart, attached_part
from mailblast.model.message import Attachment

#: Larger files are not held but read when the message is written out: many of them may be in flight at once.
LARGEST_HELD = 1024**2
#: What the files that were used last may hold in memory, and how many are known.
KEPT_BYTES = 16 * 1024**2
KEPT_FILES = 1_000
#: Longest path that a row may give.
LONGEST_PATH = 1_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not to wait for the other end of a pipe.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Key(NamedTuple):
    identity: FileIdentity
    name: str


class RowFiles:
    """Load files from one folder; a file that several recipients get is encoded once, while it is remembered.

    Args:
        folder: No path leads out of it, by no link. Empty is the current folder.

    Raises:
        UsageError: There is no such folder.
    """

    def __init__(self, folder: str) -> None:
        self._shown = folder or "."
        try:
            self._base = Path(self._shown).resolve(strict=True)
            os.close(os.open(self._base, _FOLDER))
        except OSError as error:
            raise UsageError(
                f"The folder of attachments {self._shown} cannot be used: {error.strerror}.",
                fix="Give the folder with --attach-dir.",
            ) from error
        self._kept: OrderedDict[_Key, AttachedPart] = OrderedDict()
        self._kept_bytes = 0

    def load(self, path: str, *, column: str = "") -> AttachedPart:
        """Return the file that a row asks for.

        Args:
            path: Below the folder, or absolute and inside it.
            column: The row's column that it was made from, for the error; empty where that is not known.

        Raises:
            RowFaultError: The path may not be followed, or there is no such file, or none that can be sent.
        """
        inside = self._inside(path, column)
        try:
            descriptor = self._opened(inside)
        except OSError as error:
            raise self._fault(path, _reason(error), column) from error
        try:
            return self._loaded(descriptor, inside, path, column)
        except OSError as error:
            raise self._fault(path, _reason(error), column) from error
        finally:
            os.close(descriptor)

    def _inside(self, path: str, column: str) -> PurePath:
        """Return the path from the folder to the file, all links resolved."""
        if not path.strip():
            raise RowFaultError("The path of the attachment is empty for this row.", column=column)
        if not path.isprintable() or len(path) > LONGEST_PATH:
            raise RowFaultError("The path of the attachment is too long or holds a control character.", column=column)
        if ".." in PurePath(path).parts:
            raise self._fault(path, "'..' is not allowed", column)
        # A file name beyond UTF-8 cannot be printable, and so is refused above.
        real = Path(os.path.realpath(self._base / path))
        if not real.is_relative_to(self._base) or real == self._base:
            raise self._fault(path, f"it is outside of the folder {self._shown}", column)
        return real.relative_to(self._base)

    def _opened(self, inside: PurePath) -> int:
        """Open a file step by step, each without following a link that somebody put there since."""
        folder = os.open(self._base, _FOLDER)
        try:
            for name in inside.parts[:-1]:
                below = os.open(name, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            return os.open(inside.name, _FILE, dir_fd=folder)
        finally:
            os.close(folder)

    def _loaded(self, descriptor: int, inside: PurePath, path: str, column: str) -> AttachedPart:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise self._fault(path, "it is not a file", column)
        if status.st_size > LARGEST_IN_MEMORY:
            raise self._fault(path, f"it is over {LARGEST_IN_MEMORY // 1024**2} MB", column)
        # As the row calls it: behind a link the file may have any name.
        key = _Key(identity_of(status), PurePath(path).name)
        if (part := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return part
        part = attached_part(_read(descriptor, key, str(self._base / inside)))
        if identity_of(os.fstat(descriptor)) != key.identity:
            raise self._fault(path, "it changed while it was read", column)
        self._keep(key, part)
        return part

    def _keep(self, key: _Key, part: AttachedPart) -> None:
        self._kept[key] = part
        self._kept_bytes += _held(part)
        while len(self._kept) > KEPT_FILES or self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= _held(oldest)

    def _fault(self, path: str, reason: str, column: str) -> RowFaultError:
        return RowFaultError(f"The attachment {path!r} cannot be sent: {reason} (in {self._shown}).", column=column)


def _read(descriptor: int, key: _Key, path: str) -> Attachment:
    name, size = safe_name(key.name), key.identity.size
    if size <= LARGEST_HELD:
        data = read_exactly(descriptor, size)
        if len(data) != size:
            raise OSError(errno.ESTALE, "it changed while it was read")
        return Attachment(name, content_type_of(name), encode_lines(data))
    crc = 0
    while block := read_exactly(descriptor, BLOCK_BYTES):
        crc = crc32(block, crc)
    return Attachment(name, content_type_of(name), FilePart(path, key.identity, crc))


def _held(part: AttachedPart) -> int:
    encoded = part.attachment.encoded
    return len(encoded) if isinstance(encoded, bytes) else 0


def _reason(error: OSError) -> str:
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "there is no such file"
    if error.errno == errno.ELOOP:
        return "it is a link that leads nowhere"
    return error.strerror or str(error)

"""Messages from a folder, a Maildir, an mbox or a single file."""

from __future__ import annotations

import mailbox
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Larger ones are no reports; they are not read.
MAX_MESSAGE_BYTES = 20_000_000
_FOLDERS = ("new", "cur")


class StoredMessage(NamedTuple):
    """A message as it lies in a mailbox."""

    #: Where it was found, for messages to the user.
    place: str
    #: None where it is too large or cannot be read.
    content: bytes | None


def read_mailbox(path: Path) -> Iterator[StoredMessage]:
    """Yield the messages at a path, one at a time: a Maildir, a folder of files, an mbox, or one message.

    Raises:
        InputError: There is nothing that can be read.
    """
    try:
        if path.is_dir():
            yield from _folder(path)
            return
        with path.open("rb") as file:
            is_mbox = file.read(5) == b"From "
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}.", fix="Give a folder, an mbox or a file."
        ) from error
    if is_mbox:
        yield from _mbox(path)
    else:
        yield _file(path)


def _folder(path: Path) -> Iterator[StoredMessage]:
    folders = [path / name for name in _FOLDERS if (path / name).is_dir()] or [path]
    for folder in folders:
        for each in sorted(folder.iterdir()):
            if each.is_file() and not each.name.startswith("."):
                yield _file(each)


def _file(path: Path) -> StoredMessage:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MESSAGE_BYTES + 1)
    except OSError:
        return StoredMessage(str(path), None)
    return StoredMessage(str(path), content if len(content) <= MAX_MESSAGE_BYTES else None)


def _mbox(path: Path) -> Iterator[StoredMessage]:
    box = mailbox.mbox(path, create=False)
    try:
        for number, key in enumerate(box.iterkeys(), start=1):
            with box.get_file(key) as file:
                content = file.read(MAX_MESSAGE_BYTES + 1)
            yield StoredMessage(f"{path}, message {number}", content if len(content) <= MAX_MESSAGE_BYTES else None)
    finally:
        box.close()

"""What a campaign's folder holds while it is queued, so that a worker can deliver it."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import JournalError
from mailblast.executors.queue.blobs import FolderBlobs
from mailblast.executors.queue.document import from_document, to_document

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.executors.queue.document import Delivery
    from mailblast.model.campaign import Campaign

#: Beside the journal, while there is anything to deliver.
QUEUE_FILE = "queued.json"
#: Attachments of the campaign, beside it.
SERVER_FILE = "queue-server.json"
#: There while a queue of this machine is paused.
PAUSED_FILE = "queue-paused"
BLOB_FOLDER = "queued"


class ServerQueue(NamedTuple):
    """Where a campaign is queued, without anything secret."""

    url: str
    token: str
    #: Whether all of it was home when it was last looked at; what comes later is of workers that were frozen.
    is_over: bool = False


def is_queued(folder: Path) -> bool:
    """Return whether a campaign's folder has a queue."""
    server = read_server_file(folder)
    return (folder / QUEUE_FILE).exists() or (server is not None and not server.is_over)


def is_queued_here(folder: Path) -> bool:
    """Return whether a campaign's journal is its queue."""
    return (folder / QUEUE_FILE).exists()


def is_paused(folder: Path) -> bool:
    """Return whether workers of this machine are to leave a campaign alone."""
    return (folder / PAUSED_FILE).exists()


def pause(folder: Path) -> None:
    """Have workers of this machine leave a campaign alone, from about a second on.

    Raises:
        JournalError: It cannot be noted.
    """
    write_private(folder / PAUSED_FILE, "")


def resume(folder: Path) -> None:
    """Let workers of this machine go on with a campaign."""
    (folder / PAUSED_FILE).unlink(missing_ok=True)


def read_server_file(folder: Path) -> ServerQueue | None:
    """Return where a campaign is queued; None where it never was at a server."""
    try:
        return ServerQueue(**json.loads((folder / SERVER_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_server_file(folder: Path, queue: ServerQueue) -> None:
    """Take note of where a campaign is queued.

    Raises:
        JournalError: It cannot be written.
    """
    write_private(folder / SERVER_FILE, json.dumps(queue._asdict()))


def write_queue_file(folder: Path, campaign: Campaign, delivery: Delivery) -> None:
    """Store how a campaign is to be delivered; it is not paused any more.

    Raises:
        JournalError: It cannot be written.
    """
    document = to_document(campaign, delivery, FolderBlobs(folder / BLOB_FOLDER).put)
    write_private(folder / QUEUE_FILE, json.dumps(document))
    resume(folder)


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner may read.

    Raises:
        JournalError: It cannot be written.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a descriptor
            file.write(text)
        draft.rename(path)
    except OSError as error:
        raise JournalError(
            f"The file {path} cannot be written: {error.strerror}.", fix="Make room on the disk."
        ) from error


def read_queue_file(folder: Path) -> tuple[Campaign, Delivery]:
    """Return what was stored.

    Raises:
        JournalError: It cannot be read, or a newer version wrote it.
    """
    path = folder / QUEUE_FILE
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return from_document(document, FolderBlobs(folder / BLOB_FOLDER).get)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"The queue file {path} cannot be used: {error}.", fix="Queue the campaign again with the same command."
        ) from error


def remove_queue_file(folder: Path) -> None:
    """Forget the queue of a campaign, of which nothing is left."""
    (folder / QUEUE_FILE).unlink(missing_ok=True)
    resume(folder)
    shutil.rmtree(folder / BLOB_FOLDER, ignore_errors=True)

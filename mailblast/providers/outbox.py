"""A provider that writes each message into a Maildir: nothing leaves the machine, and any mail reader shows it.

Maildir (https://cr.yp.to/proto/maildir.html): a message is written under ``tmp`` and renamed into ``new``, so that a
reader never sees half of one. The name comes from the Message-ID alone, so that a repeat replaces, not doubles.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mailblast.errors import ProviderUnavailableError
from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.body import UnreadablePartError, pieces
from mailblast.providers.provider import ProviderLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailblast.clock import Clock
    from mailblast.model.message import Message
    from mailblast.providers.provider import Deliveries

FOLDERS = ("tmp", "new", "cur")
#: Seconds of work between two turns of the event loop for others.
TURN_S = 0.01
NOT_SENT = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)


class OutboxProvider:
    """One Maildir.

    Args:
        folder: Made by ``open()`` where it is missing; private then (0700, its files 0600).
        clock: Durations.
    """

    leaves_machine = False
    wants_composition = False

    def __init__(self, folder: str | Path, *, clock: Clock) -> None:
        self.folder = Path(folder)
        self.name = "outbox"
        self.on_loopback = True
        self.limits = ProviderLimits(concurrency=1)
        self._monotonic = clock.monotonic
        self._is_open = False

    async def open(self) -> None:
        """Make the folder.

        Raises:
            ProviderUnavailableError: It cannot be made or written to.
        """
        self._open()

    async def deliver(self, deliveries: Deliveries) -> None:
        """Write until ``deliveries`` ends; see ``Provider.deliver``."""
        if not self._is_open:
            self._open()
        while await deliveries.wait():
            turn_ends_s = time.monotonic() + TURN_S
            while time.monotonic() < turn_ends_s and (message := deliveries.take()) is not None:
                await self._handle(message, deliveries)
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Do nothing: every message is complete on file already."""

    async def probe(self, sender: str | None = None) -> list[tuple[str, str]]:
        """Make the folder and return where it is."""
        del sender
        self._open()
        return [("connect", f"messages are written to {self.folder}; nothing leaves this machine")]

    async def _handle(self, message: Message, deliveries: Deliveries) -> None:
        started_s = self._monotonic()
        attempt = NOT_SENT
        name = file_name(message)
        temporary = self.folder / "tmp" / name
        try:
            self._write(temporary, message)
            deliveries.begin(message)
            if (written := deliveries.commit()) is not None:
                await written
            kept = self._keep(temporary, name)
            reply = Reply(250, "2.0.0", f"Written to {kept}", Stage.BODY)
            attempt = Attempt(Disposition.ACCEPTED, reply, Scope.RECIPIENT, self._monotonic() - started_s, name)
        except UnreadablePartError as error:
            attempt = error.attempt(self._monotonic() - started_s)
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            if attempt.disposition is not Disposition.ACCEPTED:
                temporary.unlink(missing_ok=True)
            deliveries.finish(message, attempt)

    def _write(self, path: Path, message: Message) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb", buffering=0) as file:  # noqa: PTH123 - from a descriptor
            for text in _local_lines(pieces(message.parts)):
                view = memoryview(text)
                while view:
                    view = view[file.write(view) :]

    def _keep(self, temporary: Path, name: str) -> Path:
        """Move a written message to ``new``; a copy that a reader has moved to ``cur`` since gives way to it."""
        kept = self.folder / "new" / name
        temporary.replace(kept)
        return kept

    def _open(self) -> None:
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(mode=0o700, parents=True)
            for name in FOLDERS:
                (self.folder / name).mkdir(mode=0o700, exist_ok=True)
            probe = self.folder / "tmp" / f"probe.{os.getpid()}"
            probe.touch(mode=0o600)
            probe.unlink()
        except OSError as error:
            raise self._unusable(error) from error
        self._is_open = True

    def _unusable(self, error: OSError) -> ProviderUnavailableError:
        if isinstance(error, (FileExistsError, NotADirectoryError)):
            fix = "A file is in its way: give another folder with --via outbox:DIR."
        elif isinstance(error, PermissionError):
            fix = "Make it writable for you, or give another folder with --via outbox:DIR."
        else:
            fix = "Free some space, or give another folder with --via outbox:DIR."
        return ProviderUnavailableError(f"The outbox {self.folder} cannot be written: {error.strerror}.", fix=fix)


def _local_lines(body: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a body with LF line ends: a Maildir keeps those of the system, CRLF would show as ^M in many readers."""
    held = b""
    for piece in body:
        text = held + piece if held else piece
        # The other half of a line end may be in the next piece.
        held = b"\r" if text.endswith(b"\r") else b""
        yield (text[:-1] if held else text).replace(b"\r\n", b"\n")
    if held:
        yield held


def file_name(message: Message) -> str:
    """Return the name of a message's file: the same for the same Message-ID, whatever characters that holds."""
    unique = hashlib.blake2b(message.message_id.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
    return f"{unique}.mailblast"

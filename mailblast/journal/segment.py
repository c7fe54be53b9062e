"""The append-only log of one process: marks before, outcomes after, written in groups."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from mailblast.errors import JournalError
from mailblast.journal.records import encode_header, encode_mark, encode_outcome, encode_void

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mailblast.model.outcome import Outcome

#: A file this long is replaced; at about 250 bytes a message that is every 16,000 messages.
ROLL_AT_BYTES = 4 * 1024 * 1024


class Segment:
    """Marks and outcomes of this process, on file when ``commit()`` returns.

    ``commit()`` and ``flush()`` are one ``write()`` each, which a killed process cannot take back. Nothing else
    writes, so call ``flush()`` at the end of a turn in which nothing is begun, or an outcome stays in memory and its
    recipient is in doubt after a kill.

    The file is bounded: at ``roll_at_bytes`` a new one is started with a copy of what is not yet settled in the keyed
    table, and the old one is removed.

    One writer: a forked child makes its own.

    Args:
        folder: The campaign's folder.
        durable: Wait for the disk in ``commit()``, against loss of power.
        roll_at_bytes: Length at which the file is replaced.

    Raises:
        JournalError: The file cannot be made.
    """

    #: See ``Log``, which this is one of.
    is_remote = False

    def __init__(self, folder: Path, *, durable: bool = False, roll_at_bytes: int = ROLL_AT_BYTES) -> None:
        self._folder = folder
        self._durable = durable
        self._roll_limit = roll_at_bytes
        self._number = 0
        self._pending: list[bytes] = []
        #: Last record of each claim that is not settled in the keyed table yet.
        self._live: dict[int, bytes] = {}
        self._broken = False
        self.path, self._descriptor, self._length = self._create()
        self._roll_at = roll_at_bytes

    @property
    def end(self) -> tuple[str, int] | None:
        """The file's name, and its length with all that is on file."""
        return self.path.name, self._length

    def begin(self, claim_id: int, digest: int, time_s: float) -> None:
        """Mark a message as one that may be complete at the provider from now on. On file after ``commit()``."""
        line = encode_mark(claim_id, digest, time_s)
        self._pending.append(line)
        self._live[claim_id] = line

    def commit(self) -> None:
        """Put all marks and outcomes on file.

        Raises:
            JournalError: They cannot be written. None of the messages begun since the last call may leave. What was
                on file before is untouched; the next call tries again.
        """
        pending = self._pending
        if not pending:
            return
        data = b"".join(pending)
        self._write(data)
        pending.clear()
        self._length += len(data)
        if self._length >= self._roll_at:
            self._roll()

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a claim. On file after the next ``commit()`` or ``flush()``.

        An outcome of ``deferred`` or ``unsent`` closes the mark of an attempt that was certainly not successful.
        """
        line = encode_outcome(outcome)
        self._pending.append(line)
        self._live[outcome.id] = line

    def revoke(self, claim_id: int) -> None:
        """Take a mark back: the message was certainly not sent, and its next attempt begins anew."""
        if self._live.pop(claim_id, None) is not None:
            self._pending.append(encode_void(claim_id))

    def flush(self) -> None:
        """Put outcomes on file where nothing is begun in this turn. Raises as ``commit()``."""
        self.commit()

    def settled(self, claim_ids: Iterable[int]) -> None:
        """Tell that outcomes of these claims are in the keyed table, so that a new file need not carry them.

        ``Journal.fold()`` does it for the journal's own segment. A process that only sends calls it when it hears
        from the journal's process that a batch is folded.
        """
        live = self._live
        for claim_id in claim_ids:
            live.pop(claim_id, None)

    def close(self) -> None:
        """Write what is buffered and close the file; it stays until the journal has replayed it.

        Raises:
            JournalError: The last outcomes cannot be written. The file is closed all the same.
        """
        if self._descriptor < 0:
            return
        try:
            self.commit()
        finally:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, data: bytes) -> None:
        try:
            if self._broken:
                raise OSError(errno.EIO, "an earlier write could not be undone")  # noqa: TRY301 - told like the others
            written = os.write(self._descriptor, data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
            if self._durable:
                _sync(self._descriptor)
        except OSError as error:
            self._cut_back()
            raise self._unwritable(error) from error

    def _cut_back(self) -> None:
        # Half a group must not stay in front of the next one: that would read as damage.
        try:
            os.ftruncate(self._descriptor, self._length)
        except OSError:
            self._broken = True

    def _roll(self) -> None:
        old_path, old_descriptor, old_length = self.path, self._descriptor, self._length
        carried = b"".join(self._live.values())
        try:
            self.path, self._descriptor, self._length = self._create()
            self._write(carried)
        except JournalError:
            # No room for a second file: go on with the old one, which has everything, and try again later.
            if self._descriptor != old_descriptor:
                os.close(self._descriptor)
                self.path.unlink(missing_ok=True)
            self.path, self._descriptor, self._length = old_path, old_descriptor, old_length
            self._roll_at = self._length + self._roll_limit
            return
        self._length += len(carried)
        # A file that begins long, because much is in flight, must not be replaced at every turn.
        self._roll_at = max(self._roll_limit, 2 * self._length)
        os.close(old_descriptor)
        old_path.unlink(missing_ok=True)

    def _create(self) -> tuple[Path, int, int]:
        header = encode_header()
        while True:
            self._number += 1
            path = self._folder / f"segment-{os.getpid()}-{self._number}.log"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            except FileExistsError:
                # Left by a process that had the same number.
                continue
            except OSError as error:
                raise self._unwritable(error, path) from error
            try:
                if os.write(descriptor, header) < len(header):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301 - told like the others
                if self._durable:
                    _sync(descriptor)
                    _sync_folder(self._folder)
            except OSError as error:
                os.close(descriptor)
                path.unlink(missing_ok=True)
                raise self._unwritable(error, path) from error
            return path, descriptor, len(header)

    def _unwritable(self, error: OSError, path: Path | None = None) -> JournalError:
        return JournalError(
            f"The journal segment {path or self.path} cannot be written: {error.strerror}.",
            fix="Make room on the disk or check its permissions, then run the same command again: it continues.",
        )


class DiscardedSegment(Segment):
    """A segment that writes nothing, for a rehearsal, which sends nothing."""

    def __init__(self) -> None:  # no file, so nothing of the other one's
        pass

    @property
    def end(self) -> tuple[str, int] | None:
        """There is no file."""
        return None

    def begin(self, claim_id: int, digest: int, time_s: float) -> None:
        """Note nothing."""

    def commit(self) -> None:
        """Write nothing."""

    def finish(self, outcome: Outcome) -> None:
        """Note nothing."""

    def revoke(self, claim_id: int) -> None:
        """Note nothing."""

    def settled(self, claim_ids: Iterable[int]) -> None:
        """Note nothing."""

    def close(self) -> None:
        """Close nothing."""


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

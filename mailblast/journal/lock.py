"""One run per campaign at a time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import CampaignLockedError, JournalError

if TYPE_CHECKING:
    from pathlib import Path

# A reader that asks ``is_locked()`` holds the lock for microseconds. A run must not end for that.
_TRIES = 5
_PAUSE_S = 0.005


class Owner(NamedTuple):
    """Who holds a campaign."""

    host: str
    pid: int
    #: Unix seconds.
    started_s: float


class CampaignLock:
    """An advisory lock (``flock``) on the campaign's lock file, with its owner's name inside.

    The kernel lets go of it when the last descriptor is closed, so the lock of a dead process is free at once and
    nothing is ever judged stale by its age. A forked child, and one that is handed ``fileno()``, shares the
    lock: while such a child lives, the campaign stays held even if the process that took it is gone. That is meant:
    the child may still be sending.

    Args:
        path: The lock file; made if missing, never removed.
        campaign: For the error's text.
        started_s: Unix seconds, told to whoever comes second.

    Raises:
        CampaignLockedError: Another run holds it; raised within 25 ms and names host, process and start.
        JournalError: The file cannot be made or locked.
    """

    def __init__(self, path: Path, campaign: str, *, started_s: float) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            if not _acquire(self._descriptor):
                raise _held(path, campaign)
            owner = Owner(socket.gethostname(), os.getpid(), started_s)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps(owner._asdict()).encode(), 0)
        except OSError as error:
            os.close(self._descriptor)
            raise _unusable(path, error) from error
        except CampaignLockedError:
            os.close(self._descriptor)
            raise

    def fileno(self) -> int:
        """Return the descriptor, to be passed on to child processes that send under this lock."""
        return self._descriptor

    def release(self) -> None:
        """Let go. Descriptors that children hold keep the lock until they end."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_owner(path: Path) -> Owner | None:
    """Return who took the lock last, or None where the file does not tell."""
    try:
        told = json.loads(path.read_bytes())
        return Owner(str(told["host"]), int(told["pid"]), float(told["started_s"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_locked(path: Path) -> bool:
    """Return whether a run holds the campaign right now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _acquire(descriptor: int) -> bool:
    for attempt in range(_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt < _TRIES - 1:
                time.sleep(_PAUSE_S)
        else:
            return True
    return False


def _held(path: Path, campaign: str) -> CampaignLockedError:
    owner = read_owner(path)
    if owner is None:
        return CampaignLockedError(f"Another run holds the campaign {campaign}.", fix="Wait until it has ended.")
    started = datetime.fromtimestamp(owner.started_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if owner.host == socket.gethostname() and not _is_alive(owner.pid):
        return CampaignLockedError(
            f"A child of process {owner.pid} on {owner.host}, which took the campaign {campaign} at {started} "
            f"and is gone, still holds it.",
            fix="Wait until the child has ended, or end it.",
        )
    return CampaignLockedError(
        f"Process {owner.pid} on {owner.host} holds the campaign {campaign} since {started}.",
        fix="Wait until it has ended.",
    )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _unusable(path: Path, error: OSError) -> JournalError:
    return JournalError(
        f"The lock file {path} cannot be used: {error.strerror}.",
        fix="Check the folder's permissions and free space, or set MAILBLAST_HOME to a folder that can be written.",
    )

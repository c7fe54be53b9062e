"""Private temporary folders for what is compressed: made late, removed at the end, swept where a process was killed."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import re
import signal
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from types import FrameType, TracebackType

#: Folders that are left behind are removed when nothing has been written into them for so long.
SWEEP_AFTER_S = 3600.0
_NAME = re.compile(r"mailblast-([1-9][0-9]{0,9})-[a-z0-9_]{8}")
#: Signals that end a process without any clean-up, where nobody handles them.
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class TemporaryFolder:
    """A folder of this process alone (0700, its files 0600), made with the first file.

    Used as a context manager. Removed when it ends, at the end of the process, and on SIGTERM and SIGHUP unless
    somebody else handles these. Its name holds the process id; it is locked while the process lives.

    Args:
        base: Where it is made; None or empty takes the system's folder for temporary files.
    """

    def __init__(self, base: str | None = None) -> None:
        self._base = base
        #: None before the first file, and after the end.
        self.path: Path | None = None
        self._owner = os.getpid()
        self._lock = -1
        self._count = 0
        self._replaced: list[signal.Signals] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    @property
    def base(self) -> Path:
        """The folder that it is made in."""
        return Path(self._base or tempfile.gettempdir())

    def create(self) -> tuple[int, Path]:
        """Make a new file; return its descriptor, open for writing, and its path.

        Raises:
            UsageError: The folder cannot be made.
            OSError: The file cannot be made.
        """
        folder = self.path or self._make()
        self._count += 1
        path = folder / f"attachment-{self._count}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600), path

    def remove(self) -> None:
        """Remove the folder; nothing where there is none, or where this process was forked off its owner."""
        path, self.path = self.path, None
        if path is None or os.getpid() != self._owner:
            return
        _remove(path)
        os.close(self._lock)
        atexit.unregister(self.remove)
        for number in self._replaced:
            # Somebody may have put a handler of their own there since.
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, signal.SIG_DFL)
        self._replaced.clear()

    def _make(self) -> Path:
        base = self.base
        try:
            path = Path(tempfile.mkdtemp(prefix=f"mailblast-{self._owner}-", dir=base.resolve(strict=True)))
            self._lock = _locked(path)
        except OSError as error:
            fix = "Set MAILBLAST_TMP to a folder that you may write to."
            raise UsageError(f"No temporary folder can be made in {base}: {error.strerror}.", fix=fix) from error
        self.path = path
        atexit.register(self.remove)
        for number in _SIGNALS:
            # Only the main thread may, and only what is handled by nobody.
            with contextlib.suppress(ValueError):
                if signal.getsignal(number) is signal.SIG_DFL:
                    signal.signal(number, self._on_signal)
                    self._replaced.append(number)
        return path

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Clean up, and end as if nobody had been asked."""
        del frame
        self.remove()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def sweep(base: str | None = None, *, now_s: float | None = None) -> list[Path]:
    """Remove folders that killed processes have left behind; return them.

    Only our own: by name, by owner, no symbolic links, not touched for an hour, and neither the process that its name
    tells nor one that locks it is alive. What cannot be looked at or removed stays.

    Args:
        base: As for ``TemporaryFolder``.
        now_s: Unix seconds; None is now.
    """
    now_s = time.time() if now_s is None else now_s
    swept: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(base or tempfile.gettempdir()) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
                if ours and now_s - status.st_mtime > SWEEP_AFTER_S and not _is_alive(int(match[1])):
                    # Held by a process of another container that shares the folder, where process ids differ.
                    os.close(_locked(entry.path))
                    _remove(Path(entry.path))
                    swept.append(Path(entry.path))
    return swept


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _locked(path: str | Path) -> int:
    """Return a descriptor that holds the folder's lock. Raises ``OSError`` where somebody else has it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _remove(path: Path) -> None:
    """Remove a folder of ours, which is flat. Nothing is followed, whatever somebody put there."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            for name in os.listdir(descriptor):  # noqa: PTH208 - of the folder that was opened
                os.unlink(name, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        path.rmdir()

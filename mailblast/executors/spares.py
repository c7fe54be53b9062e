"""Processes made ahead of a run: copies of this one, with all modules loaded, that wait for what they are to do.

A new interpreter takes 0.15 s of processor time to get as far. Only where copying is safe: on Linux, while this process
has a single thread, and before it has opened anything. A copy ends by itself when this process is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from mailblast.errors import ProviderUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    #: Given the descriptor that it is to serve, and the last word of the command that would do the same.
    Work = Callable[[int, str], None]

#: Longest last word of a command.
MAX_WORD_BYTES = 65_536
#: One folder for each thread of this process.
TASKS = Path("/proc/self/task")
#: Descriptors below are the standard ones.
FIRST_DESCRIPTOR = 3


class Process(Protocol):
    """A child process; ``Popen`` is one."""

    pid: int
    returncode: int | None

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self) -> int:
        """Wait until it has ended; return its code, negative for a signal."""
        ...


class Spare:
    """One process made ahead; a ``Process``.

    Args:
        pid: Its number.
        channel: This end of its socket pair.
    """

    def __init__(self, pid: int, channel: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._channel: socket.socket | None = channel
        self._waiting = threading.Lock()

    def begin(self, command: Sequence[str], lock: int | None) -> socket.socket:
        """Have it do what a command would; return this end of its channel.

        Args:
            command: Its last word tells the process what it needs to know.
            lock: A descriptor that it is to hold as long as it lives.

        Raises:
            OSError: It is gone.
        """
        channel, self._channel = self._channel, None
        assert channel is not None
        try:
            word = command[-1].encode() + b"\n"
            sent = socket.send_fds(channel, [word], [] if lock is None else [lock])
            channel.sendall(word[sent:])
        except OSError:
            channel.close()
            raise
        return channel

    def kill(self) -> None:
        """End it at once."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait until it has ended; return its code, negative for a signal. For several threads at once."""
        with self._waiting:
            if self.returncode is None:
                _, status = os.waitpid(self.pid, 0)
                self.returncode = os.waitstatus_to_exitcode(status)
            return self.returncode

    def discard(self) -> None:
        """Let it end where it was not needed."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
            self.wait()


def may_fork() -> bool:
    """Return whether this process may be copied.

    Asked of the system, for libraries have threads that Python does not know. Elsewhere than on Linux system libraries
    do not bear it (https://docs.python.org/3/library/multiprocessing.html#contexts-and-start-methods).
    """
    if sys.platform != "linux":
        return False
    try:
        return sum(1 for _ in TASKS.iterdir()) == 1
    except OSError:
        return False


def make_spares(count: int, work: Work) -> list[Spare]:
    """Copy this process; none where that is not safe.

    Args:
        count: How many copies.
        work: What each does once it is told to begin.

    Raises:
        ProviderUnavailableError: There are too many processes.
    """
    if not may_fork():
        return []
    # What is loaded by now is not looked through again: it stays one piece of memory for all of them.
    gc.freeze()
    spares: list[Spare] = []
    try:
        for _ in range(count):
            spares.append(_fork(work))  # noqa: PERF401 - those made so far are ended where the next one fails
    except OSError as error:
        for spare in spares:
            spare.discard()
        raise not_started(error) from error
    return spares


def not_started(error: OSError) -> ProviderUnavailableError:
    """Return the error of a process that cannot be started."""
    return ProviderUnavailableError(
        f"A process cannot be started: {error.strerror}.", fix="Run with fewer --processes."
    )


def _fork(work: Work) -> Spare:
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            raise
        if pid == 0:
            _be_spare(theirs, work)
    return Spare(pid, ours)


def _be_spare(channel: socket.socket, work: Work) -> NoReturn:
    """Do the work of the copy. Never returns: what its parent was about to do is not for the copy to go on with."""
    code = 1
    try:
        served = _keep_only(channel)
        if word := _told(served):
            work(served.detach(), word)
        code = 0
    except BaseException:  # noqa: BLE001 - nobody else would tell
        traceback.print_exc()
    finally:
        os._exit(code)


def _keep_only(channel: socket.socket) -> socket.socket:
    """Let go of all that is the parent's, and of its terminal: Ctrl-C is the parent's to hear."""
    os.setsid()
    served = socket.socket(fileno=fcntl.fcntl(channel.fileno(), fcntl.F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR))
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number in (0, 1):
        os.dup2(null, number)
    os.closerange(FIRST_DESCRIPTOR, served.fileno())
    os.closerange(served.fileno() + 1, os.sysconf("SC_OPEN_MAX"))
    return served


def _told(channel: socket.socket) -> str:
    """Wait to be told to begin; return the word, empty where the parent is gone.

    The lock comes with it and is held until this process ends: nobody here knows its descriptor, so nobody closes it.
    """
    data, _, _, _ = socket.recv_fds(channel, MAX_WORD_BYTES, 1, socket.MSG_CMSG_CLOEXEC)
    while data and not data.endswith(b"\n"):
        more = channel.recv(MAX_WORD_BYTES)
        data = data + more if more else b""
    return data.decode().rstrip("\n")

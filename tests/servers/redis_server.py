"""A Redis of the test's own, with an append-only file in a folder; whoever starts it stops it."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

START_S = 10.0


class RedisServer:
    """One server.

    Args:
        program: Its path.
        folder: For its data; a restart finds it there.
        options: Further settings, such as ``("maxmemory", "5mb")``.
        append_only: Whether it keeps its data.
    """

    def __init__(self, program: str, folder: Path, *options: tuple[str, str], append_only: bool = True) -> None:
        self._program = program
        self.folder = folder
        self.port = free_port()
        self._options = dict(options) | {"appendonly": "yes" if append_only else "no"}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Without a password."""
        return f"redis://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, or start it again on the same port with what it has kept."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [f"--{name}" if index == 0 else value for name, value in self._options.items() for index in (0, 1)]
        self._process = subprocess.Popen(
            [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *words],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
        )
        ends_s = time.monotonic() + START_S
        while not self._answers():
            assert self._process.poll() is None, "Redis has ended"
            assert time.monotonic() < ends_s, "Redis does not answer"
            time.sleep(0.01)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; what was not written yet is lost with SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(timeout=START_S)

    def reset(self) -> None:
        """Have it run, empty and with its settings as they were."""
        if self._process is not None and self._is_emptied():
            return
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.start()

    def _is_emptied(self) -> bool:
        words = (b"CONFIG SET maxmemory 0", b"FLUSHALL", b"CLIENT KILL TYPE normal SKIPME yes")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"".join(word + b"\r\n" for word in words))
                answers = b""
                while answers.count(b"\r\n") < len(words) and (data := connection.recv(100)):
                    answers += data
        except OSError:
            return False
        # With a password that a test has set, it is begun anew.
        return answers.startswith(b"+OK\r\n+OK\r\n:")

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                answer = connection.recv(100)
        except OSError:
            return False
        return answer.startswith((b"+PONG", b"-NOAUTH"))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])

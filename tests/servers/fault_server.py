"""A mail server in a process of its own, which outlives the client's kills and keeps a log of what it took."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

END_S = 10.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong at a stage; counted over all connections."""

    #: ``banner``, ``ehlo``, ``mail``, ``rcpt``, ``data``, ``body`` (after ``body_bytes`` of it) or ``dot``.
    at: str
    #: ``close``; ``take`` to close after the dot with the message taken; a reply (421 closes too); empty for the usual.
    do: str = "close"
    #: Every so many times that the stage is reached.
    every: int = 1
    #: So often in all; 0 is without end.
    times: int = 0
    #: Wait before it, or until ``FaultServer.release()``; the message after the dot is taken before the wait.
    delay_s: float = 0.0


@dataclass(frozen=True)
class Script:
    """How the server behaves."""

    faults: tuple[Fault, ...] = ()
    pipelining: bool = True
    body_bytes: int = 200
    #: Size of the socket's buffer; 0 leaves it to the system.
    receive_buffer: int = 0


class Taken(NamedTuple):
    """One message that the server took."""

    time_s: float
    recipient: str
    message_id: str
    date: str
    #: CRC-32 of the message.
    digest: int
    #: Whether its reply was sent.
    replied: bool


class FaultServer:
    """The server's process; whoever starts it stops it.

    Args:
        log: Where taken messages are noted; several servers may share it.
        script: How it behaves.
        port: 0 takes a free one, which a restart takes again.
    """

    def __init__(self, log: Path, script: Script, port: int = 0) -> None:
        self.log = log
        self.script = script
        self.port = port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def taken(self) -> list[Taken]:
        """What was taken so far, by all servers with this log."""
        return list(read_log(self.log))

    def start(self) -> None:
        """Start, or start again on the same port."""
        options = json.dumps({"log": str(self.log), "port": self.port, **asdict(self.script)})
        # What is measured is the program, not its server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environment["PYTHONPATH"] = str(Path(__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "servers.fault_program", options], stdout=subprocess.PIPE, env=environment
        )
        assert self._process.stdout is not None
        told = self._process.stdout.readline()
        assert told, "the server has not started"
        self.port = int(told)

    def release(self) -> None:
        """Let all that waits now go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGUSR1)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End the process; its connections are cut."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


class Serve(Protocol):
    """Starts a server that ends with the test; all servers of one test share the log of what was taken."""

    def __call__(self, *faults: Fault, pipelining: bool = True, body_bytes: int = 200, buffer: int = 0) -> FaultServer:
        """Start a server with these faults."""
        ...


def read_log(log: Path) -> Iterator[Taken]:
    """Yield what a log holds; a last line that is being written is left out."""
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    for line in lines:
        time_s, recipient, message_id, date, digest, replied = line.split("\t")
        yield Taken(float(time_s), recipient, message_id, date, int(digest), replied == "1")

"""A mail server in a process of its own, which outlives the client's kills and keeps a log of what it took.

Run as a program it serves on 127.0.0.1 until it is ended; ``FaultServer`` starts it for a test. A message counts as
taken, and is in the log before its reply leaves, when its final dot is here and the script does not refuse it. A local
part such as ``dot-452`` or ``rcpt-550.7`` chooses the reply to one recipient, whatever the script says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self
from zlib import crc32

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Reply to a recipient's RCPT or final dot, in front of its address.
NAMED = re.compile(rb"<(rcpt|dot)-([45]\d\d)")
MESSAGE_ID = re.compile(rb"^Message-ID: (.+?)\r$", re.MULTILINE)
DATE = re.compile(rb"^Date: (.+?)\r$", re.MULTILINE)
USUAL = {
    "banner": b"220 faults.example ESMTP\r\n",
    "ehlo": b"250-faults.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    "mail": b"250 2.1.0 Ok\r\n",
    "rcpt": b"250 2.1.5 Ok\r\n",
    "data": b"354 Go ahead\r\n",
    "dot": b"250 2.0.0 Ok\r\n",
    "rset": b"250 2.0.0 Ok\r\n",
    "quit": b"221 2.0.0 Bye\r\n",
}
START_S = 20.0
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
    """The server's process; use with ``with``.

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

    def start(self, script: Script | None = None) -> None:
        """Start, or start again on the same port."""
        self.script = script or self.script
        options = json.dumps({"log": str(self.log), "port": self.port, **asdict(self.script)})
        # What is measured is the program, not its server.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        self._process = subprocess.Popen([sys.executable, __file__, options], stdout=subprocess.PIPE, env=environment)
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

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def read_log(log: Path) -> Iterator[Taken]:
    """Yield what a log holds; a last line that is being written is left out."""
    lines = log.read_text(encoding="utf-8").split("\n")[:-1] if log.exists() else []
    for line in lines:
        time_s, recipient, message_id, date, digest, replied = line.split("\t")
        yield Taken(float(time_s), recipient, message_id, date, int(digest), replied == "1")


class _Server:
    """What the connections of one process share."""

    def __init__(self, script: Script, log: int) -> None:
        self.script = script
        self.log = log
        self.faults = script.faults
        self._reached = dict.fromkeys(USUAL, 0) | {"body": 0}
        self._done = [0] * len(script.faults)
        ehlo = USUAL["ehlo"]
        self.usual = USUAL | {"ehlo": ehlo if script.pipelining else ehlo.replace(b"250-PIPELINING\r\n", b"")}
        self.has_body_fault = any(fault.at == "body" for fault in script.faults)
        self._waiting: dict[asyncio.TimerHandle, Callable[[], None]] = {}

    def wait(self, seconds: float, then: Callable[[], None]) -> None:
        """Call something later, or when released."""

        def go_on() -> None:
            del self._waiting[timer]
            then()

        timer = asyncio.get_running_loop().call_later(seconds, go_on)
        self._waiting[timer] = go_on

    def release(self) -> None:
        """Call now all that waits."""
        for timer, go_on in list(self._waiting.items()):
            timer.cancel()
            go_on()

    def fault(self, stage: str) -> Fault | None:
        """Count a stage that is reached; return what goes wrong there this time."""
        self._reached[stage] += 1
        for number, fault in enumerate(self.faults):
            if (
                fault.at == stage
                and self._reached[stage] % fault.every == 0
                and (not fault.times or self._done[number] < fault.times)
            ):
                self._done[number] += 1
                return fault
        return None


class _Conversation(asyncio.Protocol):
    """One connection: a buffer, and replies that leave once for all that has come."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self._transport: asyncio.Transport
        self._buffer = b""
        self._replies = b""
        self._rcpt = b""
        self._in_body = False
        self._refused = b""
        self._waits = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports have no common base
        self._answer("banner")
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        while self._buffer and not self._waits and not self._transport.is_closing():
            if not (self._body() if self._in_body else self._command()):
                break
        self._send()

    def _send(self) -> None:
        replies, self._replies = self._replies, b""
        if replies and not self._transport.is_closing():
            self._transport.write(replies)

    def _command(self) -> bool:
        line, ended, rest = self._buffer.partition(b"\r\n")
        if not ended:
            return False
        self._buffer = rest
        verb = line[:4].decode("ascii").lower()
        if verb == "mail":
            self._rcpt = self._refused = b""
        if verb == "rcpt":
            named = NAMED.search(line)
            if named and named[1] == b"rcpt":
                self._replies += b"%b 5.1.1 Named by the address\r\n" % named[2]
                return True
            self._refused = b"%b 4.3.0 Named by the address\r\n" % named[2] if named else b""
            self._rcpt = line[line.index(b"<") + 1 : line.rindex(b">")]
        if verb == "data" and not self._rcpt:
            self._replies += b"554 5.5.1 No valid recipients\r\n"
            return True
        self._in_body = self._answer(verb) and verb == "data"
        if verb == "quit":
            self._close()
        return True

    def _body(self) -> bool:
        if self._server.has_body_fault and len(self._buffer) >= self._server.script.body_bytes:
            fault = self._server.fault("body")
            if fault is not None:
                self._do(fault)
                return False
        # A dot alone at the very start ends an empty body.
        end = self._buffer.find(b"\r\n.\r\n")
        if end < 0:
            return False
        content = self._buffer[: end + 2].replace(b"\r\n..", b"\r\n.")
        self._buffer = self._buffer[end + 5 :]
        self._in_body = False
        if self._refused:
            self._replies += self._refused
            return True
        fault = self._server.fault("dot")
        lost = fault is not None and fault.do == "take"
        if fault is None or lost or not fault.do:
            self._take(content, replied=not lost)
        if fault is None:
            self._replies += USUAL["dot"]
        else:
            self._do(fault)
        return True

    def _take(self, content: bytes, *, replied: bool) -> None:
        head = content[: content.index(b"\r\n\r\n") + 2]
        ident, date = MESSAGE_ID.search(head), DATE.search(head)
        assert ident is not None
        assert date is not None
        words = (b"%.6f" % time.time(), self._rcpt, ident[1], date[1], b"%d" % crc32(content), b"%d" % replied)
        os.write(self._server.log, b"\t".join(words) + b"\n")

    def _answer(self, stage: str) -> bool:
        """Reply as usual, or do what the script says; return whether it was as usual."""
        fault = self._server.fault(stage)
        if fault is None:
            self._replies += self._server.usual[stage]
            return True
        self._do(fault, stage)
        return not fault.do

    def _do(self, fault: Fault, stage: str = "dot") -> None:
        self._send()
        if fault.delay_s:
            self._waits = True
            self._server.wait(fault.delay_s, lambda: self._do_now(fault, stage))
        else:
            self._do_now(fault, stage)

    def _do_now(self, fault: Fault, stage: str) -> None:
        if fault.do in {"close", "take"}:
            self._close()
            return
        self._replies += fault.do.encode() + b"\r\n" if fault.do else self._server.usual[stage]
        if fault.do.startswith("421"):
            self._close()
        elif self._waits:
            self._waits = False
            self._go_on()

    def _close(self) -> None:
        self._send()
        self._transport.close()


async def serve(options: dict[str, object]) -> None:
    """Serve until the process is ended; the port is the first line on stdout."""
    faults = tuple(Fault(**fault) for fault in options.pop("faults"))  # type: ignore[attr-defined]
    log = os.open(str(options.pop("log")), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    port = options.pop("port")
    server = _Server(Script(faults=faults, **options), log)  # type: ignore[arg-type]
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if server.script.receive_buffer:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, server.script.receive_buffer)
    listening.bind(("127.0.0.1", port))
    listening.listen(100)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, server.release)
    await loop.create_server(lambda: _Conversation(server), sock=listening)
    print(listening.getsockname()[1], flush=True)  # noqa: T201 - told to whoever started this
    await asyncio.Event().wait()


if __name__ == "__main__":
    try:
        import uvloop
    except ImportError:
        factory = asyncio.new_event_loop
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(json.loads(sys.argv[1])))

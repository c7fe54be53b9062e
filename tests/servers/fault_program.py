"""The program behind ``FaultServer``: serves on 127.0.0.1 until it is ended.

A message counts as taken, and is in the log before its reply leaves, when its final dot is here and the script does
not refuse it. A local part such as ``dot-452`` or ``rcpt-550.7`` chooses the reply to one recipient, whatever the
script says.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING
from zlib import crc32

from servers.fault_server import Fault, Script

if TYPE_CHECKING:
    from collections.abc import Callable

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


def refusal(code: bytes) -> bytes:
    """Return a reply that is about the recipient."""
    return b"%b %b.2.0 Named by the address\r\n" % (code, code[:1])


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
                self._replies += refusal(named[2])
                return True
            self._refused = refusal(named[2]) if named else b""
            self._rcpt = line[line.index(b"<") + 1 : line.rindex(b">")]
        if verb == "data" and not self._rcpt:
            self._replies += b"554 5.5.1 No valid recipients\r\n"
            return True
        is_usual = self._answer(verb)
        if verb == "rcpt" and not is_usual:
            # DATA, which may be here already, has nobody to go to.
            self._rcpt = b""
        self._in_body = is_usual and verb == "data"
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

"""A sink for mail with TLS from the first byte, which smtp-sink lacks; without TLS too, to tell what TLS itself costs.

Takes everything, keeps nothing, offers PIPELINING. A process of its own, one event loop, uvloop where it is installed.
A message of 5 KB costs it 20 µs of processor time, over TLS 40 µs, so it takes about 20,000 a second over TLS on a core
that it has to itself; smtp-source sends it 28,000 a second without.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GREETING = b"220 sink.example ESMTP\r\n"
TAKEN = b"250 2.0.0 Ok\r\n"
REPLIES = {
    b"EHLO": b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n",
    b"HELO": b"250 sink.example\r\n",
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    b"RSET": TAKEN,
    b"NOOP": TAKEN,
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
UNKNOWN = b"500 5.5.2 Unknown command\r\n"
END = b"\r\n.\r\n"
#: Seconds for the process to end.
END_S = 5.0


class _Session(asyncio.Protocol):
    """One connection. Commands are answered in order; what is between DATA and the dot is looked through once."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._in_body = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not asked for its class: uvloop's TLS transport is none of asyncio's.
        self._transport = transport  # type: ignore[assignment]
        assert self._transport is not None
        self._transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        assert self._transport is not None
        replies, at, quits = [], 0, False
        while not quits:
            end = data.find(END if self._in_body else b"\r\n", at)
            if end < 0:
                break
            if self._in_body:
                self._in_body = False
                replies.append(TAKEN)
                at = end + len(END)
                continue
            verb = data[at : at + 4].upper()
            replies.append(REPLIES.get(verb, UNKNOWN))
            quits, self._in_body = verb == b"QUIT", verb == b"DATA"
            # The line's own end may be the first half of the dot's.
            at = end if self._in_body else end + 2
        # Of a body, only what may be the beginning of its end.
        self._rest = data[max(at, len(data) - len(END) + 1) if self._in_body else at :]
        if replies:
            self._transport.write(b"".join(replies))
        if quits:
            self._transport.close()


async def _serve(pem: str) -> None:
    context = None
    if pem:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Session, "127.0.0.1", 0, ssl=context, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    await server.serve_forever()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - not for the parent
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop


@contextlib.contextmanager
def tls_sink(pem: Path | None) -> Iterator[int]:
    """Run a sink; yield its port.

    Args:
        pem: Key and certificate chain in one file; None for no TLS.
    """
    # What is measured is the program, not its server.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    words = [sys.executable, __file__, str(pem or "")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    told = process.stdout.readline()
    try:
        assert told, "the sink has not started"
        yield int(told)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_loop_factory()) as _runner:
        _runner.run(_serve(sys.argv[1]))

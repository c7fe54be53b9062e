"""A network with a round trip, on loopback: a TCP proxy that holds every byte for half of it, each way.

It delays and does not throttle: each chunk goes on at its own due time, however many are on their way. Opening a
connection takes as long as over a real path: the server hears of it one and a half round trips after the client's
``connect()``, which is when the client's own acknowledgement would be there, so that a greeting arrives after two.

A process of its own, one event loop on ``select()``, whose time-outs are of microseconds: those of ``epoll`` are of a
millisecond, a fifth of a delay of 5 ms. It costs 50 µs of processor time for a message of 5 KB whose envelope is
pipelined, twice that with a delay, so about 20,000 and 10,000 a second on a core that it has to itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import subprocess
import sys
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes on their way, of one direction of one connection, at which nothing more is read: 640 MB/s at 25 ms.
WINDOW_BYTES = 16 * 1024 * 1024
#: Seconds for the process to end.
END_S = 5.0


class _End(asyncio.Protocol):
    """One of the two connections of a path; writes what the other one has read, when it is due.

    Args:
        loop: Whose time counts.
        delay_s: One way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        self._loop = loop
        self._delay_s = delay_s
        self._transport: asyncio.Transport | None = None
        #: Due times and what is due then; None is the end.
        self._held: deque[tuple[float, bytes | None]] = deque()
        self._held_bytes = 0
        self._is_waiting = False
        self._is_full = False
        self._has_written_end = False
        self._has_read_end = False
        self._is_cut = False
        self.other: _End = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._is_cut:
            transport.abort()
        self._deliver()

    def data_received(self, data: bytes) -> None:
        self.other.hold(data)

    def eof_received(self) -> bool:
        self._has_read_end = True
        self.other.hold(None)
        # True keeps this one open for what still comes the other way.
        return not self._has_written_end

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_full = True
        if exc is not None:
            self._loop.call_later(self._delay_s, self.other.abort)

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._deliver()

    def abort(self) -> None:
        """Cut the connection, also one that is still to be made."""
        self._is_cut = True
        if self._transport is not None:
            self._transport.abort()

    def hold(self, data: bytes | None) -> None:
        """Write this when it is due."""
        self._held.append((self._loop.time() + self._delay_s, data))
        self._held_bytes += len(data or b"")
        if self._held_bytes > WINDOW_BYTES and self.other._transport is not None:
            self.other._transport.pause_reading()
        if not self._delay_s:
            self._deliver()
        elif not self._is_waiting:
            self._is_waiting = True
            self._loop.call_later(self._delay_s, self._deliver_due)

    def _deliver_due(self) -> None:
        self._is_waiting = False
        self._deliver()

    def _deliver(self) -> None:
        held, transport, now = self._held, self._transport, self._loop.time()
        if transport is None:
            return
        while held and held[0][0] <= now and not self._is_full:
            data = held.popleft()[1]
            if data is None:
                self._end(transport)
            else:
                self._held_bytes -= len(data)
                transport.write(data)
        if self._held_bytes <= WINDOW_BYTES // 2 and self.other._transport is not None:
            self.other._transport.resume_reading()
        if held and not self._is_waiting and not self._is_full:
            self._is_waiting = True
            self._loop.call_at(held[0][0], self._deliver_due)

    def _end(self, transport: asyncio.Transport) -> None:
        self._has_written_end = True
        if self._has_read_end or transport.is_closing():
            transport.close()
            return
        try:
            transport.write_eof()
        except OSError:
            # Whoever was here has cut the connection by now.
            transport.abort()


class _Client(_End):
    """The client's connection; opens the one to the server.

    Args:
        loop: Whose time counts.
        delay_s: One way.
        target_port: The server's, on this machine.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, delay_s: float, target_port: int) -> None:
        super().__init__(loop, delay_s)
        self._target_port = target_port
        self._opening: asyncio.Task[None] | None = None
        self.other = _End(loop, delay_s)
        self.other.other = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opening = self._loop.create_task(self._open())

    async def _open(self) -> None:
        await asyncio.sleep(3 * self._delay_s)
        try:
            await self._loop.create_connection(lambda: self.other, "127.0.0.1", self._target_port)
        except OSError:
            self.abort()


async def _serve(target_port: int, delay_s: float) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Client(loop, delay_s, target_port), "127.0.0.1", 0, backlog=200)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - the parent reads it
    await server.serve_forever()


@contextlib.contextmanager
def delay_proxy(target_port: int, one_way_ms: float) -> Iterator[int]:
    """Run a proxy to a port of this machine; yield its own port.

    Args:
        target_port: Where bytes go on to.
        one_way_ms: Half of a round trip.
    """
    # What is measured is the program, not its path.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    words = [sys.executable, __file__, str(target_port), str(one_way_ms / 1000)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    told = process.stdout.readline()
    try:
        assert told, "the proxy has not started"
        yield int(told)
    finally:
        process.terminate()
        try:
            process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    with (
        contextlib.suppress(KeyboardInterrupt),
        asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner,
    ):
        runner.run(_serve(int(sys.argv[1]), float(sys.argv[2])))

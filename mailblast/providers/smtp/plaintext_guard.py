"""STARTTLS without injected commands (RFC 3207 section 4.2)."""

from __future__ import annotations

import asyncio


class PlaintextGuard(asyncio.Protocol):
    """Stands in front of aiosmtplib's protocol while STARTTLS is answered, and cuts a connection that says more.

    What follows the reply in clear cannot come from a server that waits for the handshake (RFC 3207 section 4.2).
    """

    def __init__(self, inner: asyncio.Protocol, transport: asyncio.Transport) -> None:
        self._inner = inner
        self._transport = transport
        self._received = b""
        self.injected = False

    def data_received(self, data: bytes) -> None:
        """Pass on the reply, once it is certain that nothing follows it."""
        self._received = (self._received + data)[-10_000:]
        lines = self._received.split(b"\n")
        complete = next((number for number, line in enumerate(lines[:-1]) if line[3:4] != b"-"), None)
        if complete is not None and any(lines[complete + 1 :]):
            self.injected = True
            self._transport.abort()
        else:
            self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass it on."""
        return self._inner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass it on."""
        self._inner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Pass it on."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on."""
        self._inner.resume_writing()

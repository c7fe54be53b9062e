"""An SMTP server that does as it is told, fault by fault, and keeps every byte.

A fault is chosen by the server's ``Script``, or by the recipient's local part, ``FAULT-at-VERB`` with anything after a
plus sign: ``550-at-rcpt+7@example.com``, ``close-at-dot@example.com``. Faults are a reply code, ``close``, ``reset``,
``silent``, ``garbage`` and ``extra`` (the usual reply twice); verbs are ``rcpt``, ``data``, ``body`` (after the first
bytes of the body) and ``dot``; a script's ``faults`` also take ``connect``, ``ehlo``, ``starttls``, ``auth``, ``mail``,
``rset`` and ``quit``.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

FAULT = re.compile(r"(?P<fault>[a-z]+|\d{3})-at-(?P<verb>rcpt|data|body|dot)(?:\+.*)?@")
USUAL = {
    "connect": b"220 scripted.example ESMTP\r\n",
    "starttls": b"220 2.0.0 Go ahead\r\n",
    "mail": b"250 2.1.0 Ok\r\n",
    "rcpt": b"250 2.1.5 Ok\r\n",
    "data": b"354 End data with <CR><LF>.<CR><LF>\r\n",
    "rset": b"250 2.0.0 Ok\r\n",
    "quit": b"221 2.0.0 Bye\r\n",
}


@dataclass
class Script:
    """What a server offers, and what it does wrong."""

    extensions: tuple[str, ...] = ("PIPELINING", "SIZE 52428800", "SMTPUTF8", "8BITMIME")
    #: EHLO after STARTTLS; None is as before.
    extensions_after_tls: tuple[str, ...] | None = None
    #: Verb to fault, or to the whole reply as bytes; for every connection.
    faults: dict[str, str | bytes] = field(default_factory=dict)
    #: Faults end after so many connections; None is never.
    faulty_connections: int | None = None
    #: Wait before the reply to a verb.
    delays_s: dict[str, float] = field(default_factory=dict)
    #: ``bytes``: one byte a packet; ``crlf``: a packet ends between CR and LF; ``lines``: each reply has three lines.
    split: str = ""
    #: 421 to MAIL after so many messages on a connection.
    messages_per_connection: int | None = None
    #: 421 in place of the greeting while so many connections are open.
    connections: int | None = None
    #: Names and passwords; login is then needed for MAIL.
    users: dict[str, str] = field(default_factory=dict)
    #: Names and access tokens that are taken by AUTH XOAUTH2; login is then needed for MAIL.
    tokens: dict[str, set[str]] = field(default_factory=dict)
    #: 432 to MAIL while more connections than this are open, as Microsoft says it.
    sessions: int | None = None
    #: Context for STARTTLS, or from the first byte where ``implicit_tls`` is set.
    tls: ssl.SSLContext | None = None
    implicit_tls: bool = False
    #: Sent in clear in one packet with the reply to STARTTLS.
    injected: bytes = b""
    #: Smallest buffers the system gives.
    tiny_buffers: bool = False


class Received(NamedTuple):
    """A message that was complete here."""

    connection: int
    #: The whole commands.
    mail: str
    rcpts: tuple[str, ...]
    #: Without stuffed dots.
    content: bytes


class _HangUpError(Exception):
    """The script ends this connection."""


class ScriptedSmtp:
    """The server; use with ``async with`` in a running loop, or ``run_in_thread()``."""

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        self.script = script or Script()
        #: Given before the start, or chosen by the system.
        self.port = port
        self.messages: list[Received] = []
        #: Every packet: connection number, ``C`` or ``S``, bytes. In clear also where the wire is encrypted.
        self.wire: list[tuple[int, str, bytes]] = []
        self.connections = 0
        self.open_connections = 0
        self.most_connections = 0
        #: Called with the RCPT command when the first byte of a body is here.
        self.on_body: Callable[[str], None] = lambda _rcpt: None
        self._server: asyncio.Server | None = None
        self._handlers: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._connected = asyncio.Event()

    @property
    def dsn(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    @property
    def client_bytes(self) -> bytes:
        """Everything that clients have said."""
        return b"".join(data for _, side, data in self.wire if side == "C")

    async def until_connected(self) -> None:
        """Wait for the first connection; in the server's own loop only."""
        await self._connected.wait()

    async def until_arrived(self, count: int) -> None:
        """Wait until so many messages were complete here; in the server's own loop only."""
        while len(self.messages) < count:
            self._arrived.clear()
            await self._arrived.wait()

    def accepted_rcpts(self) -> list[str]:
        """Forward paths of all complete messages, without brackets."""
        return [message.rcpts[0][len("RCPT TO:<") : -1] for message in self.messages]

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", self.port))
        if self.script.tiny_buffers:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2048)
        tls = self.script.tls if self.script.implicit_tls else None
        self._server = await asyncio.start_server(self._accepted, sock=listening, ssl=tls, limit=2**20)
        self.port = listening.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for handler in list(self._handlers):
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)
        # On 3.12 it waits for connections too, and all are gone.
        await self._server.wait_closed()

    @contextlib.contextmanager
    def run_in_thread(self) -> Iterator[Self]:
        """Serve from a loop of its own, for clients that are other processes or block."""
        ready = threading.Event()
        stop: list[Callable[[], object]] = []

        async def serve() -> None:
            stopping = asyncio.Event()
            loop = asyncio.get_running_loop()
            async with self:
                stop.append(lambda: loop.call_soon_threadsafe(stopping.set))
                ready.set()
                await stopping.wait()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        assert ready.wait(10)
        try:
            yield self
        finally:
            stop[0]()
            thread.join(10)
            assert not thread.is_alive()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        # Replies leave at once, as from real servers; asyncio sets this only for sockets it has opened itself.
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connections += 1
        self._connected.set()
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            await _Conversation(self, reader, writer, self.connections).hold()
        except (_HangUpError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        except asyncio.CancelledError:
            # The server ends; streams of 3.11 would report a handler that ends as cancelled.
            pass
        finally:
            self.open_connections -= 1
            self._handlers.discard(task)
            await _close(writer)


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close politely, but not for longer than a client that has gone away is worth."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(writer.wait_closed(), 0.1)
    writer.transport.abort()


class _Conversation:
    """One connection."""

    def __init__(
        self, server: ScriptedSmtp, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        self._server = server
        self._script = server.script
        self._reader = reader
        self._writer = writer
        self._number = number
        self._is_encrypted = server.script.implicit_tls
        self._is_logged_in = False
        self._taken = 0
        self._mail = ""
        self._rcpts: list[str] = []

    async def hold(self) -> None:
        script = self._script
        if script.connections is not None and self._server.open_connections > script.connections:
            await self._send(b"421 4.7.0 Too many connections from you\r\n")
            return
        await self._answer("connect", USUAL["connect"])
        while True:
            line = await self._line()
            verb = line.rstrip(b"\r\n").split(b" ", 1)[0].split(b":", 1)[0].upper().decode("ascii", "replace")
            command = getattr(self, f"_on_{verb.lower()}", None)
            if command is None:
                await self._send(b"500 5.5.2 What?\r\n")
            else:
                await command(line.rstrip(b"\r\n").decode("utf-8", "replace"))

    async def _on_ehlo(self, _: str) -> None:
        script = self._script
        extensions = script.extensions
        if self._is_encrypted and script.extensions_after_tls is not None:
            extensions = script.extensions_after_tls
        if script.tls is not None and not self._is_encrypted:
            extensions += ("STARTTLS",)
        if script.users:
            extensions += ("AUTH PLAIN LOGIN",)
        if script.tokens:
            extensions += ("AUTH XOAUTH2",)
        lines = ["scripted.example", *extensions]
        marks = ["-"] * (len(lines) - 1) + [" "]
        usual = "".join(f"250{mark}{line}\r\n" for mark, line in zip(marks, lines, strict=True))
        await self._answer("ehlo", usual.encode())

    async def _on_helo(self, _: str) -> None:
        await self._send(b"250 scripted.example\r\n")

    async def _on_starttls(self, _: str) -> None:
        tls = self._script.tls
        await self._answer("starttls", USUAL["starttls"] + self._script.injected)
        if tls is None:
            # A server that offers what it cannot do.
            raise _HangUpError
        await self._writer.start_tls(tls)
        self._is_encrypted = True

    async def _on_auth(self, command: str) -> None:
        method, _, initial = command[len("AUTH ") :].partition(" ")
        if method.upper() == "XOAUTH2":
            await self._on_xoauth2(initial)
            return
        if method.upper() == "PLAIN":
            _, user, password = base64.b64decode(initial).decode().split("\0")
        else:
            user = await self._ask(b"334 VXNlcm5hbWU6\r\n")
            password = await self._ask(b"334 UGFzc3dvcmQ6\r\n")
        self._is_logged_in = self._script.users.get(user) == password
        usual = b"235 2.7.0 Welcome\r\n" if self._is_logged_in else b"535 5.7.8 Wrong name or password\r\n"
        await self._answer("auth", usual)

    async def _on_xoauth2(self, initial: str) -> None:
        """As developers.google.com/workspace/gmail/imap/xoauth2-protocol has it."""
        user, bearer, *_ = base64.b64decode(initial).decode().split("\x01")
        token = bearer.removeprefix("auth=Bearer ")
        self._is_logged_in = token in self._script.tokens.get(user.removeprefix("user="), set())
        if not self._is_logged_in:
            await self._send(b"334 " + base64.b64encode(b'{"status":"400","schemes":"Bearer"}') + b"\r\n")
            if await self._line() != b"\r\n":
                await self._send(b"501 5.5.2 An empty line was due\r\n")
                return
        refusal = b"535 5.7.8 Username and Password not accepted\r\n"
        await self._answer("auth", b"235 2.7.0 Accepted\r\n" if self._is_logged_in else refusal)

    async def _ask(self, question: bytes) -> str:
        await self._send(question)
        return base64.b64decode(await self._line()).decode()

    async def _on_mail(self, command: str) -> None:
        limit = self._script.messages_per_connection
        needs_login = self._script.users or self._script.tokens
        if needs_login and not self._is_logged_in:
            await self._send(b"530 5.7.0 Authentication required\r\n")
        elif limit is not None and self._taken >= limit:
            await self._send(b"421 4.7.0 Too many messages on this connection\r\n")
            raise _HangUpError
        elif self._script.sessions is not None and self._server.open_connections > self._script.sessions:
            await self._send(b"432 4.3.2 Concurrent connections limit exceeded\r\n")
        elif self._mail:
            await self._send(b"503 5.5.1 Nested MAIL\r\n")
        elif await self._answer("mail", USUAL["mail"]):
            self._mail = command

    async def _on_rcpt(self, command: str) -> None:
        if not self._mail:
            await self._send(b"503 5.5.1 No MAIL\r\n")
        elif await self._answer("rcpt", USUAL["rcpt"], command):
            self._rcpts.append(command)

    async def _on_data(self, _: str) -> None:
        rcpt = self._rcpts[0] if self._rcpts else ""
        if not self._rcpts and "data" not in self._script.faults:
            await self._send(b"554 5.5.1 No valid recipients\r\n")
        elif await self._answer("data", USUAL["data"], rcpt):
            content = await self._content(rcpt)
            usual = b"250 2.0.0 Ok: queued as %d-%d\r\n" % (self._number, self._taken + 1)
            if not self._rcpts:
                await self._send(b"554 5.5.1 No valid recipients\r\n")
            else:
                # What is complete counts as taken, even where its reply is lost: that is what makes doubt.
                self._taken += 1
                taken = Received(self._number, self._mail, tuple(self._rcpts), content)
                if not self._refuses("dot", rcpt):
                    self._server.messages.append(taken)
                    self._server._arrived.set()
                await self._answer("dot", usual, rcpt)
            self._mail = ""
            self._rcpts.clear()

    async def _on_rset(self, _: str) -> None:
        self._mail = ""
        self._rcpts.clear()
        await self._answer("rset", USUAL["rset"])

    async def _on_quit(self, _: str) -> None:
        await self._answer("quit", USUAL["quit"])
        raise _HangUpError

    async def _content(self, rcpt: str) -> bytes:
        lines: list[bytes] = []
        while (line := await self._line()) != b".\r\n":
            if not lines:
                self._server.on_body(rcpt)
                if self._fault("body", rcpt):
                    await self._answer("body", b"", rcpt)
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    def _fault(self, verb: str, rcpt: str = "") -> str | bytes:
        named = FAULT.search(rcpt)
        if named and named["verb"] == verb:
            return named["fault"]
        last = self._script.faulty_connections
        if last is not None and self._number > last:
            return ""
        return self._script.faults.get(verb, "")

    def _refuses(self, verb: str, rcpt: str) -> bool:
        fault = self._fault(verb, rcpt)
        text = fault.decode("ascii", "replace") if isinstance(fault, bytes) else fault
        return text[:1] in {"4", "5"}

    async def _answer(self, verb: str, usual: bytes, rcpt: str = "") -> bool:
        """Do what the script says for a verb; return whether the verb succeeded."""
        fault = self._fault(verb, rcpt)
        await asyncio.sleep(self._script.delays_s.get(verb, 0.0))
        if isinstance(fault, bytes):
            usual = fault
        elif fault.isdigit():
            usual = f"{fault} {fault[0]}.0.0 Scripted for {verb}\r\n".encode()
        elif fault == "close":
            raise _HangUpError
        elif fault == "reset":
            linger = struct.pack("ii", 1, 0)
            self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._writer.transport.abort()
            raise _HangUpError
        elif fault == "silent":
            await asyncio.sleep(3600)
        elif fault == "garbage":
            usual = b"\x00\xffno reply at all\r\n"
        elif fault == "extra":
            usual += usual
        await self._send(usual)
        if usual.startswith(b"421"):
            raise _HangUpError
        return usual[:1] in {b"2", b"3"}

    async def _line(self) -> bytes:
        line = await self._reader.readuntil(b"\n")
        self._server.wire.append((self._number, "C", line))
        return line

    async def _send(self, data: bytes) -> None:
        self._server.wire.append((self._number, "S", data))
        if self._script.split == "lines":
            data = (
                b"".join(
                    line[:3] + b"-and\r\n" + line[:3] + b"-further\r\n" + line
                    for line in data.splitlines(keepends=True)
                    if line[3:4] == b" "
                )
                if data[:3] != b"250" or data[3:4] == b" "
                else data
            )
        if self._script.split == "bytes":
            pieces = [data[index : index + 1] for index in range(len(data))]
        elif self._script.split == "crlf":
            pieces = [piece for line in data.splitlines(keepends=True) for piece in (line[:-1], line[-1:])]
        else:
            pieces = [data]
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            if len(pieces) > 1:
                # Small packets leave one by one, for Nagle is off.
                await asyncio.sleep(0)

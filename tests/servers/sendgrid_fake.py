"""A SendGrid that is as strict as the real one says it is, in a thread, or by itself: ``python sendgrid_fake.py``.

Keeps each mail as its recipient would get it. What it accepts is held against Twilio's OpenAPI file where there is one.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from servers.sendgrid_rules import MAX_BYTES, error, mail_validator, refusals, specs_folder, substituted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEY = "SG.test-key"
SCOPES = ["mail.send", "mail.batch.create", "user.scheduled_sends.create", "suppression.read"]


class Mail(NamedTuple):
    """One mail as its recipient would get it."""

    address: str
    name: str
    sender: str
    subject: str
    text: str | None
    html: str | None
    headers: dict[str, str]
    custom_args: dict[str, str]
    attachments: list[dict[str, str]]
    send_at: int | None
    batch_id: str | None
    arrived_s: float
    #: Number of the request that it came in, from 0.
    request: int


class Misdeed(NamedTuple):
    """What is done with one request instead of what is right."""

    #: Answered with this status and body; 0 does what is right.
    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    #: Waits first.
    delay_s: float = 0.0
    #: Does what is right and closes the connection without an answer.
    lose_answer: bool = False
    #: Resets the connection before the body is read.
    reset_early: bool = False


def errors(*messages: str) -> bytes:
    """Return an error document without fields."""
    return json.dumps({"errors": [error(message) for message in messages]}).encode()


class SendgridFake:
    """State and rules; the HTTP is in ``Handler``."""

    def __init__(self, *, keep: bool = True, check_schema: bool = True) -> None:
        self.lock = threading.Lock()
        self.mails: list[Mail] = []
        self.accepted = 0
        #: Bodies of ``POST /v3/mail/send`` that were read whole, whatever became of them.
        self.documents: list[dict[str, Any]] = []
        self.schema_errors: list[str] = []
        self.batches: set[str] = set()
        self.batch_due: dict[str, int] = {}
        self.scheduled: dict[str, str] = {}
        #: Answered instead of the list of what is called off.
        self.listed: bytes | None = None
        self.scopes: list[str] = list(SCOPES)
        self.credits: dict[str, Any] | None = {"remain": 99_000, "total": 100_000, "next_reset": "2030-01-01"}
        self.domains: list[dict[str, Any]] | None = [{"domain": "example.org", "valid": True}]
        self.senders: list[dict[str, Any]] | None = []
        self.suppressions: dict[str, list[dict[str, Any]]] = {}
        #: Status and body that are answered instead, by path below /v3/, such as ``scopes``.
        self.broken: dict[str, tuple[int, bytes]] = {}
        #: Requests in a window of this many seconds.
        self.rate: tuple[int, float] | None = None
        self._window: tuple[float, int] = (0.0, 0)
        #: Asked about each request of mails, with its number from 0 and its body; may give a misdeed.
        self.misdeed: Callable[[int, dict[str, Any]], Misdeed | None] = lambda _number, _document: None
        #: Asked with the number alone, before the body is read.
        self.early: Callable[[int], Misdeed | None] = lambda _number: None
        self.requests = 0
        #: Set when the body of one has been read.
        self.arrived = threading.Event()
        self.in_flight = 0
        self.most_in_flight = 0
        self._keep = keep
        self._specs = specs_folder() if check_schema else None
        self.port = 0

    def send(self, number: int, document: Any) -> tuple[int, dict[str, str], bytes]:
        """Answer one request of mails."""
        now_s = time.time()
        with self.lock:
            limited = self._limited(now_s)
            if limited is not None:
                return limited
            found = refusals(document, now_s=now_s, batches=self.batches)
            if found:
                return 400, {}, json.dumps({"errors": found}).encode()
            if self._specs is not None:
                self.schema_errors += [each.message for each in mail_validator(self._specs).iter_errors(document)]
            sandbox = document.get("mail_settings", {}).get("sandbox_mode", {}).get("enable", False)
            if sandbox:
                return 200, {}, b""
            self._store(number, document, now_s)
        headers = {"X-Message-Id": f"fake-{number}"}
        if self.rate is not None:
            headers |= self._rate_headers()
        return 202, headers, b""

    def _limited(self, now_s: float) -> tuple[int, dict[str, str], bytes] | None:
        if self.rate is None:
            return None
        limit, seconds = self.rate
        start_s, used = self._window
        if now_s - start_s >= seconds:
            start_s, used = now_s, 0
        self._window = start_s, used + 1
        return (429, self._rate_headers(), errors("too many requests")) if used >= limit else None

    def _rate_headers(self) -> dict[str, str]:
        assert self.rate is not None
        limit, seconds = self.rate
        start_s, used = self._window
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(max(limit - used, 0)),
            "X-RateLimit-Reset": str(int(start_s + seconds) + 1),
        }

    def _store(self, number: int, document: dict[str, Any], now_s: float) -> None:
        people = document["personalizations"]
        self.accepted += len(people)
        if document.get("batch_id") and document.get("send_at"):
            self.batch_due[document["batch_id"]] = document["send_at"]
        if not self._keep:
            return
        for one in people:
            subject, contents = substituted(document, one)
            self.mails.append(
                Mail(
                    one["to"][0]["email"],
                    one["to"][0].get("name", ""),
                    document["from"]["email"],
                    subject,
                    contents.get("text/plain"),
                    contents.get("text/html"),
                    {**document.get("headers", {}), **one.get("headers", {})},
                    one.get("custom_args", {}),
                    document.get("attachments", []),
                    document.get("send_at"),
                    document.get("batch_id"),
                    now_s,
                    number,
                )
            )

    def call_off(self, method: str, batch_id: str, status: object) -> tuple[int, Any]:  # noqa: PLR0911 - a table
        """Answer about scheduled sends."""
        due_s = self.batch_due.get(batch_id)
        if method == "DELETE":
            return (204, None) if self.scheduled.pop(batch_id, None) else (404, {"errors": [error("not found")]})
        if status not in {"cancel", "pause"}:
            return 400, {"errors": [error("status must be cancel or pause", "status")]}
        if method == "PATCH":
            if batch_id not in self.scheduled:
                return 404, {"errors": [error("not found")]}
            self.scheduled[batch_id] = str(status)
            return 204, None
        if batch_id not in self.batches:
            return 400, {"errors": [error("invalid batch id", "batch_id")]}
        if batch_id in self.scheduled:
            return 400, {"errors": [error("a status for this batch id exists, try PATCH to update the status")]}
        if len(self.scheduled) >= 10:
            return 400, {"errors": [error("no more than 10 batches may be cancelled or paused at once")]}
        if due_s is not None and due_s - time.time() < 600:
            return 400, {"errors": [error("scheduled sends must be cancelled 10 minutes ahead")]}
        self.scheduled[batch_id] = str(status)
        return 201, {"batch_id": batch_id, "status": status}

    def look_up(self, path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        """Answer a GET."""
        if path == "scopes":
            return 200, {"scopes": self.scopes}
        if path == "user/credits" and self.credits is not None:
            return 200, self.credits
        if path == "verified_senders" and self.senders is not None:
            return 200, {"results": self.senders}
        if path == "user/scheduled_sends":
            return 200, [{"batch_id": name, "status": status} for name, status in self.scheduled.items()]
        rows = (
            self.domains
            if path == "whitelabel/domains"
            else self.suppressions.get(path.removeprefix("suppression/"), [])
        )
        if rows is not None and path.startswith(("whitelabel/domains", "suppression/")):
            limit, offset = (int(query.get(name, [default])[0]) for name, default in (("limit", "50"), ("offset", "0")))
            return 200, rows[offset : offset + min(limit, 500)]
        return 403, {"errors": [error("access forbidden")]}


class Handler(BaseHTTPRequestHandler):
    """HTTP; ``fake`` is set by ``serving()``."""

    fake: SendgridFake
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        if self.path == "/v3/mail/send" and self._is_known():
            self._send()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if not self._is_known():
            return
        path = self.path.removeprefix("/v3/")
        if path in self.fake.broken:
            self._answer(self.fake.broken[path][0], {}, self.fake.broken[path][1])
        elif path == "mail/batch":
            batch_id = secrets.token_urlsafe(24)
            self.fake.batches.add(batch_id)
            self._answer(201, {}, json.dumps({"batch_id": batch_id}).encode())
        else:
            self._call_off("POST", json.loads(body))

    def do_PATCH(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        self._call_off("PATCH", {**body, "batch_id": self.path.rpartition("/")[2]})

    def do_DELETE(self) -> None:
        self._call_off("DELETE", {"batch_id": self.path.rpartition("/")[2]})

    def do_GET(self) -> None:
        if not self._is_known():
            return
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/v3/")
        if parts.path == "/_fake/accepted":
            self._answer(200, {}, json.dumps(self.fake.accepted).encode())
        elif path in self.fake.broken:
            self._answer(self.fake.broken[path][0], {}, self.fake.broken[path][1])
        elif path == "user/scheduled_sends" and self.fake.listed is not None:
            self._answer(200, {}, self.fake.listed)
        else:
            status, document = self.fake.look_up(path, parse_qs(parts.query))
            self._answer(status, {}, json.dumps(document).encode())

    def _call_off(self, method: str, document: dict[str, Any]) -> None:
        if self._is_known():
            status, answer = self.fake.call_off(method, str(document.get("batch_id")), document.get("status"))
            self._answer(status, {}, b"" if answer is None else json.dumps(answer).encode())

    def _is_known(self) -> bool:
        if self.headers.get("Authorization") == f"Bearer {KEY}":
            return True
        self._answer(401, {}, errors("The provided authorization grant is invalid, expired, or revoked"))
        return False

    def _send(self) -> None:
        fake = self.fake
        with fake.lock:
            number = fake.requests
            fake.requests += 1
            fake.in_flight += 1
            fake.most_in_flight = max(fake.most_in_flight, fake.in_flight)
        try:
            self._send_numbered(number)
        finally:
            with fake.lock:
                fake.in_flight -= 1

    def _send_numbered(self, number: int) -> None:
        early = self.fake.early(number)
        if early is not None and early.reset_early:
            self._reset()
            return
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        if size > MAX_BYTES:
            self._answer(413, {}, errors("content too large"))
            return
        try:
            document = json.loads(body)
        except ValueError:
            self._answer(400, {}, errors("Bad Request"))
            return
        with self.fake.lock:
            self.fake.documents.append(document)
        self.fake.arrived.set()
        misdeed = self.fake.misdeed(number, document) or Misdeed()
        if misdeed.delay_s:
            time.sleep(misdeed.delay_s)
        if misdeed.status:
            self._answer(misdeed.status, dict(misdeed.headers), misdeed.body)
            return
        status, headers, answer = self.fake.send(number, document)
        if misdeed.lose_answer:
            self._reset()
            return
        self._answer(status, {**headers, **dict(misdeed.headers)}, answer)

    def _reset(self) -> None:
        """Close so that the other side gets a reset, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()
        self.rfile.close()

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        # Whoever asked may be gone.
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *words: Any) -> None:  # noqa: A002 - its name upstream
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Takes many connections at once, and keeps quiet about those that break."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def serving(fake: SendgridFake, context: Any = None) -> Iterator[SendgridFake]:
    """Serve on a free port in a thread; on TLS with a context."""
    server = Server(("127.0.0.1", 0), type("BoundHandler", (Handler,), {"fake": fake}))
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
    assert fake.schema_errors == []


def main() -> None:
    """Serve until stdin is closed; the first line of stdout is the port."""
    import sys  # noqa: PLC0415 - of the process alone

    with serving(SendgridFake(keep=False, check_schema=False)) as fake:
        print(fake.port, flush=True)  # noqa: T201 - for whoever started it
        sys.stdin.read()


if __name__ == "__main__":
    main()

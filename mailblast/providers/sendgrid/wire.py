"""The sendgrid package behind a small seam: one call in, one answer or one failure with its phase out.

The package brings hosts, headers, verbs and errors. What it lacks is put under it here: time-outs, one TLS context for
all calls, a connection that knows how far its request has got, no redirects (they would carry the key elsewhere), and
a way to break a call off. It opens a connection for each request and sends ``Connection: close``; that stays, for a
kept connection that has gone stale would put a whole request in doubt.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import logging
import socket
import ssl
import threading
import urllib.request
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast
from urllib.error import URLError

from python_http_client.client import Client, Response
from python_http_client.exceptions import HTTPError
from sendgrid import SendGridAPIClient

from mailblast.providers.sendgrid.answers import Answer, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.providers.sendgrid.settings import SendgridSettings

#: It logs headers, and so the key, at its lowest level.
logging.getLogger("python_http_client.client").setLevel(logging.INFO)

#: How long a call that is broken off may take to notice.
ABORT_S = 2.0


class Phase(IntEnum):
    """How far a request has got."""

    #: Before a connection, TLS included, was there.
    CONNECTING = 0
    #: Not all of it was handed to the system: it cannot have arrived whole.
    WRITING = 1
    #: All of it was.
    WRITTEN = 2


class Failure(NamedTuple):
    """A call that ended without an answer."""

    phase: Phase
    reason: str


Result: TypeAlias = Answer | Failure


class Call:
    """One call under way: its phase, and the means to break it off. Shared by the loop and the call's thread."""

    def __init__(self) -> None:
        self.phase = Phase.CONNECTING
        #: Set where the call ended at the moment when nobody waited for it any more.
        self.result: Result | None = None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._aborted = False

    def connected(self, sock: socket.socket) -> None:
        """Note the connection."""
        with self._lock:
            self._socket = sock
            self.phase = Phase.WRITING

    def may_write(self) -> None:
        """Raise ``OSError`` where the call was broken off; asked before each piece leaves."""
        with self._lock:
            if self._aborted:
                raise ConnectionAbortedError("broken off")

    def written(self) -> None:
        """Note that the whole request was handed to the system."""
        with self._lock:
            self.phase = Phase.WRITTEN

    def abort(self) -> None:
        """Break the call off: nothing more is written, and the wait for the answer ends."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                with contextlib.suppress(OSError):
                    # The one below TLS: that of TLS would let its thread go on in the clear.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


class _Tracked(http.client.HTTPConnection):
    """A connection that tells its call how far it is."""

    call: Call

    def connect(self) -> None:
        super().connect()
        self.call.connected(self.sock)

    def send(self, data: Any) -> None:
        self.call.may_write()
        super().send(data)

    def request(self, *words: Any, **options: Any) -> None:
        try:
            super().request(*words, **options)
        except (BrokenPipeError, ConnectionResetError):
            # The server may have answered before it had all of it, such as 413; reading says whether.
            if self.call.phase is Phase.CONNECTING:
                raise
        else:
            self.call.written()


class _TrackedTls(_Tracked, http.client.HTTPSConnection):
    """The same over TLS."""


class _Handler(urllib.request.AbstractHTTPHandler):
    """Opens tracked connections for one call."""

    def __init__(self, call: Call, context: ssl.SSLContext | None) -> None:
        super().__init__()
        self._call = call
        self._context = context

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(cast("Any", self._plain), request)

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(cast("Any", self._tls), request, context=self._context)

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        return self.do_request_(request)

    https_request = http_request

    def _plain(self, host: str, **options: Any) -> _Tracked:
        connection = _Tracked(host, **options)
        connection.call = self._call
        return connection

    def _tls(self, host: str, **options: Any) -> _TrackedTls:
        connection = _TrackedTls(host, **options)
        connection.call = self._call
        return connection


class _Verbs(Client):  # type: ignore[misc]  # the package has no types
    """The package's client for one call, with our connections under its verbs.

    Its own verbs make a new TLS context for each call and write the whole request into a log line that nobody reads.
    """

    opener: urllib.request.OpenerDirector

    def _build_client(self, name: str | None = None) -> _Verbs:
        client = _Verbs(
            self.host, self.request_headers, self._version, [*self._url_path, name] if name else self._url_path
        )
        client.timeout = self.timeout
        client.opener = self.opener
        return client

    def ask(self, method: str, body: bytes | None, query: Mapping[str, str] | None) -> Answer:
        headers = {**self.request_headers, "Content-Type": "application/json"} if body else self.request_headers
        request = urllib.request.Request(self._build_url(query), body, headers, method=method)  # noqa: S310 - our own address
        try:
            response = Response(self._make_request(self.opener, request, timeout=self.timeout))
        except HTTPError as error:
            return Answer(error.status_code, _lowered(error.headers), bytes(error.body or b""))
        return Answer(response.status_code, _lowered(response.headers), bytes(response.body or b""))


class Wire:
    """The API of one account.

    Args:
        settings: Key, address and time-out.
    """

    def __init__(self, settings: SendgridSettings) -> None:
        package = SendGridAPIClient(settings.key.reveal())
        package.set_sendgrid_data_residency(settings.region)
        #: Where calls go, without a path.
        self.host: str = settings.endpoint or package.host
        self._headers: dict[str, str] = package.client.request_headers
        self._timeout_s = settings.timeout_s
        self._context = ssl.create_default_context() if self.host.startswith("https:") else None
        # A proxy of the environment is for what leaves the machine.
        self._proxies = {} if settings.on_loopback else urllib.request.getproxies()

    async def post(self, payload: bytes, call: Call) -> Result:
        """Send one request of mails; see ``ask()``."""
        return await self.ask("POST", "mail/send", payload, call=call)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        query: Mapping[str, str] | None = None,
        call: Call | None = None,
    ) -> Result:
        """Make one call in a thread of its own; return its answer, whatever the status, or how it failed.

        Cancelled, it breaks the call off and waits shortly, so that ``call.phase`` is right when this raises.

        Args:
            method: HTTP verb.
            path: Below ``/v3/``.
            body: JSON in UTF-8.
            query: Parameters of the address.
            call: Tells the phase.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Result] = loop.create_future()
        call = call or Call()

        def work() -> None:
            result, error = None, None
            try:
                result = self._ask(method, path, body, query, call)
            except Exception as defect:  # noqa: BLE001 - raised where the call is awaited
                error = defect
            # The loop may be gone: nobody waits any more.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, done, result, error)

        # Not a pool: its threads would hold up the end of the process for as long as a name is looked up.
        threading.Thread(target=work, name="sendgrid", daemon=True).start()
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            call.abort()
            await asyncio.wait({done}, timeout=ABORT_S)
            if done.done() and done.exception() is None:
                call.result = done.result()
            elif call.phase is Phase.WRITING:
                # Stuck in the last write: nobody knows.
                call.written()
            raise

    def _ask(self, method: str, path: str, body: bytes | None, query: Mapping[str, str] | None, call: Call) -> Result:
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(self._proxies),
            _Handler(call, self._context),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
        ):
            opener.add_handler(handler)
        client = _Verbs(self.host, self._headers, 3)
        client.timeout = self._timeout_s
        client.opener = opener
        try:
            answer: Answer = client._(path).ask(method, body, query)
        except URLError as error:
            return Failure(call.phase, _reason(error.reason))
        except (OSError, http.client.HTTPException) as error:
            return Failure(call.phase, _reason(error))
        return answer


def _settle(done: asyncio.Future[Result], result: Result | None, error: Exception | None) -> None:
    if error is not None:
        done.set_exception(error)
    else:
        assert result is not None
        done.set_result(result)


def _lowered(headers: Any) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return one_line(error.strerror)
    return one_line(str(error)) or type(error).__name__

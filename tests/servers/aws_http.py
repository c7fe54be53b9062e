"""HTTP as AWS services speak it: kept alive, signed, errors as status, ``x-amzn-ErrorType`` and ``message``."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from typing import Any, Protocol
from urllib.parse import parse_qsl

ACCESS_KEY, SECRET_KEY = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
REGION = "eu-west-1"
#: What a client of this server needs in its environment.
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_REGION": REGION}

ERRORS = {
    "TooManyRequestsException": 429, "MessageRejected": 400, "BadRequestException": 400, "NotFoundException": 404,
    "LimitExceededException": 400, "SendingPausedException": 400, "AccountSuspendedException": 400,
    "MailFromDomainNotVerifiedException": 400, "InternalServiceErrorException": 500, "ServiceUnavailable": 503,
    "AccessDeniedException": 403,
}  # fmt: skip
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/ses/aws4_request, "
    r"SignedHeaders=([^,]+), Signature=([0-9a-f]{64})"
)


class Refused(Exception):  # noqa: N818 - an answer, not a defect
    """An answer that is an error."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Gone(Exception):  # noqa: N818 - likewise
    """The connection is closed in place of an answer."""


class Manners(Protocol):
    """How connections behave."""

    #: Before each answer.
    delay_s: float
    #: Whether signatures are worked out again and compared.
    check_signatures: bool


class Service(Protocol):
    """What answers requests."""

    connections: int
    transports: set[asyncio.Transport]

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[dict[str, Any], bool]:
        """Return an answer, and whether it is lost on its way.

        Raises:
            Refused: The answer is an error.
            Gone: The connection is closed in place of an answer.
        """
        ...


class AwsHttp(asyncio.Protocol):
    """HTTP/1.1 with keep-alive, as much of it as SDKs speak."""

    def __init__(self, script: Manners, server: Service) -> None:
        self._script = script
        self._server = server
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections += 1
        self._server.transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            size = int(headers.get("content-length", 0))
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(self._buffer) < end + 4 + size:
                return
            body = self._buffer[end + 4 : end + 4 + size]
            self._buffer = self._buffer[end + 4 + size :]
            self._handle(lines[0], headers, body)

    def _handle(self, line: str, headers: dict[str, str], body: bytes) -> None:
        method, target, _ = line.split(" ")
        path, _, query = target.partition("?")
        try:
            if self._script.check_signatures:
                check_signature(method, path, query, headers, body)
            answer, lost = self._server.answer(method, path, dict(parse_qsl(query)), body)
        except Gone:
            self._transport.abort()
            return
        except Refused as refused:
            status, extra = ERRORS.get(refused.kind, 400), f"x-amzn-ErrorType: {refused.kind}\r\n"
            self._reply(status, {"message": str(refused)}, extra)
            return
        if lost:
            self._transport.abort()
            return
        self._reply(200, answer)

    def _reply(self, status: int, answer: dict[str, Any], extra: str = "") -> None:
        body = json.dumps(answer).encode()
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nx-amzn-RequestId: fake\r\n"
            f"{extra}Content-Length: {len(body)}\r\n\r\n"
        )
        delay_s = self._script.delay_s
        if delay_s:
            asyncio.get_running_loop().call_later(delay_s, self._transport.write, head.encode() + body)
        else:
            self._transport.write(head.encode() + body)


def check_signature(method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> None:
    """Work out the signature again (AWS Signature Version 4)."""
    match = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        raise Refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    key, day, region, names, signature = match.groups()
    if key != ACCESS_KEY:
        raise Refused("UnrecognizedClientException", "The security token included in the request is invalid.")
    signed = names.split(";")
    canonical = "\n".join(
        (
            method,
            "/".join(_quoted(part) for part in path.split("/")),
            "&".join(sorted(query.split("&"))) if query else "",
            *(f"{name}:{' '.join(headers[name].split())}" for name in signed),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{day}/{region}/ses/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    secret = f"AWS4{SECRET_KEY}".encode()
    for part in (day, region, "ses", "aws4_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    if not hmac.compare_digest(hmac.digest(secret, text.encode(), "sha256").hex(), signature):
        raise Refused("InvalidSignatureException", "The request signature we calculated does not match.")


def _quoted(part: str) -> str:
    return "".join(
        character if re.fullmatch(r"[A-Za-z0-9_.~-]", character) else f"%{ord(character):02X}" for character in part
    )

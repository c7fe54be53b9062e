"""A server that speaks the v2 API of Amazon SES as strictly as the real one, and does wrong what it is told to.

Shapes, names and limits are those of the service model (sesv2, 2019-09-27) and of the SES developer guide: signed
requests, 50 recipients, 1 MB and 262,144 characters in bulk, a rate and a quota that count recipients, one status for
each bulk entry. Everything accepted is kept with its time.

A recipient's local part may say what happens to it: ``status-FAILED+7@…`` is that entry's status in bulk,
``error-MessageRejected@…`` the answer to a message of its own, ``lost@…`` an answer that never leaves.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import re
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import unquote

from servers.aws_http import REGION, AwsHttp, Gone, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ENTRIES, MAX_BULK, MAX_DATA, MAX_HEADERS = 50, 1_000_000, 262_144, 15
STATUSES = {
    "SUCCESS", "MESSAGE_REJECTED", "MAIL_FROM_DOMAIN_NOT_VERIFIED", "CONFIGURATION_SET_NOT_FOUND",
    "TEMPLATE_NOT_FOUND", "ACCOUNT_SUSPENDED", "ACCOUNT_THROTTLED", "ACCOUNT_DAILY_QUOTA_EXCEEDED",
    "INVALID_SENDING_POOL_NAME", "ACCOUNT_SENDING_PAUSED", "CONFIGURATION_SET_SENDING_PAUSED", "INVALID_PARAMETER",
    "TRANSIENT_FAILURE", "FAILED",
}  # fmt: skip
NAMED = re.compile(r"(status|error)-([A-Za-z_]+)(?:\+|$)")
SLOT = re.compile(r"\{\{\{?([^{}]*)\}?\}\}")


class Sent(NamedTuple):
    """A message that was accepted for one recipient."""

    time_s: float
    #: ``raw`` or ``bulk``.
    kind: str
    sender: str
    recipient: str
    #: As in the call, with its name.
    to: str
    raw: bytes
    subject: str = ""
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    reply_to: tuple[str, ...] = ()
    configuration_set: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    message_id: str = ""


@dataclass
class Script:
    """The account, and what goes wrong."""

    #: Recipients a second that are taken; None for no limit. GetAccount tells 1,000,000 then.
    rate_per_s: float | None = None
    #: Recipients that the bucket holds; a whole second's by default.
    burst: float | None = None
    #: Recipients in 24 hours; -1 for no limit.
    quota: float = -1
    sent_before: int = 0
    production: bool = True
    sending: bool = True
    enforcement: str = "HEALTHY"
    plan: str = "ESSENTIALS"
    suppressed_reasons: tuple[str, ...] = ("BOUNCE", "COMPLAINT")
    #: Identity to whether it is verified; None takes every sender.
    identities: dict[str, bool] | None = None
    configuration_sets: tuple[str, ...] = ()
    #: Suppression list: address, reason, Unix seconds.
    suppressed: tuple[tuple[str, str, float], ...] = ()
    #: Before each answer.
    delay_s: float = 0.0
    #: Operation to the error and message of its next answers, used up from the front; ``lost`` and ``closed`` too.
    errors: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    #: Whether signatures are worked out again and compared.
    check_signatures: bool = True
    #: Statuses used up one by one for an entry's address, before it is taken.
    statuses: dict[str, list[str]] = field(default_factory=dict)


class SesFake:
    """The server; use with ``async with`` in a running loop, or ``run_in_thread()``."""

    def __init__(self, script: Script | None = None, *, port: int = 0) -> None:
        self.script = script or Script()
        self.port = port
        self.sent: list[Sent] = []
        #: Operation and number of recipients of each call, refused ones too.
        self.calls: list[tuple[str, int]] = []
        self.connections = 0
        #: Messages whose values lacked a name: SES accepts and then drops them.
        self.rendering_failures: list[str] = []
        self._tokens = 0.0
        self._filled_s: float | None = None
        self._server: asyncio.Server | None = None
        self.transports: set[asyncio.Transport] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def dsn(self, options: str = "") -> str:
        return f"ses://{REGION}?endpoint={self.endpoint}{'&' if options else ''}{options}"

    def recipients(self) -> list[str]:
        """Addresses of everything accepted, in order."""
        return [sent.recipient for sent in self.sent]

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", self.port), backlog=256)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: AwsHttp(self.script, self), sock=listening)
        self.port = listening.getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for transport in list(self.transports):
            transport.abort()
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

    # What a call is answered.

    def answer(self, method: str, path: str, query: dict[str, str], body: bytes) -> tuple[dict[str, Any], bool]:
        """Return an answer, and whether it is lost on its way; raises ``Refused`` and ``Gone``."""
        match method, path.strip("/").split("/"):
            case "GET", ["v2", "email", "account"]:
                return self._account(), False
            case "POST", ["v2", "email", "outbound-emails"]:
                return self._send(_json(body))
            case "POST", ["v2", "email", "outbound-bulk-emails"]:
                return self._send_bulk(_json(body), len(body))
            case "GET", ["v2", "email", "identities", name]:
                return self._identity(unquote(name)), False
            case "GET", ["v2", "email", "suppression", "addresses"]:
                return self._suppressed(query), False
        raise Refused("NotFoundException", f"no such operation: {method} {path}")

    def _account(self) -> dict[str, Any]:
        self._scripted("GetAccount", 0)
        script = self.script
        return {
            "SendQuota": {
                "Max24HourSend": float(script.quota),
                "MaxSendRate": float(script.rate_per_s or 1_000_000),
                "SentLast24Hours": float(script.sent_before + len(self.sent)),
            },
            "SendingEnabled": script.sending,
            "ProductionAccessEnabled": script.production,
            "EnforcementStatus": script.enforcement,
            "SuppressionAttributes": {"SuppressedReasons": list(script.suppressed_reasons)},
            "PricingAttributes": {"CurrentPlan": script.plan},
            "DedicatedIpAutoWarmupEnabled": False,
        }

    def _identity(self, name: str) -> dict[str, Any]:
        self._scripted("GetEmailIdentity", 0)
        identities = self.script.identities
        if identities is not None and name not in identities:
            raise Refused("NotFoundException", f"Email identity {name} does not exist.")
        verified = identities is None or identities[name]
        return {
            "IdentityType": "EMAIL_ADDRESS" if "@" in name else "DOMAIN",
            "VerifiedForSendingStatus": verified,
            "VerificationStatus": "SUCCESS" if verified else "PENDING",
            "DkimAttributes": {"SigningEnabled": verified, "Status": "SUCCESS" if verified else "NOT_STARTED"},
        }

    def _suppressed(self, query: dict[str, str]) -> dict[str, Any]:
        self._scripted("ListSuppressedDestinations", 0)
        size, begin = int(query.get("PageSize", "100")), int(query.get("NextToken", "0"))
        if not 0 < size <= 1000:
            raise Refused("BadRequestException", "PageSize must be between 1 and 1000")
        page = self.script.suppressed[begin : begin + size]
        found = [{"EmailAddress": name, "Reason": why, "LastUpdateTime": when} for name, why, when in page]
        rest = begin + size < len(self.script.suppressed)
        return {"SuppressedDestinationSummaries": found, **({"NextToken": str(begin + size)} if rest else {})}

    def _send(self, call: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        to = [name for names in call.get("Destination", {}).values() for name in names]
        lost = self._scripted("SendEmail", len(to))
        if not 0 < len(to) <= MAX_ENTRIES:
            raise Refused("BadRequestException", f"Recipient count must be between 1 and 50, not {len(to)}")
        content = call.get("Content", {})
        if len(content) != 1:
            raise Refused("BadRequestException", "exactly one of Simple, Raw, Template is needed")
        self._check_common(call)
        sender = parseaddr(call["FromEmailAddress"])[1]
        for name in to:
            named = NAMED.match(_address(name).rpartition("@")[0])
            if named and named[1] == "error":
                raise Refused(named[2], f"named by {name}")
        self._check_identity(sender)
        tags = _tags(call.get("EmailTags", []))
        if "Raw" in content:
            raw = base64.b64decode(content["Raw"]["Data"], validate=True)
            if any(len(line) > 1000 for line in raw.split(b"\r\n")):
                raise Refused("BadRequestException", "a line is longer than 1000 characters")
            kept = {"kind": "raw", "raw": raw, "sender": sender}
        elif "Template" in content:
            template = content["Template"]
            kept = {
                "kind": "template",
                "sender": sender,
                **self._rendered(template, template.get("TemplateData", "{}")),
            }
            kept["headers"] = _headers(template.get("Headers", []))
        else:
            raise Refused("BadRequestException", "this server takes Raw and Template only")
        self._spend(len(to))
        message_id = self._id()
        for name in to:
            self._keep(name, message_id=message_id, tags=tags, call=call, kept=kept)
        return {"MessageId": message_id}, lost or any(_address(name).startswith("lost") for name in to)

    def _send_bulk(self, call: dict[str, Any], size: int) -> tuple[dict[str, Any], bool]:
        entries = call.get("BulkEmailEntries", [])
        lost = self._scripted("SendBulkEmail", len(entries))
        if not 0 < len(entries) <= MAX_ENTRIES:
            raise Refused("BadRequestException", f"BulkEmailEntries must hold 1 to 50 entries, not {len(entries)}")
        if size > MAX_BULK:
            raise Refused("BadRequestException", f"the request is {size} bytes, over 1 MB")
        self._check_common(call)
        sender = parseaddr(call["FromEmailAddress"])[1]
        self._check_identity(sender)
        template = call.get("DefaultContent", {}).get("Template")
        if not template or set(call["DefaultContent"]) != {"Template"}:
            raise Refused("BadRequestException", "DefaultContent needs a Template and nothing else")
        if not template.get("TemplateContent"):
            raise Refused("BadRequestException", "this server keeps no stored templates")
        _json(template.get("TemplateData", "").encode())
        tags = _tags(call.get("DefaultEmailTags", []))
        results: list[dict[str, str]] = []
        for entry in entries:
            results.append(self._entry(call, entry, template, sender, tags))
            lost = lost or any(_address(name).startswith("lost") for name in entry["Destination"]["ToAddresses"])
        return {"BulkEmailEntryResults": results}, lost

    def _entry(
        self, call: dict[str, Any], entry: dict[str, Any], template: dict[str, Any], sender: str, tags: Any
    ) -> dict[str, str]:
        to = entry["Destination"]["ToAddresses"]
        address = _address(to[0])
        scripted = self.script.statuses.get(address, [])
        named = NAMED.match(address.rpartition("@")[0])
        status = scripted.pop(0) if scripted else named[2] if named and named[1] == "status" else "SUCCESS"
        assert status in STATUSES, status
        if status != "SUCCESS":
            return {"Status": status, "Error": f"scripted for {address}"}
        if len(to) != 1 or "@" not in address or not to[0].isascii():
            return {"Status": "INVALID_PARAMETER", "Error": f"bad address {to}"}
        replacement = entry.get("ReplacementEmailContent", {}).get("ReplacementTemplate", {})
        data = replacement.get("ReplacementTemplateData", "{}")
        if len(data) > MAX_DATA:
            raise Refused("BadRequestException", "ReplacementTemplateData is longer than 262144 characters")
        headers = _headers(entry.get("ReplacementHeaders", []))
        rendered = self._rendered(template, data)
        try:
            self._spend(1)
        except Refused as refused:
            quota = "quota" in str(refused)
            return {"Status": "ACCOUNT_DAILY_QUOTA_EXCEEDED" if quota else "ACCOUNT_THROTTLED", "Error": str(refused)}
        message_id = self._id()
        kept = {"kind": "bulk", "sender": sender, "headers": headers, **rendered}
        self._keep(to[0], message_id=message_id, tags=tags, call=call, kept=kept)
        return {"Status": "SUCCESS", "MessageId": message_id}

    # Checks.

    def _check_common(self, call: dict[str, Any]) -> None:
        script = self.script
        if not script.sending:
            raise Refused("SendingPausedException", "Email sending is disabled for this account.")
        if script.enforcement == "SHUTDOWN":
            raise Refused("AccountSuspendedException", "Your account has been suspended.")
        name = call.get("ConfigurationSetName")
        if name is not None and name not in script.configuration_sets:
            raise Refused("NotFoundException", f"Configuration set <{name}> does not exist.")
        if not str(call.get("FromEmailAddress", "")).isascii():
            raise Refused("BadRequestException", "FromEmailAddress holds characters outside ASCII")

    def _check_identity(self, sender: str) -> None:
        identities = self.script.identities
        if identities is None:
            return
        domain = sender.rpartition("@")[2]
        if not (identities.get(sender) or identities.get(domain)):
            raise Refused(
                "MessageRejected",
                "Email address is not verified. The following identities failed the check in region "
                f"{REGION.upper()}: {sender}",
            )

    def _rendered(self, template: dict[str, Any], data: str) -> dict[str, Any]:
        values = _json(data.encode())
        content = template["TemplateContent"]
        rendered: dict[str, Any] = {}
        for part in ("Subject", "Text", "Html"):
            source = content.get(part)
            if source is None:
                continue
            for slot in SLOT.finditer(source):
                if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", slot[1]):
                    raise Refused("BadRequestException", f"the template cannot be parsed: {slot[0]}")
                if slot[1] not in values:
                    self.rendering_failures.append(slot[1])
            rendered[part.lower()] = SLOT.sub(lambda slot: str(values.get(slot[1], "")), source)
        return rendered

    def _scripted(self, operation: str, recipients: int) -> bool:
        self.calls.append((operation, recipients))
        waiting = self.script.errors.get(operation, [])
        if not waiting:
            return False
        kind, message = waiting.pop(0)
        if kind == "lost":
            return True
        if kind == "closed":
            raise Gone
        raise Refused(kind, message)

    def _spend(self, recipients: int) -> None:
        script = self.script
        if script.quota >= 0 and script.sent_before + len(self.sent) + recipients > script.quota:
            raise Refused("TooManyRequestsException", "Daily message quota exceeded.")
        if script.rate_per_s is None:
            return
        now = time.monotonic()
        most = script.burst if script.burst is not None else script.rate_per_s
        if self._filled_s is None:
            self._tokens = most
        else:
            self._tokens = min(most, self._tokens + (now - self._filled_s) * script.rate_per_s)
        self._filled_s = now
        # SES lets a call through that begins within the rate.
        if self._tokens < 1 - 1e-9:
            raise Refused("TooManyRequestsException", "Maximum sending rate exceeded.")
        self._tokens -= recipients

    def _keep(self, to: str, *, message_id: str, tags: Any, call: dict[str, Any], kept: dict[str, Any]) -> None:
        common = {
            "reply_to": tuple(call.get("ReplyToAddresses", ())),
            "configuration_set": call.get("ConfigurationSetName", ""),
            "tags": tags,
            "message_id": message_id,
        }
        self.sent.append(Sent(time_s=time.monotonic(), recipient=_address(to), to=to, **{"raw": b"", **kept}, **common))

    def _id(self) -> str:
        return f"0102{len(self.sent):012x}-fake"


def _json(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Refused("BadRequestException", f"no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Refused("BadRequestException", "no JSON object")
    return value


def _address(name: str) -> str:
    return parseaddr(name)[1]


def _headers(headers: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    if len(headers) > MAX_HEADERS:
        raise Refused("BadRequestException", f"{len(headers)} headers, over 15")
    for header in headers:
        name, value = header["Name"], header["Value"]
        if not re.fullmatch(r"[!-9;-~]{1,126}", name) or not re.fullmatch(r"[ -~]{1,995}", value):
            raise Refused("BadRequestException", f"header {name!r} cannot be sent")
    return tuple((header["Name"], header["Value"]) for header in headers)


def _tags(tags: list[dict[str, str]]) -> tuple[tuple[str, str], ...]:
    for tag in tags:
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", tag["Name"]) or not re.fullmatch(
            r"[A-Za-z0-9_-]{1,256}", tag["Value"]
        ):
            raise Refused("BadRequestException", f"tag {tag} cannot be used")
    return tuple((tag["Name"], tag["Value"]) for tag in tags)


async def _serve() -> None:
    """Serve without limits until standard input ends; print the port, and at the end how many were accepted."""
    async with SesFake(Script(check_signatures="--check" in sys.argv)) as server:
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        await reader.read()
        sys.stdout.write(f"{len(server.sent)}\n")


if __name__ == "__main__":
    asyncio.run(_serve())

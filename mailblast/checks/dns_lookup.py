"""Questions to the DNS, with answers that keep "there is none" apart from "nobody answered"."""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dns.asyncresolver import Resolver

#: Questions at once; a resolver of a home router is not asked for more.
IN_FLIGHT = 50
#: For one question, over all servers and tries.
LIFETIME_S = 5.0
TIMEOUT_S = 2.0
MAX_PORT = 65535


class Found(Enum):
    """What a question came to."""

    RECORDS = "records"
    #: The name exists, without records of this kind (NOERROR).
    NONE = "none"
    #: The name does not exist (NXDOMAIN).
    NO_NAME = "no name"
    #: Nobody answered, or with a failure. It says nothing of the name.
    UNKNOWN = "unknown"


class Answer(NamedTuple):
    """Records of one kind under one name."""

    found: Found
    #: As text: ``10 mx.example.com`` for MX, whole strings for TXT.
    records: tuple[str, ...] = ()
    #: Why it is unknown.
    reason: str = ""


class DnsLookup:
    """Ask, each question once.

    Args:
        servers: ``ADDRESS`` or ``ADDRESS:PORT``, IPv6 in brackets; none takes the system's.

    Raises:
        UsageError: One of them is no address, or the system has none configured.
    """

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._resolver = _resolver(servers)
        self._answers: dict[tuple[str, str], asyncio.Future[Answer]] = {}
        self._slots = asyncio.Semaphore(IN_FLIGHT)

    async def ask(self, name: str, kind: str) -> Answer:
        """Return the records of a kind, such as ``MX``; asked again, the same answer."""
        key = (name.lower().rstrip("."), kind)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = asyncio.ensure_future(self._ask(*key))
        # One who gives up must not take the answer from the others.
        return await asyncio.shield(answer)

    async def _ask(self, name: str, kind: str) -> Answer:
        from dns.exception import DNSException  # noqa: PLC0415 - 110 ms

        try:
            async with self._slots:
                answer = await self._resolver.resolve(f"{name}.", kind)
        except (DNSException, OSError, UnicodeError) as error:
            return _failure(error)
        return Answer(Found.RECORDS, tuple(_text(record, kind) for record in answer))


def _failure(error: Exception) -> Answer:
    from dns import name, resolver  # noqa: PLC0415 - loaded by then

    #: Names that no name server can have.
    impossible = (name.LabelTooLong, name.NameTooLong, name.EmptyLabel, name.BadEscape, UnicodeError)
    if isinstance(error, (resolver.NXDOMAIN, *impossible)):
        return Answer(Found.NO_NAME)
    if isinstance(error, resolver.NoAnswer):
        return Answer(Found.NONE)
    if isinstance(error, resolver.LifetimeTimeout):
        return Answer(Found.UNKNOWN, reason="no answer in time")
    if isinstance(error, resolver.NoNameservers):
        return Answer(Found.UNKNOWN, reason="the name servers failed (SERVFAIL)")
    return Answer(Found.UNKNOWN, reason=type(error).__name__)


def _text(record: object, kind: str) -> str:
    if kind == "TXT":
        strings: tuple[bytes, ...] = record.strings  # type: ignore[attr-defined] # dnspython types records by their base
        return b"".join(strings).decode("utf-8", "replace")
    return str(record)


def _resolver(servers: Sequence[str]) -> Resolver:
    from dns.asyncresolver import Resolver  # noqa: PLC0415 - 110 ms
    from dns.resolver import NoResolverConfiguration  # noqa: PLC0415 - likewise

    try:
        resolver = Resolver(configure=not servers)
    except NoResolverConfiguration:
        raise UsageError("This machine has no name server configured.", fix="Set MAILBLAST_DNS=ADDRESS.") from None
    resolver.lifetime, resolver.timeout = LIFETIME_S, TIMEOUT_S
    if servers:
        pairs = [_address_and_port(server) for server in servers]
        resolver.nameservers = [address for address, _ in pairs]
        resolver.nameserver_ports = dict(pairs)
    return resolver


def _address_and_port(text: str) -> tuple[str, int]:
    from ipaddress import ip_address  # noqa: PLC0415 - only where a server is given

    host, port = text, "53"
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        port = rest.removeprefix(":") or (port if bracket else "")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        ip_address(host)
        number = int(port)
    except ValueError:
        number = 0
    if not 0 < number <= MAX_PORT:
        raise UsageError(f"MAILBLAST_DNS holds '{text}'.", fix="Give an IP address such as 9.9.9.9, or 127.0.0.1:5353.")
    return host, number

"""Recipient domains in the DNS: whether mail can get there at all. A failure to find out is never held against them."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from mailblast.checks.check import Check, Level
from mailblast.checks.dns_lookup import Found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mailblast.checks.dns_lookup import Answer, DnsLookup

#: Domains that are remembered; a list with more is checked up to there, and that is told.
MOST_DOMAINS = 200_000
#: Domains looked up together.
GROUP = 500
#: Addresses of mail hosts that are looked at: of the two most preferred ones.
MOST_HOSTS = 2
FIX_ADDRESS = "Correct the address, or take it off the list."


class _Seen:
    __slots__ = ("address", "count", "row")

    def __init__(self, address: str, row: int) -> None:
        self.address = address
        self.row = row
        self.count = 1


class _Finding(NamedTuple):
    id: str
    level: Level
    message: str
    fix: str = ""


class RecipientDomains:
    """The domains of a list, gathered while its rows are read."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        #: Rows whose domain is not looked at, because there are too many.
        self.left_out = 0

    def add(self, address: str, row: int) -> None:
        """Note the domain of an address."""
        domain = address.rpartition("@")[2]
        seen = self._seen.get(domain)
        if seen is not None:
            seen.count += 1
        elif len(self._seen) < MOST_DOMAINS:
            self._seen[domain] = _Seen(address, row)
        else:
            self.left_out += 1

    def __len__(self) -> int:
        return len(self._seen)

    async def findings(self, lookup: DnsLookup, on_progress: Callable[[int], None]) -> AsyncIterator[Check]:
        """Yield what is wrong with domains, with the first address and row that has each.

        Args:
            lookup: Answers.
            on_progress: Called with the domains done so far.
        """
        domains = list(self._seen)
        for start in range(0, len(domains), GROUP):
            group = domains[start : start + GROUP]
            results = await asyncio.gather(*(_look_at(domain, lookup) for domain in group))
            for domain, finding in zip(group, results, strict=True):
                if finding is not None:
                    seen = self._seen[domain]
                    many = f" {seen.count:,} rows have this domain." if seen.count > 1 else ""
                    message = f"{finding.message}{many}"
                    yield Check(finding.id, finding.level, seen.address, message, finding.fix, seen.row)
            on_progress(start + len(group))
        if self.left_out:
            message = f"Only the first {MOST_DOMAINS:,} domains were looked up; {self.left_out:,} rows have others."
            yield Check("dns.left_out", Level.INFO, "list", message, "Split the list to check them all.")


async def _look_at(domain: str, lookup: DnsLookup) -> _Finding | None:
    """Look where mail for a domain goes (RFC 5321 section 5.1)."""
    mx = await lookup.ask(domain, "MX")
    if mx.found is Found.NO_NAME:
        return _Finding("dns.no_domain", Level.ERROR, f"'{domain}' does not exist.", FIX_ADDRESS)
    if mx.found is Found.UNKNOWN:
        return _unknown(domain, mx)
    if mx.found is Found.NONE:
        return await _without_mx(domain, lookup)
    hosts = [record.split()[-1].rstrip(".") for record in sorted(mx.records, key=_preference)]
    if hosts == [""]:
        message = f"'{domain}' says that it takes no mail (null MX)."
        return _Finding("dns.null_mx", Level.ERROR, message, FIX_ADDRESS)
    return await _private(domain, hosts, lookup)


async def _without_mx(domain: str, lookup: DnsLookup) -> _Finding | None:
    addresses = [await lookup.ask(domain, kind) for kind in ("A", "AAAA")]
    if any(answer.found is Found.RECORDS for answer in addresses):
        message = f"'{domain}' has no MX; mail goes to its web address, if anything there takes it."
        return _Finding("dns.no_mx", Level.WARNING, message, "Check for a typing error.")
    unknown = next((answer for answer in addresses if answer.found is Found.UNKNOWN), None)
    if unknown is not None:
        return _unknown(domain, unknown)
    return _Finding("dns.no_host", Level.ERROR, f"'{domain}' has no mail host and no address.", FIX_ADDRESS)


async def _private(domain: str, hosts: list[str], lookup: DnsLookup) -> _Finding | None:
    found: list[str] = []
    for host in hosts[:MOST_HOSTS]:
        for kind in ("A", "AAAA"):
            answer = await lookup.ask(host, kind)
            if answer.found is Found.UNKNOWN:
                return None
            found += answer.records
    if not found:
        message = f"The mail host of '{domain}', {hosts[0]}, has no address."
        return _Finding("dns.mx_without_address", Level.WARNING, message, "Check for a typing error.")
    if all(not ip_address(address).is_global for address in found):
        message = f"The mail host of '{domain}', {hosts[0]}, has private addresses only."
        return _Finding("dns.private_mx", Level.WARNING, message, "It may be reachable from inside its network alone.")
    return None


def _preference(record: str) -> int:
    return int(record.split(maxsplit=1)[0])


def _unknown(domain: str, answer: Answer) -> _Finding:
    message = f"'{domain}' could not be looked up: {answer.reason}. It may be fine."
    return _Finding("dns.unknown", Level.INFO, message, "Nothing; try again later.")

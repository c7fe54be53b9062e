"""The SPF record of a domain, read as a receiver reads it (RFC 7208), without an address to test."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mailblast.checks.check import Check, Level, not_looked_up
from mailblast.checks.dns_lookup import Found

if TYPE_CHECKING:
    from mailblast.checks.dns_lookup import DnsLookup

#: RFC 7208 section 4.6.4.
MAX_LOOKUPS = 10
MAX_VOID_LOOKUPS = 2
_TERM = re.compile(r"([+?~-]?)([A-Za-z][A-Za-z0-9._-]*)(?::([^/\s]*))?((?:/\d{1,3})?(?://\d{1,3})?)")
_MODIFIER = re.compile(r"([A-Za-z][A-Za-z0-9._-]*)=(\S*)")
_ADDRESS = re.compile(r"[+?~-]?ip[46]:[0-9A-Fa-f:.]+(?:/\d{1,3})?", re.IGNORECASE)
_ASKING = frozenset(("a", "mx", "include", "exists", "ptr"))
_KNOWN = _ASKING | {"all", "ip4", "ip6"}


class SpfRecord(NamedTuple):
    """What following a record came to."""

    text: str
    #: Questions that evaluating it may take.
    lookups: int
    #: Of these, how many found nothing.
    void: int
    #: Domains included, directly or not.
    includes: frozenset[str]
    #: The ``all`` at its end with its sign; empty where it has none.
    all_: str
    #: What is wrong with it, or with one that it includes.
    faults: tuple[str, ...]
    #: A record that it includes could not be found out.
    unknown: bool


async def check_spf(domain: str, lookup: DnsLookup, includes: frozenset[str]) -> list[Check]:
    """Return findings about the SPF record of a domain.

    Args:
        domain: Of the reverse path.
        lookup: Answers.
        includes: One of these must be included, for the provider in use; empty where that is not known.
    """
    texts, unknown = await _records(domain, lookup)
    if unknown:
        return [not_looked_up("spf", domain, "SPF", unknown)]
    if not texts:
        fix = "Publish a TXT record such as 'v=spf1 include:YOUR-PROVIDER ~all'."
        return [Check("domain.spf", Level.ERROR, domain, "There is no SPF record.", fix)]
    if len(texts) > 1:
        fix = "Make one of them: with two, all receivers see an error."
        return [Check("domain.spf", Level.ERROR, domain, f"There are {len(texts)} SPF records.", fix)]
    record = await _follow(domain, texts[0], lookup)
    return _judge(domain, record, includes)


def _judge(domain: str, record: SpfRecord, includes: frozenset[str]) -> list[Check]:
    found = [Check("domain.spf_syntax", Level.ERROR, domain, fault, "Correct the record.") for fault in record.faults]
    if record.lookups > MAX_LOOKUPS:
        message = f"SPF takes {record.lookups} DNS lookups; receivers stop at {MAX_LOOKUPS} and see an error."
        found.append(Check("domain.spf_lookups", Level.ERROR, domain, message, "Remove includes that are not needed."))
    if record.void > MAX_VOID_LOOKUPS:
        message = f"{record.void} names in SPF do not exist; receivers stop at {MAX_VOID_LOOKUPS}."
        found.append(Check("domain.spf_void", Level.ERROR, domain, message, "Remove them from the record."))
    if record.all_ == "+all":
        message = "SPF ends in +all: everybody may send in this name."
        found.append(Check("domain.spf_all", Level.ERROR, domain, message, "End it in ~all or -all."))
    elif record.all_ in {"", "?all"}:
        message = "SPF ends in neither ~all nor -all: it says nothing of other servers."
        found.append(Check("domain.spf_all", Level.WARNING, domain, message, "End it in ~all or -all."))
    if includes and not includes & record.includes:
        wanted = " or ".join(sorted(includes))
        message = f"SPF does not include {wanted}, which this provider needs."
        fix = f"Add include:{min(includes)}, unless the reverse path has another domain."
        found.append(Check("domain.spf_include", Level.WARNING, domain, message, fix))
    if record.unknown:
        message = "A record that SPF includes could not be looked up; the count may be too low."
        found.append(Check("domain.spf_unknown", Level.INFO, domain, message))
    if all(check.level is Level.INFO for check in found):
        message = f"SPF is right, with {record.lookups} of {MAX_LOOKUPS} lookups: {record.text}"
        found.append(Check("domain.spf", Level.OK, domain, message))
    return found


async def _follow(domain: str, text: str, lookup: DnsLookup) -> SpfRecord:
    walk = _Walk(lookup)
    all_ = await walk.take(domain, text, trail=(domain,))
    return SpfRecord(
        text, walk.lookups, walk.void, frozenset(walk.includes), all_, tuple(dict.fromkeys(walk.faults)), walk.unknown
    )


class _Walk:
    """Follows includes and redirects, counting."""

    def __init__(self, lookup: DnsLookup) -> None:
        self._lookup = lookup
        self.lookups = 0
        self.void = 0
        self.includes: set[str] = set()
        self.faults: list[str] = []
        self.unknown = False

    async def take(self, domain: str, text: str, trail: tuple[str, ...]) -> str:
        """Take a record in; return its ``all``, or that of where it redirects."""
        all_, redirect = "", ""
        for term in text.split()[1:]:
            modifier = _MODIFIER.fullmatch(term)
            match = _TERM.fullmatch(term)
            if modifier:
                if modifier[1].lower() == "redirect":
                    redirect = modifier[2].lower()
            elif _ADDRESS.fullmatch(term):
                continue
            elif match is None or match[2].lower() not in _KNOWN:
                self.faults.append(f"SPF of {domain} holds '{term[:60]}', which means nothing.")
            elif match[2].lower() == "all":
                all_ = f"{match[1] or '+'}all"
            else:
                await self._mechanism(domain, match[2].lower(), (match[3] or "").lower(), trail)
        if not all_ and redirect:
            return await self._into(redirect, trail, "redirect")
        return all_

    async def _mechanism(self, domain: str, name: str, target: str, trail: tuple[str, ...]) -> None:
        if name in {"ip4", "ip6"}:
            self.faults.append(f"SPF of {domain} holds {name} without a right address.")
        elif name == "include":
            if not target:
                self.faults.append(f"SPF of {domain} holds an include without a name.")
                return
            self.includes.add(target)
            await self._into(target, trail, "include")
        elif "%{" in target:
            # Depends on each message; it is one lookup whatever it becomes.
            self.lookups += 1
        else:
            self.lookups += 1
            kind = "MX" if name == "mx" else "A"
            answer = await self._lookup.ask(target or domain, kind)
            if name != "ptr" and answer.found in {Found.NONE, Found.NO_NAME}:
                self.void += 1

    async def _into(self, target: str, trail: tuple[str, ...], how: str) -> str:
        self.lookups += 1
        if "%{" in target or self.lookups > MAX_LOOKUPS * 2:
            return ""
        if target in trail:
            self.faults.append(f"SPF of {target} {how}s itself, in a circle.")
            return ""
        texts, unknown = await _records(target, self._lookup)
        if unknown:
            self.unknown = True
        elif len(texts) != 1:
            self.faults.append(f"SPF has {how}:{target}, which has {'no record' if not texts else 'several records'}.")
            self.void += not texts
        else:
            return await self.take(target, texts[0], (*trail, target))
        return ""


async def _records(domain: str, lookup: DnsLookup) -> tuple[list[str], str]:
    """Return the SPF records of a domain, and why they are unknown where they are."""
    answer = await lookup.ask(domain, "TXT")
    if answer.found is Found.UNKNOWN:
        return [], answer.reason
    return [text for text in answer.records if text.lower() == "v=spf1" or text.lower().startswith("v=spf1 ")], ""

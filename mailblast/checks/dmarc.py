"""The DMARC policy of a domain by the DNS tree walk of RFC 9989, and whether SPF and DKIM can align with From."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mailblast.checks.check import Check, Level, not_looked_up
from mailblast.checks.dns_lookup import Found

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.checks.dns_lookup import DnsLookup

#: RFC 9989 section 4.10: names asked in one walk.
MAX_QUERIES = 8
_TAG = re.compile(r"\s*([a-z]+)\s*=\s*(.*?)\s*", re.IGNORECASE)
_POLICIES = frozenset(("none", "quarantine", "reject"))
#: Of RFC 7489, which RFC 9989 replaces.
_GONE = ("pct", "rf", "ri")
_VALUES: Mapping[str, frozenset[str]] = {
    "p": _POLICIES,
    "sp": _POLICIES,
    "np": _POLICIES,
    "adkim": frozenset(("r", "s")),
    "aspf": frozenset(("r", "s")),
    "psd": frozenset(("y", "n", "u")),
    "t": frozenset(("y", "n")),
}


class Policy(NamedTuple):
    """A record, and the name that has it."""

    domain: str
    tags: Mapping[str, str]
    text: str


class Walk(NamedTuple):
    """What a tree walk came to."""

    #: From the domain itself upwards.
    policies: tuple[Policy, ...]
    #: Names with more than one record, which receivers ignore.
    several: tuple[str, ...]
    #: Why it could not be finished; empty where it was.
    unknown: str

    @property
    def organisational_domain(self) -> str:
        """Return what alignment is measured by (RFC 9989 section 4.10.2); empty where no record is found."""
        for policy in self.policies:
            if policy.tags.get("psd") == "n":
                return policy.domain
        return self.policies[-1].domain if self.policies else ""


async def walk(domain: str, lookup: DnsLookup) -> Walk:
    """Ask for policies from a domain upwards."""
    labels = domain.split(".")
    # A name of nine labels or more goes on with its last seven after the first question.
    starts = [0, *range(max(1, len(labels) - MAX_QUERIES + 1), len(labels))]
    policies: list[Policy] = []
    several: list[str] = []
    for start in starts:
        name = ".".join(labels[start:])
        answer = await lookup.ask(f"_dmarc.{name}", "TXT")
        if answer.found is Found.UNKNOWN:
            return Walk(tuple(policies), tuple(several), answer.reason)
        texts = [text for text in answer.records if _is_record(text)]
        if len(texts) > 1:
            several.append(name)
        elif texts:
            policies.append(Policy(name, _tags(texts[0]), texts[0]))
            if policies[-1].tags.get("psd") in {"n", "y"}:
                break
    return Walk(tuple(policies), tuple(several), "")


async def check_dmarc(domain: str, lookup: DnsLookup, *, signing_domain: str, bounce_domain: str) -> list[Check]:
    """Return findings about the policy of a From domain, and about alignment with it.

    Args:
        domain: Of the From address.
        lookup: Answers.
        signing_domain: The ``d=`` of the DKIM signature; empty where it is not known.
        bounce_domain: Domain of the reverse path.
    """
    found = await walk(domain, lookup)
    findings = [
        Check("domain.dmarc", Level.ERROR, name, "There are several DMARC records; none of them counts.", "Keep one.")
        for name in found.several
    ]
    if not found.policies:
        if found.unknown:
            return [*findings, not_looked_up("dmarc", domain, "DMARC", found.unknown)]
        if not findings:
            fix = f"Publish TXT _dmarc.{domain} with 'v=DMARC1; p=none; rua=mailto:you@{domain}' to begin with."
            findings.append(Check("domain.dmarc", Level.ERROR, domain, "There is no DMARC record.", fix))
        return findings
    policy = found.policies[0]
    findings += _of_record(domain, policy)
    findings += await _alignment(domain, policy, found, lookup, {"DKIM": signing_domain, "SPF": bounce_domain})
    if all(check.level is Level.INFO for check in findings):
        findings.append(Check("domain.dmarc", Level.OK, domain, f"DMARC is right: {policy.text}"))
    return findings


def _of_record(domain: str, policy: Policy) -> list[Check]:
    tags, name = policy.tags, f"_dmarc.{policy.domain}"
    findings = [
        Check(
            "domain.dmarc_syntax",
            Level.ERROR,
            name,
            f"DMARC has {tag}={tags[tag][:40]}.",
            f"Use {', '.join(sorted(values))}.",
        )
        for tag, values in _VALUES.items()
        if tag in tags and tags[tag].lower() not in values
    ]
    findings += [
        Check("domain.dmarc_old", Level.WARNING, name, f"DMARC has {tag}=, which RFC 9989 has removed.", "Take it out.")
        for tag in _GONE
        if tag in tags
    ]
    if "p" not in tags and policy.domain == domain:
        message = "DMARC has no p=, which counts as p=none."
        findings.append(Check("domain.dmarc_policy", Level.WARNING, name, message, "Add p=none, quarantine or reject."))
    own = tags.get("p", "none") if policy.domain == domain else tags.get("sp", tags.get("p", "none"))
    if own.lower() == "none":
        message = "DMARC only watches (p=none): enough for the large mailbox providers, no protection against forgers."
        fix = "Later, when reports look right: p=quarantine."
        findings.append(Check("domain.dmarc_policy", Level.INFO, name, message, fix))
    if "rua" not in tags:
        message = "DMARC asks for no reports (rua=)."
        findings.append(Check("domain.dmarc_reports", Level.INFO, name, message, f"Add rua=mailto:you@{domain}."))
    return findings


async def _alignment(domain: str, policy: Policy, found: Walk, lookup: DnsLookup, by: Mapping[str, str]) -> list[Check]:
    findings = []
    for kind, tag in (("DKIM", "adkim"), ("SPF", "aspf")):
        other = by[kind].lower()
        if not other or other == domain:
            continue
        if policy.tags.get(tag, "r").lower() == "s":
            aligned = False
        else:
            aligned = (await walk(other, lookup)).organisational_domain == found.organisational_domain
        if not aligned:
            what = "signature's d=" if kind == "DKIM" else "reverse path"
            message = f"{kind} does not align with From: the {what} is {other}."
            fix = f"Use {domain}, or a name below the same organisation."
            findings.append(Check(f"domain.{kind.lower()}_alignment", Level.WARNING, domain, message, fix))
    return findings


def _is_record(text: str) -> bool:
    return re.match(r"\s*v\s*=\s*DMARC1\s*(;|$)", text) is not None


def _tags(text: str) -> dict[str, str]:
    matches = (_TAG.fullmatch(part) for part in text.split(";"))
    return {match[1].lower(): match[2] for match in matches if match}

"""The sending domain: whether receivers can tell that mail in its name is its own."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from mailblast.checks.check import Check, Level, not_looked_up
from mailblast.checks.dkim_record import check_dkim
from mailblast.checks.dmarc import check_dmarc
from mailblast.checks.dns_lookup import Found
from mailblast.checks.spf import check_spf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.checks.dns_lookup import DnsLookup
    from mailblast.model.secret import Secret


class SigningKey(NamedTuple):
    """A DKIM key in use."""

    domain: str
    selector: str
    #: PEM; None where a relay signs.
    private_key: Secret | None = None


class SendingDomain(NamedTuple):
    """What is known of how a domain sends."""

    #: Of the From address.
    domain: str
    #: Of the reverse path.
    bounce_domain: str
    keys: Sequence[SigningKey] = ()
    #: Names that SPF must include one of, for the provider in use.
    includes: frozenset[str] = frozenset()
    #: Domain of Reply-To, where it is another one.
    reply_domain: str = ""
    #: Public address that mail comes from, where it is one's own.
    address: str = ""


async def check_domain(sending: SendingDomain, lookup: DnsLookup) -> list[Check]:
    """Return findings about SPF, DKIM, DMARC, MX and, where an address is given, its name."""
    domain = sending.domain
    findings = await check_spf(sending.bounce_domain, lookup, sending.includes)
    for key in sending.keys:
        findings += await check_dkim(key.domain, key.selector, lookup, key.private_key)
    if not sending.keys:
        message = "DKIM is not checked: no selector is known."
        fix = "Give --dkim SELECTOR@DOMAIN; the provider's pages tell the selector."
        findings.append(Check("domain.dkim_unknown", Level.INFO, domain, message, fix))
    signing = sending.keys[0].domain if sending.keys else ""
    findings += await check_dmarc(domain, lookup, signing_domain=signing, bounce_domain=sending.bounce_domain)
    for each in dict.fromkeys(filter(None, (domain, sending.bounce_domain, sending.reply_domain))):
        findings += await _mx(each, lookup)
    if sending.address:
        findings += await _name_of(sending.address, lookup)
    return findings


async def _mx(domain: str, lookup: DnsLookup) -> list[Check]:
    answer = await lookup.ask(domain, "MX")
    if answer.found is Found.UNKNOWN:
        return [not_looked_up("mx", domain, "MX", answer.reason)]
    if not answer.records:
        fix = "Give the domain an MX, or answers and bounces are lost; some receivers refuse mail from such domains."
        return [Check("domain.mx", Level.WARNING, domain, "The domain has no MX: it takes no answers.", fix)]
    if all(record.split()[-1] == "." for record in answer.records):
        fix = "Send from a domain that takes mail."
        return [Check("domain.mx", Level.ERROR, domain, "The domain says that it takes no mail (null MX).", fix)]
    return [Check("domain.mx", Level.OK, domain, f"The domain takes mail at {', '.join(answer.records)}")]


async def _name_of(address: str, lookup: DnsLookup) -> list[Check]:
    """Check that an address has a name, and the name that address (forward-confirmed reverse DNS)."""
    pointer = ip_address(address).reverse_pointer
    answer = await lookup.ask(pointer, "PTR")
    if answer.found is Found.UNKNOWN:
        return [not_looked_up("ptr", address, "Its name", answer.reason)]
    if not answer.records:
        fix = "Have the network's owner set its reverse DNS to the server's name."
        return [
            Check("domain.ptr", Level.ERROR, address, "The address has no name (PTR); Gmail and others refuse.", fix)
        ]
    kind = "AAAA" if ":" in address else "A"
    for name in answer.records:
        forward = await lookup.ask(name, kind)
        if any(ip_address(found) == ip_address(address) for found in forward.records):
            return [
                Check("domain.ptr", Level.OK, address, f"The address is {name.rstrip('.')}, which points back to it.")
            ]
    names = ", ".join(name.rstrip(".") for name in answer.records)
    message = f"The address is called {names}, which does not point back to it."
    return [Check("domain.ptr", Level.ERROR, address, message, "Give that name an address record with this address.")]

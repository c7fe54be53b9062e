"""The DKIM key that a selector publishes (RFC 6376 section 3.6.1), and whether it is the half of ours."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from mailblast.checks.check import Check, Level, not_looked_up
from mailblast.checks.dns_lookup import Found

if TYPE_CHECKING:
    from mailblast.checks.dns_lookup import DnsLookup
    from mailblast.model.secret import Secret

#: RFC 8301: shorter keys are not accepted; section 3.2 advises this much.
LEAST_BITS, GOOD_BITS = 1024, 2048


async def check_dkim(domain: str, selector: str, lookup: DnsLookup, private_key: Secret | None) -> list[Check]:
    """Return findings about a published key.

    Args:
        domain: The ``d=`` of signatures.
        selector: The ``s=``.
        lookup: Answers.
        private_key: PEM of the key that signs; None where a relay signs.
    """
    name = f"{selector}._domainkey.{domain}"
    answer = await lookup.ask(name, "TXT")
    if answer.found is Found.UNKNOWN:
        return [not_looked_up("dkim", name, "DKIM", answer.reason)]
    if not answer.records:
        fix = "Publish the key's TXT record, or give the selector that is in use."
        return [Check("domain.dkim", Level.ERROR, name, "There is no DKIM key under this selector.", fix)]
    if len(answer.records) > 1:
        return [Check("domain.dkim", Level.ERROR, name, "There are several TXT records.", "Keep one.")]
    tags = dict(part.split("=", 1) for part in "".join(answer.records[0].split()).split(";") if "=" in part)
    return _judge(name, tags, private_key)


def _judge(name: str, tags: dict[str, str], private_key: Secret | None) -> list[Check]:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - for verify alone

    if tags.get("v", "DKIM1") != "DKIM1":
        return [Check("domain.dkim", Level.ERROR, name, "The record is no DKIM key (v=).", "Begin it with v=DKIM1.")]
    if not tags.get("p"):
        fix = "Publish a new key under a new selector."
        return [Check("domain.dkim", Level.ERROR, name, "The key has been revoked (empty p=).", fix)]
    try:
        described, bits, matches = _key(tags, private_key)
    except (ValueError, binascii.Error, UnsupportedAlgorithm):
        return [Check("domain.dkim", Level.ERROR, name, "The key (p=) cannot be read.", "Publish it again, whole.")]
    findings = []
    if bits is not None and bits < LEAST_BITS:
        message = f"The key has {bits} bits; receivers accept no less than {LEAST_BITS}."
        findings.append(Check("domain.dkim_bits", Level.ERROR, name, message, "Make one of 2048 bits."))
    elif bits is not None and bits < GOOD_BITS:
        message = f"The key has {bits} bits."
        findings.append(Check("domain.dkim_bits", Level.WARNING, name, message, "Make one of 2048 bits."))
    if "y" in tags.get("t", "").split(":"):
        message = "The key is marked as a test (t=y): receivers may ignore signatures."
        findings.append(Check("domain.dkim_test", Level.WARNING, name, message, "Take t=y out."))
    if matches is False:
        message = "The published key is not the half of the private key that signs: every signature fails."
        findings.append(
            Check("domain.dkim_match", Level.ERROR, name, message, "Publish the right key, or sign with its half.")
        )
    if not findings:
        ours = ", the half of our private key" if matches else ""
        findings.append(Check("domain.dkim", Level.OK, name, f"DKIM has a key: {described}{ours}."))
    return findings


def _key(tags: dict[str, str], private_key: Secret | None) -> tuple[str, int | None, bool | None]:
    """Return what the published key is, its bits where that matters, and whether it matches."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_private_key  # noqa: PLC0415

    raw = base64.b64decode(tags["p"], validate=True)
    own = load_pem_private_key(private_key.reveal().encode(), None) if private_key else None
    if tags.get("k", "rsa").lower() == "ed25519":
        if len(raw) != 32:  # noqa: PLR2004 - RFC 8463 section 3
            raise ValueError
        matches = own.public_key().public_bytes_raw() == raw if isinstance(own, Ed25519PrivateKey) else None
        return "Ed25519", None, matches
    public = load_der_public_key(raw)
    if not isinstance(public, RSAPublicKey):
        raise ValueError  # noqa: TRY004 - of the record, not of an argument
    matches = own.public_key().public_numbers() == public.public_numbers() if isinstance(own, RSAPrivateKey) else None
    return f"RSA with {public.key_size} bits", public.key_size, matches

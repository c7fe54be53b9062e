"""What can be on the do-not-mail list: an address, a whole domain, or the hash of an address."""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import md5, sha256
from typing import NamedTuple

from mailblast.errors import RowFaultError
from mailblast.recipients.address import parse_address, parse_mailbox

#: Lists that must not show addresses are passed on as hashes of the lower-case address, in these two kinds.
_HASH = re.compile(r"(?:(sha256|md5):)?([0-9a-f]{64}|[0-9a-f]{32})", re.IGNORECASE | re.ASCII)
#: Enhanced status codes (RFC 3463) that say: no such mailbox, domain or name, or it takes no mail. Such an address
#: never gets better.
HARD_BOUNCES = frozenset({"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_DIGITS = {64: "sha256", 32: "md5"}


class Reason(StrEnum):
    """Why somebody must not be mailed."""

    UNSUBSCRIBE = "unsubscribe"
    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    MANUAL = "manual"


class SuppressionEntry(NamedTuple):
    """One line of the do-not-mail list."""

    #: As returned by ``parse_subject()``.
    subject: str
    reason: Reason
    #: Where it came from: a file, a campaign, a person; may be empty.
    source: str
    #: Unix seconds.
    added_s: float


def parse_subject(text: str) -> str:
    """Return the form in which an address, a domain or a hash stands on the list.

    An address is kept in lower case: whoever unsubscribed as ``Ada@`` is not mailed as ``ada@`` either.

    Args:
        text: ``a@b.c``, ``Name <a@b.c>``, ``@b.c`` or ``b.c`` for a domain with all below it, or the SHA-256 or MD5 of
            a lower-case address in hexadecimal digits, with or without ``sha256:`` or ``md5:`` before it.

    Raises:
        RowFaultError: It is none of these.
    """
    text = text.strip()
    if match := _HASH.fullmatch(text):
        kind = _DIGITS[len(match[2])]
        if match[1] and match[1].lower() != kind:
            raise RowFaultError(f"is called {match[1]} and has {len(match[2])} digits")
        return f"{kind}:{match[2].lower()}"
    if text.startswith("@") or ("@" not in text and "." in text):
        # Checked as part of an address, so that international domains come out as A-labels.
        return parse_address(f"any@{text.removeprefix('@')}").removeprefix("any").lower()
    address = parse_mailbox(text).address if "<" in text else parse_address(text)
    return address.lower()


def hashes_of(address: str) -> tuple[str, str]:
    """Return the two forms in which the hash of a lower-case address may stand on the list."""
    plain = address.encode()
    return f"sha256:{sha256(plain).hexdigest()}", f"md5:{md5(plain, usedforsecurity=False).hexdigest()}"


def domains_of(address: str) -> list[str]:
    """Return the forms in which the domain of a lower-case address, or one above it, may stand on the list."""
    labels = address.rpartition("@")[2].split(".")
    return [f"@{'.'.join(labels[start:])}" for start in range(max(len(labels) - 1, 1))]

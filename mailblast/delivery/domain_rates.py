"""Rates by recipient domain: as users write them, and gentle ones for the large mailbox providers.

None of these publishes a number of messages a second. Google asks senders to start low, grow slowly and keep a steady
rate (support.google.com/a/answer/81126); Yahoo wants few messages on a connection and fewer connections
(senders.yahooinc.com/best-practices); Microsoft limits by reputation and says so by 4.7.x replies
(learn.microsoft.com/exchange, "Fix email delivery issues for error code 4.7.5xx"). So these are starting values, well
below what a sender with a reputation gets; a reply that asks to slow down lowers them further.

They hold only where this machine hands mail to a mail exchanger itself. A relay or an API has its own queue for each
destination, and what it wants is its own limit.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.delivery.throttle import Rate, parse_rate
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*", re.ASCII)

#: Messages a second to each of the domains.
GENTLE_PER_S: Mapping[float, tuple[str, ...]] = {
    20.0: ("gmail.com", "googlemail.com"),
    10.0: ("outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "ymail.com", "aol.com"),
    5.0: (
        "icloud.com",
        "me.com",
        "mac.com",
        "gmx.net",
        "gmx.de",
        "web.de",
        "t-online.de",
        "orange.fr",
        "free.fr",
        "libero.it",
        "comcast.net",
        "att.net",
        "mail.ru",
        "yandex.ru",
        "qq.com",
    ),
}


def gentle_rates() -> dict[str, Rate]:
    """Return the built-in rates by domain."""
    return {domain: Rate(per_s, 1.0) for per_s, domains in GENTLE_PER_S.items() for domain in domains}


def parse_domain_rates(texts: Iterable[str], built_in: Mapping[str, Rate]) -> dict[str, Rate]:
    """Read ``gmail.com=20/s``, ``example.org=none``; what is given goes before what is built in.

    Raises:
        UsageError: A text is no domain and rate.
    """
    rates = dict(built_in)
    for text in texts:
        name, equals, rate_text = text.partition("=")
        domain = _a_labels(name.strip().rstrip(".").lower())
        if not equals or DOMAIN.fullmatch(domain) is None:
            raise UsageError(f"'{text}' is not a domain and its rate.", fix="Write it like gmail.com=20/s.")
        rate = parse_rate(rate_text)
        if rate is None:
            rates.pop(domain, None)
        else:
            rates[domain] = rate
    return rates


def _a_labels(domain: str) -> str:
    """Return the form that addresses have on the wire; what cannot be brought to it stays, and is refused."""
    if domain.isascii():
        return domain
    import idna  # noqa: PLC0415 - for domains that are not ASCII only

    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError:
        return domain

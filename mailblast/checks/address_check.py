"""What is odd about an address whose syntax is right: a typing error, a role, a throw-away domain. Warnings only."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

#: Mailboxes of functions, not of people (RFC 2142, and what filters treat alike).
ROLES = frozenset((
    "abuse", "admin", "administrator", "billing", "contact", "dns", "enquiries", "ftp", "help", "hostmaster",
    "info", "it", "jobs", "mail", "mailer-daemon", "marketing", "news", "newsletter", "no-reply", "noc", "noreply",
    "office", "orders", "postmaster", "root", "sales", "security", "spam", "support", "sysadmin", "usenet", "uucp",
    "webmaster", "www",
))  # fmt: skip
#: What people type who do not want to give an address.
PLACEHOLDERS = frozenset((
    "a", "aa", "aaa", "abc", "asdf", "asdfasdf", "example", "fake", "foo", "none", "nobody", "qwerty", "sample",
    "test", "test1", "test123", "tester", "testing", "xxx",
))  # fmt: skip
#: Names that exist in no public DNS (RFC 2606, RFC 6761, RFC 6762, RFC 7686, RFC 9476).
RESERVED_TLDS = frozenset((
    "alt", "example", "home", "internal", "invalid", "lan", "local", "localhost", "onion", "test",
))  # fmt: skip
#: Domains that most people's mailboxes are at; what is nearly one of them is most likely mistyped.
LARGE_DOMAINS = frozenset((
    "aol.com", "btinternet.com", "comcast.net", "email.com", "email.de", "fastmail.com", "free.fr", "gmail.com",
    "gmx.at", "gmx.de", "gmx.net", "googlemail.com", "hotmail.co.uk", "hotmail.com", "hotmail.fr",
    "icloud.com", "laposte.net",
    "libero.it", "live.com", "mac.com", "mail.com", "mail.ru", "me.com", "msn.com", "orange.fr", "outlook.com",
    "outlook.de", "proton.me", "protonmail.com", "qq.com", "sbcglobal.net", "t-online.de", "verizon.net", "web.de",
    "yahoo.co.uk", "yahoo.com", "yahoo.de", "yahoo.fr", "yandex.ru", "ymail.com", "zoho.com",
))  # fmt: skip
#: Last labels that are hardly ever meant.
TYPO_TLDS = {"con": "com", "cmo": "com", "ocm": "com", "vom": "com", "xom": "com", "comm": "com", "nte": "net"}
#: Names of a few letters are near to many others: ``me.com`` is not ``mac.com`` mistyped.
_SHORTEST_TYPO = 6
_DOMAINS_REMEMBERED = 10_000


class Oddity(NamedTuple):
    """Something to look at. The ids are stable."""

    id: str
    message: str
    fix: str


def oddities(address: str) -> list[Oddity]:
    """Return what is odd about an addr-spec; its domain is in lower case and as A-labels."""
    local, _, domain = address.rpartition("@")
    found = list(_of_domain(domain))
    name = local.partition("+")[0].lower()
    if name in ROLES:
        fix = "Nothing, if you mean it: people behind a role have often not asked for mail."
        found.append(Oddity("address.role", f"'{local}@' is a function, not a person.", fix))
    elif name in PLACEHOLDERS:
        found.append(Oddity("address.placeholder", f"'{local}@' looks made up.", "Ask for the real address."))
    if not local.isascii():
        fix = "Nothing: it is sent where the server offers SMTPUTF8, else it fails."
        found.append(Oddity("address.smtputf8", "The part before the '@' is not ASCII: it needs SMTPUTF8.", fix))
    return found


@lru_cache(_DOMAINS_REMEMBERED)
def _of_domain(domain: str) -> tuple[Oddity, ...]:
    last = domain.rpartition(".")[2]
    if last in RESERVED_TLDS:
        return (Oddity("address.reserved", f"'.{last}' is reserved and takes no mail.", "Correct it."),)
    if meant := likely_meant(domain):
        return (Oddity("address.typo", f"'{domain}' is nearly '{meant}'.", f"Correct it, if '{meant}' is meant."),)
    if domain in _disposable():
        fix = "Nothing, or leave it out: such mailboxes live for minutes."
        return (Oddity("address.disposable", f"'{domain}' gives throw-away addresses.", fix),)
    return ()


def likely_meant(domain: str) -> str:
    """Return the large domain that this one is most likely a typing error of; empty where it is none."""
    if domain in LARGE_DOMAINS:
        return ""
    stem, _, last = domain.rpartition(".")
    if last in TYPO_TLDS:
        return f"{stem}.{TYPO_TLDS[last]}"
    if len(domain) < _SHORTEST_TYPO:
        return ""
    near = [large for large in LARGE_DOMAINS if abs(len(large) - len(domain)) <= 1 and _one_slip(domain, large)]
    return min(near, default="")


def _one_slip(typed: str, meant: str) -> bool:
    """Return whether one letter is wrong, missing, too many, or two neighbours have changed places."""
    if len(typed) == len(meant):
        different = [place for place, (a, b) in enumerate(zip(typed, meant, strict=True)) if a != b]
        if len(different) == 1:
            return len(meant) > _SHORTEST_TYPO
        if len(different) != 2 or different[1] != different[0] + 1:  # noqa: PLR2004 - a pair
            return False
        first, second = different
        return typed[first] == meant[second] and typed[second] == meant[first]
    short, long = sorted((typed, meant), key=len)
    return len(short) >= _SHORTEST_TYPO and any(short == long[:cut] + long[cut + 1 :] for cut in range(len(long)))


@lru_cache(1)
def _disposable() -> frozenset[str]:
    from disposable_email_domains import blocklist  # noqa: PLC0415 - ten thousand names, for verify alone

    return frozenset(blocklist)

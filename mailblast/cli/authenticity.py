"""What lets a receiver trust a message: DKIM, list headers and unsubscribe links, from options and settings."""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailblast.cli import campaigns
from mailblast.errors import UsageError
from mailblast.message.builder import UNSUBSCRIBE_URL
from mailblast.model.campaign import Dkim, Keys, ListHeaders
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.cli.campaigns import Transport
    from mailblast.cli.settings import Settings
    from mailblast.model.campaign import Campaign

#: Providers that sign with keys of their own; by their DSN's scheme.
SIGNING_PROVIDERS = {"ses": "Amazon SES", "sendgrid": "SendGrid"}
_PEM = "-----BEGIN"
_MAKE_KEY = "Make one with: openssl genrsa -out dkim.pem 2048"
#: Links in one setting are told apart by how they begin: a blank may also stand in ``{{ token }}``.
_NEXT_LINK = re.compile(r"\s+(?=https?:|mailto:)")


@dataclass(frozen=True, slots=True)
class AuthenticityOptions:
    """What was asked for on the command line."""

    #: ``SELECTOR@DOMAIN``.
    dkim: str | None = None
    dkim_key: Path | None = None
    unsubscribe: tuple[str, ...] = ()
    list_id: str | None = None
    feedback_id: str | None = None
    auto_submitted: bool = False
    inline_css: bool = True


class Authenticity(NamedTuple):
    """What a campaign gets of it."""

    dkim: Dkim | None
    list_headers: ListHeaders
    keys: Keys
    inline_css: bool
    #: What the user should know before anything is sent.
    notices: tuple[str, ...]

    def on(self, campaign: Campaign) -> Campaign:
        """Return the campaign with these."""
        return campaign._replace(dkim=self.dkim, list_headers=self.list_headers, inline_css=self.inline_css)

    def notices_on(self, variables: frozenset[str]) -> list[str]:
        """Return what should be known of a template that shows these variables."""
        has_link = self.list_headers.unsubscribe_url or self.list_headers.unsubscribe_mailto
        if UNSUBSCRIBE_URL not in variables or has_link:
            return []
        return [f"The template shows '{UNSUBSCRIBE_URL}', and no --unsubscribe says what it is."]


def authenticity_of(
    options: AuthenticityOptions, settings: Settings, transport: Transport, sender_address: str
) -> Authenticity:
    """Return what options and settings ask for.

    Args:
        options: Flags.
        settings: Behind the flags.
        transport: A provider that signs itself gets no signature of ours.
        sender_address: Of the From header, whose domain a signature should be of.

    Raises:
        UsageError: Something is missing, cannot be read, or is not what it should be.
    """
    keys = keys_of(settings, options.dkim_key)
    dkim = dkim_of(options, settings)
    notices: list[str] = []
    if dkim is not None:
        scheme = transport.dsn.scheme
        if scheme in SIGNING_PROVIDERS:
            notices.append(f"{SIGNING_PROVIDERS[scheme]} signs messages itself; the DKIM key given here is not used.")
            dkim = None
        elif keys.dkim_rsa is None:
            fix = f"Give --dkim-key FILE, or set MAILBLAST_DKIM_KEY. {_MAKE_KEY}"
            raise UsageError("The key to sign with is missing.", fix=fix)
        else:
            notices += _warnings(dkim, keys, options, settings, sender_address)
    list_headers = list_headers_of(options, settings)
    return Authenticity(dkim, list_headers, keys, options.inline_css, tuple(notices))


def signed_by_us(transports: Sequence[Transport]) -> Transport:
    """Return the first provider that does not sign messages itself, where there is one."""
    return next((each for each in transports if each.dsn.scheme not in SIGNING_PROVIDERS), transports[0])


def keys_of(settings: Settings, dkim_key: Path | None) -> Keys:
    """Return the private keys, from their files and settings.

    Raises:
        UsageError: A file cannot be read.
    """
    rsa = dkim_key if dkim_key is not None else settings.text("MAILBLAST_DKIM_KEY")
    secret = settings.text("MAILBLAST_UNSUBSCRIBE_SECRET")
    return Keys(
        _key(rsa, "--dkim-key" if dkim_key is not None else "MAILBLAST_DKIM_KEY"),
        _key(settings.text("MAILBLAST_DKIM_ED25519_KEY"), "MAILBLAST_DKIM_ED25519_KEY"),
        Secret(secret) if secret else None,
    )


def dkim_of(options: AuthenticityOptions, settings: Settings) -> Dkim | None:
    """Return under which names messages are signed; None where they are not.

    Raises:
        UsageError: Only part of what is needed is given.
    """
    if options.dkim is not None:
        selector, at, domain = options.dkim.partition("@")
        if not (selector and at and domain):
            fix = "Write it like mail2026@example.com."
            raise UsageError(f"--dkim '{options.dkim}' is no SELECTOR@DOMAIN.", fix=fix)
    else:
        domain = settings.text("MAILBLAST_DKIM_DOMAIN") or ""
        selector = settings.text("MAILBLAST_DKIM_SELECTOR") or ""
    second = settings.text("MAILBLAST_DKIM_ED25519_SELECTOR") or ""
    if not (domain or selector):
        if options.dkim_key is None and not settings.text("MAILBLAST_DKIM_KEY") and not second:
            return None
        fix = "Give --dkim SELECTOR@DOMAIN, or MAILBLAST_DKIM_SELECTOR and MAILBLAST_DKIM_DOMAIN."
        raise UsageError("There is a DKIM key, but no selector and domain to sign under.", fix=fix)
    if not (domain and selector):
        missing = "MAILBLAST_DKIM_SELECTOR" if domain else "MAILBLAST_DKIM_DOMAIN"
        raise UsageError(f"DKIM needs a domain and a selector; {missing} is not set.", fix=f"Set {missing}.")
    return Dkim(domain, selector, second)


def list_headers_of(options: AuthenticityOptions, settings: Settings) -> ListHeaders:
    """Return the list headers that are asked for.

    Raises:
        UsageError: A link is given twice, or is neither https nor a plain mailto.
    """
    links = options.unsubscribe or _NEXT_LINK.split((settings.text("MAILBLAST_UNSUBSCRIBE") or "").strip())
    urls: list[str] = []
    mailboxes: list[str] = []
    for link in filter(None, (link.strip() for link in links)):
        if link.lower().startswith("mailto:"):
            mailboxes.append(_mailbox(link))
        else:
            urls.append(link)
    if len(urls) > 1 or len(mailboxes) > 1:
        raise UsageError("--unsubscribe is given too often.", fix="Give one https:// link and one mailto: at most.")
    return ListHeaders(
        urls[0] if urls else "",
        mailboxes[0] if mailboxes else "",
        (settings.text("MAILBLAST_LIST_ID", options.list_id) or "").strip().removeprefix("<").removesuffix(">"),
        (settings.text("MAILBLAST_FEEDBACK_ID", options.feedback_id) or "").strip(),
        options.auto_submitted,
    )


def _mailbox(link: str) -> str:
    address = link.partition(":")[2]
    example = "mailto:leave@example.com"
    if "?" in address:
        fix = f"Write it like {example}; the subject is the recipient's token."
        raise UsageError(f"--unsubscribe '{link}' holds more than an address.", fix=fix)
    parsed = campaigns.mailbox(address, "--unsubscribe mailto:").address
    if not parsed.isascii():
        raise UsageError(f"--unsubscribe '{link}' is not plain ASCII.", fix=f"Write it like {example}.")
    return parsed


def _key(source: Path | str | None, name: str) -> Secret | None:
    r"""Return a key: PEM text, whose line breaks may be written as ``\n``, or what a file holds."""
    if not source:
        return None
    if isinstance(source, str) and source.lstrip().startswith(_PEM):
        return Secret(source.replace("\\n", "\n"))
    try:
        text = Path(source).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        fix = "Name the file of a private key in PEM."
        raise UsageError(f"The key file {source} of {name} cannot be read: {why}.", fix=fix) from error
    if _PEM not in text:
        fix = f"A private key in PEM begins with {_PEM}. {_MAKE_KEY}"
        raise UsageError(f"The key file {source} of {name} holds no private key.", fix=fix)
    return Secret(text)


def _warnings(
    dkim: Dkim, keys: Keys, options: AuthenticityOptions, settings: Settings, sender_address: str
) -> list[str]:
    from mailblast.message.dkim import DkimSigner

    warnings = list(DkimSigner(dkim, keys).warnings)
    files = [options.dkim_key or settings.text("MAILBLAST_DKIM_KEY"), settings.text("MAILBLAST_DKIM_ED25519_KEY")]
    warnings += [
        f"Others may read the private key {file}. Do: chmod 600 {file}"
        for file in files
        if file and _PEM not in str(file) and Path(file).stat().st_mode & (stat.S_IRGRP | stat.S_IROTH)
    ]
    domain, sender = dkim.domain.lower(), sender_address.rpartition("@")[2].lower()
    if domain != sender and not sender.endswith(f".{domain}") and not domain.endswith(f".{sender}"):
        warnings.append(
            f"Messages come from {sender} and are signed by {domain}: receivers want one domain in both (DMARC)."
        )
    return warnings

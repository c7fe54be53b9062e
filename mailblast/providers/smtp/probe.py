"""Look at a server without sending: what ``verify`` shows."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING

import aiosmtplib

from mailblast.errors import AccountError, UsageError
from mailblast.model.reply import Stage
from mailblast.providers.smtp.framing import wire_address
from mailblast.providers.smtp.opening import extensions, hang_up, logged_in, tls_context, told_plainly
from mailblast.providers.smtp.opening_errors import refused
from mailblast.providers.smtp.replies import said_reply

if TYPE_CHECKING:
    from mailblast.providers.smtp.settings import SmtpSettings

#: Extensions, and what it means where they are not offered.
WITHOUT = {"pipelining": "a round trip for each command", "smtputf8": "addresses in ASCII only"}


async def probe(settings: SmtpSettings, sender: str | None) -> list[tuple[str, str]]:
    """Connect, log in, try the sender, and leave; arguments, result and errors as ``SmtpProvider.probe()``."""
    if sender is not None and wire_address(sender, utf8=True) is None:
        raise UsageError(f"The sender '{sender}' cannot be used as a reverse path.", fix="Give an address like a@b.c.")
    context = await asyncio.to_thread(tls_context, settings) if settings.tls != "none" else None
    client = await logged_in(settings, context)
    try:
        facts = [("connect", f"connected to {settings.address}"), *_encryption(client), *_offers(client)]
        if settings.user:
            facts.append(("login", f"logged in as {settings.user}"))
        if sender is not None:
            await _try_sender(client, settings, sender)
            facts.append(("sender", f"{sender} may send"))
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            async with asyncio.timeout(settings.timeouts.quit):
                await client.quit()
    finally:
        hang_up(client)
    return facts


async def _try_sender(client: aiosmtplib.SMTP, settings: SmtpSettings, sender: str) -> None:
    utf8 = not sender.isascii() and client.supports_extension("smtputf8")
    try:
        async with told_plainly(settings, Stage.MAIL, settings.timeouts.mail):
            try:
                await client.mail(
                    sender,
                    options=["SMTPUTF8"] if utf8 else [],
                    encoding="utf-8" if utf8 else "ascii",
                )
            except aiosmtplib.SMTPSenderRefused as error:
                reply = said_reply(error.code, error.message, Stage.MAIL)
                raise AccountError(
                    f"{settings.address} refuses the sender {sender}: {refused(reply)}.",
                    fix="Use a sender that this account may send as.",
                ) from None
            await client.rset()
    except UnicodeEncodeError:
        raise AccountError(
            f"{settings.address} takes no sender outside ASCII such as {sender}.", fix="Use a sender within ASCII."
        ) from None


def _encryption(client: aiosmtplib.SMTP) -> list[tuple[str, str]]:
    session = client.get_transport_info("ssl_object")
    if session is None:
        return [("tls", "none: everything crosses in clear")]
    certificate = client.get_transport_info("peercert") or {}
    expiry = certificate.get("notAfter")
    facts = [("tls", f"{session.version()}, certificate verified")]
    if expiry:
        facts.append(("certificate", f"valid until {_day(expiry)}"))
    return facts


def _day(not_after: str) -> str:
    """Return the day of a certificate's end in ISO form."""
    import time  # noqa: PLC0415 - only here

    return time.strftime("%Y-%m-%d", time.gmtime(ssl.cert_time_to_seconds(not_after)))


def _offers(client: aiosmtplib.SMTP) -> list[tuple[str, str]]:
    offered = client.esmtp_extensions
    facts = []
    for keyword, without in WITHOUT.items():
        facts.append((keyword, "offered" if keyword in offered else f"not offered: {without}"))
    limit = extensions(client).size_limit
    facts.append(("size", f"messages of up to {limit:,} bytes" if limit else "no limit told"))
    facts.append(("auth", ", ".join(client.server_auth_methods).upper() or "no login offered"))
    return facts

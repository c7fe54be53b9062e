"""What a key may do, which senders are verified, what is left of the credits, and who is suppressed. Sends nothing."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from mailblast.errors import AccountError
from mailblast.providers.provider import SuppressedAddress
from mailblast.providers.sendgrid.answers import OK, Answer
from mailblast.providers.sendgrid.scheduled_sends import answered, refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mailblast.providers.sendgrid.wire import Wire

SEND_SCOPE = "mail.send"
UNAUTHORIZED, FORBIDDEN = 401, 403
#: Entries a page; the largest that the suppression pages take.
PAGE = 500
#: Pages after which a list is not read on: a server that repeats itself has no last one.
MAX_PAGES = 20_000
#: SendGrid's lists of whom it mails no more, and the reason that each stands for. Its list ``blocks`` is none of them:
#: it tells of messages that were refused for a while, and the next one is tried again (Twilio's page "Blocks").
SUPPRESSION_LISTS = {
    "bounces": "bounce",
    "invalid_emails": "bounce",
    "spam_reports": "complaint",
    "unsubscribes": "unsubscribe",
}


class Account:
    """One account, read only.

    Args:
        wire: To the API.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def check_key(self) -> tuple[str, ...]:
        """Return the key's rights.

        Empty where SendGrid does not tell just now; that is no reason not to send.

        Raises:
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: The key is refused, or may not send.
        """
        answer = answered(await self._wire.ask("GET", "scopes"), self._wire)
        if answer.status in {UNAUTHORIZED, FORBIDDEN}:
            raise refused(answer, "refused the key")
        document = _json(answer)
        scopes = document.get("scopes") if isinstance(document, dict) else None
        if not isinstance(scopes, list):
            return ()
        if SEND_SCOPE not in scopes:
            raise AccountError(
                "The SendGrid key may not send mail.",
                fix="Give it the right 'Mail Send' at app.sendgrid.com, API Keys.",
            )
        return tuple(str(scope) for scope in scopes)

    async def probe(self, sender: str | None) -> list[tuple[str, str]]:
        """Return what was found, as name and value; see ``SendgridProvider.probe``."""
        scopes = await self.check_key()
        found = [
            ("connect", f"{self._wire.host} answers"),
            (
                "login",
                f"the key is valid and may send; it has {len(scopes):,} rights" if scopes else "the key is taken",
            ),
            ("quota", await self._credits()),
        ]
        if sender is not None:
            found.append(("sender", await self._sender(sender)))
        return found

    async def suppressions(self) -> AsyncGenerator[SuppressedAddress, None]:
        """Yield who is on the account's suppression lists; see ``SuppressingProvider``."""
        for name, reason in SUPPRESSION_LISTS.items():
            async with aclosing(self._pages(f"suppression/{name}", f"did not show its list '{name}'")) as rows:
                async for row in rows:
                    address, created = row.get("email"), row.get("created")
                    if isinstance(address, str) and address:
                        time_s = created if isinstance(created, int) and created > 0 else None
                        yield SuppressedAddress(address, reason, time_s, name)

    async def _pages(self, path: str, failing: str) -> AsyncGenerator[dict[str, Any], None]:
        for page in range(MAX_PAGES):
            query = {"limit": str(PAGE), "offset": str(page * PAGE)}
            answer = answered(await self._wire.ask("GET", path, query=query), self._wire)
            rows = _json(answer)
            if not isinstance(rows, list):
                raise refused(answer, failing)
            for row in rows:
                if isinstance(row, dict):
                    yield row
            if len(rows) < PAGE:
                return

    async def _credits(self) -> str:
        answer = answered(await self._wire.ask("GET", "user/credits"), self._wire)
        document = _json(answer)
        if not isinstance(document, dict) or not isinstance(document.get("remain"), int):
            return "SendGrid does not tell this key what is left of the credits"
        remain, total = document["remain"], document.get("total")
        of = f" of {total:,}" if isinstance(total, int) else ""
        reset = document.get("next_reset")
        until = f", renewed on {reset}" if isinstance(reset, str) and reset else ""
        return f"{remain:,}{of} mails are left{until}"

    async def _sender(self, sender: str) -> str:
        """Return why a sender may be used.

        Raises:
            AccountError: It is neither verified nor of an authenticated domain, as far as both could be read.
        """
        domain = sender.rpartition("@")[2].lower()
        domains = await self._authenticated_domains()
        if domains is not None and domain in domains:
            return f"{domain} is an authenticated domain"
        senders = await self._verified_senders()
        if senders is not None and sender.lower() in senders:
            return f"{sender} is a verified sender"
        if domains is None or senders is None:
            return f"this key may not read whether {sender} is verified"
        raise AccountError(
            f"SendGrid knows {sender} neither as a verified sender nor by an authenticated domain.",
            fix="Authenticate the domain at app.sendgrid.com, Settings, Sender Authentication.",
        )

    async def _authenticated_domains(self) -> set[str] | None:
        try:
            rows = [row async for row in self._pages("whitelabel/domains", "did not show the authenticated domains")]
        except AccountError:
            return None
        return {str(row.get("domain", "")).lower() for row in rows if row.get("valid") is True}

    async def _verified_senders(self) -> set[str] | None:
        answer = answered(await self._wire.ask("GET", "verified_senders"), self._wire)
        document = _json(answer)
        rows = document.get("results") if isinstance(document, dict) else None
        if not isinstance(rows, list):
            return None
        return {
            str(row.get("from_email", "")).lower()
            for row in rows
            if isinstance(row, dict) and row.get("verified") is True
        }


def _json(answer: Answer) -> Any:
    """Return what a successful answer holds, None for every other."""
    if answer.status != OK:
        return None
    try:
        return json.loads(answer.body)
    except ValueError:
        return None

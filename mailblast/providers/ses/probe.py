"""What can be known about an account without sending."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailblast.errors import AccountError
from mailblast.providers.ses.account import (
    MAY_NOT_LOOK,
    Account,
    check,
    may_not_look,
    read_account,
    refused,
    unreachable,
)
from mailblast.providers.ses.calls import Answer, Broken, perform
from mailblast.providers.ses.verdicts import error_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.providers.ses.settings import SesSettings

NOT_FOUND = "NotFoundException"


def probe(client: Any, settings: SesSettings, sender: str | None) -> list[tuple[str, str]]:
    """Ask for the account, and for the sender's identity; blocks.

    Returns:
        What was found, as name and value.

    Raises:
        ProviderUnavailableError: No answer, or one that tells of the service's own trouble.
        AccountError: The key is refused, the account cannot mail, or the sender is not verified.
    """
    facts = [("connect", f"SES answers at {client.meta.endpoint_url}")]
    account = read_account(client)
    if isinstance(account, Account):
        check(account, settings.name, allow_sandbox=settings.allow_sandbox)
        facts += _account_facts(account)
    elif may_not_look(account):
        facts.append(("login", "the key is known, and may not read the account (ses:GetAccount)"))
    else:
        facts.append(("login", "SES was asked for the account too often; try again in a few seconds"))
    if sender is not None:
        facts.append(("sender", _identity(client, sender)))
    return facts


def _account_facts(account: Account) -> list[tuple[str, str]]:
    facts = [("login", "the key is valid"), ("rate", f"{account.rate_per_s:,.10g} recipients a second")]
    if account.per_day is None:
        facts.append(("quota", f"no daily limit; {account.sent:,} sent in the last 24 hours"))
    else:
        facts.append(("quota", f"{account.left_today:,} of {account.per_day:,} recipients left for today"))
    access = "the sandbox: verified addresses only" if account.is_sandbox else "production access"
    facts.append(("access", access))
    reasons = ", ".join(reason.lower() for reason in account.suppressed_reasons)
    facts.append(("suppression", f"SES suppresses after: {reasons}" if reasons else "SES suppresses nobody by itself"))
    if account.plan:
        facts.append(("plan", account.plan.lower()))
    return facts


def _identity(client: Any, sender: str) -> str:
    """Return how the sender is verified: as an address, or by its domain or one above it."""
    for name in _names(sender):
        result = perform(client.get_email_identity, {"EmailIdentity": name})
        if isinstance(result, Answer):
            return _verified(name, result.response)
        if isinstance(result, Broken):
            raise unreachable(result)
        if result.code in MAY_NOT_LOOK:
            return f"{sender}: the key may not read identities (ses:GetEmailIdentity)"
        if result.code != NOT_FOUND:
            raise refused(result, error_verdict(result))
    raise AccountError(
        f"{sender} is no identity of this account and Region.",
        fix=f"Add {sender.rpartition('@')[2]} or {sender} in the SES console, Identities.",
    )


def _verified(name: str, identity: Mapping[str, Any]) -> str:
    if not identity.get("VerifiedForSendingStatus", False):
        status = str(identity.get("VerificationStatus", "not verified")).lower().replace("_", " ")
        raise AccountError(
            f"The identity {name} is not verified ({status}).",
            fix="See the SES console, Identities, for what is missing.",
        )
    dkim = identity.get("DkimAttributes", {})
    status = str(dkim.get("Status", "")).lower().replace("_", " ")
    signs = bool(dkim.get("SigningEnabled")) and status == "success"
    return f"{name} is verified, " + ("DKIM is signed" if signs else f"DKIM is not signed ({status or 'off'})")


def _names(sender: str) -> list[str]:
    domain = sender.rpartition("@")[2]
    labels = domain.split(".")
    # A verified domain counts for all below it (SES developer guide, "Verified identities").
    return [sender, *(".".join(labels[index:]) for index in range(max(1, len(labels) - 1)))]

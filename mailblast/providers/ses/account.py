"""What SES says about the account: limits for the run, and reasons not to start."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import AccountError, ProviderUnavailableError
from mailblast.model.outcome import Advice
from mailblast.model.reply import Scope
from mailblast.providers.ses.calls import Answer, Broken, perform
from mailblast.providers.ses.verdicts import REMEDIES, Refusal, Verdict, error_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Recipients a second where the account may not be read: what SES gives most accounts out of the sandbox.
DEFAULT_RATE_PER_S = 14.0
#: Answers to a key that may send and may not look.
MAY_NOT_LOOK = frozenset({"AccessDeniedException", "AccessDenied", "NotAuthorized"})
#: Answers of servers that stand in for SES and do not know the account.
NOT_THERE = frozenset({404, 501})


class Account(NamedTuple):
    """An answer of GetAccount."""

    #: Recipients a second.
    rate_per_s: float
    #: Recipients in 24 hours; None where there is no limit.
    per_day: int | None
    #: Recipients in the last 24 hours.
    sent: int
    is_sandbox: bool = False
    is_paused: bool = False
    is_suspended: bool = False
    #: Reasons for which SES itself puts addresses on its suppression list.
    suppressed_reasons: tuple[str, ...] = ()
    #: Price plan, such as ``ESSENTIALS``; empty where SES does not say.
    plan: str = ""

    @property
    def left_today(self) -> int | None:
        """Recipients that may still be sent to; None where there is no limit."""
        return None if self.per_day is None else max(0, self.per_day - self.sent)


def read_account(client: Any) -> Account | Refusal:
    """Ask for the account.

    Returns:
        The account, or the refusal where the key may not look, the server has none, or SES is asked too often.

    Raises:
        ProviderUnavailableError: No answer, or one that tells of the service's own trouble.
        AccountError: The key is refused.
    """
    result = perform(client.get_account, {})
    if isinstance(result, Answer):
        return account_of(result.response)
    if isinstance(result, Broken):
        raise unreachable(result)
    verdict = error_verdict(result)
    if may_not_look(result) or verdict.advice is not Advice.NONE:
        return result
    raise refused(result, verdict)


def may_not_look(refusal: Refusal) -> bool:
    """Whether asking again would not help, and sending may work all the same."""
    return refusal.code in MAY_NOT_LOOK or refusal.status in NOT_THERE


def account_of(response: Mapping[str, Any]) -> Account:
    """Read an answer of GetAccount; what it lacks is taken as harmless."""
    quota = response.get("SendQuota", {})
    most = float(quota.get("Max24HourSend", -1.0))
    suppression = response.get("SuppressionAttributes", {})
    return Account(
        float(quota.get("MaxSendRate", 0.0)) or DEFAULT_RATE_PER_S,
        None if most < 0 else int(most),
        int(quota.get("SentLast24Hours", 0.0)),
        not response.get("ProductionAccessEnabled", True),
        not response.get("SendingEnabled", True),
        response.get("EnforcementStatus", "HEALTHY") == "SHUTDOWN",
        tuple(suppression.get("SuppressedReasons", ())),
        str(response.get("PricingAttributes", {}).get("CurrentPlan", "")),
    )


def check(account: Account, name: str, *, allow_sandbox: bool) -> None:
    """Refuse to start with an account that cannot mail.

    Raises:
        AccountError: It is suspended, paused, or in the sandbox.
    """
    if account.is_suspended:
        raise AccountError(f"{name} is suspended: AWS has ended its sending.", fix=REMEDIES["ACCOUNT_SUSPENDED"])
    if account.is_paused:
        raise AccountError(
            f"{name} is paused: sending is switched off for this account.",
            fix="See the SES console, Account dashboard; then 'aws sesv2 put-account-sending-attributes'.",
        )
    if account.is_sandbox and not allow_sandbox:
        raise AccountError(
            f"{name} is in the sandbox: it mails verified addresses only, 200 a day.",
            fix="Ask for production access in the SES console, or add ?sandbox=allow to the DSN for a trial.",
        )


def unreachable(broken: Broken) -> AccountError | ProviderUnavailableError:
    """Return the error of a call without an answer that was to change nothing."""
    if isinstance(broken.fatal, AccountError):
        return broken.fatal
    return ProviderUnavailableError(
        f"Amazon SES cannot be reached: {broken.text.rstrip('.')}.", fix="Check the network, and the Region's name."
    )


def refused(refusal: Refusal, verdict: Verdict) -> AccountError | ProviderUnavailableError:
    """Return the error of a call that was refused and was to change nothing."""
    said = f"{refusal.code}: {refusal.message}".rstrip(": .")
    if verdict.scope is Scope.CONNECTION:
        return ProviderUnavailableError(f"Amazon SES is in trouble: {refusal.status} {said}.", fix="Try again later.")
    fix = REMEDIES.get(refusal.code, "Check the AWS key, its rights, and the Region.")
    return AccountError(f"Amazon SES refused the account: {said}.", fix=fix)

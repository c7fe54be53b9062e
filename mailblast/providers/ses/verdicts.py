"""What answers of SES mean: one table for errors of calls, one for the status of single entries.

Sources: the service model of sesv2 (2019-09-27), the SES developer guide ("Errors related to the sending quotas for
your Amazon SES account") and the common errors of AWS APIs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from mailblast.model.outcome import Advice, Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping


class Verdict(NamedTuple):
    """The meaning of one error code or status."""

    disposition: Disposition
    scope: Scope
    advice: Advice = Advice.NONE
    #: Refused in a call of many, for a reason that may not be its own: send it in a call by itself.
    alone: bool = False
    #: The HTTP status that the same refusal has for a single message.
    status: int = 400


_STOP = Verdict(Disposition.PERMANENT, Scope.ACCOUNT)
_KEY = Verdict(Disposition.PERMANENT, Scope.ACCOUNT, status=403)
_MESSAGE = Verdict(Disposition.PERMANENT, Scope.MESSAGE, alone=True)
_RECIPIENT = Verdict(Disposition.PERMANENT, Scope.RECIPIENT)
_SLOW = Verdict(Disposition.TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN, status=429)
_TOMORROW = Verdict(Disposition.TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW, status=429)
#: The service's trouble, of no message and no account: the same call may be made again.
_AGAIN = Verdict(Disposition.TEMPORARY, Scope.CONNECTION, status=503)

#: A gateway in front of the service gave up waiting: what stands behind it may have taken the message all the same.
_GATEWAY = Verdict(Disposition.IN_DOUBT, Scope.CONNECTION, status=504)

#: By the code of an answer to a whole call.
ERRORS: Mapping[str, Verdict] = {
    "TooManyRequestsException": _SLOW,
    "ThrottlingException": _SLOW,
    "Throttling": _SLOW,
    "ThrottledException": _SLOW,
    "RequestThrottledException": _SLOW,
    "SlowDown": _SLOW,
    # A limit of the account's resources. botocore's standard mode takes it for throttling.
    "LimitExceededException": _STOP,
    "SendingPausedException": _STOP,
    "AccountSuspendedException": _STOP,
    "MailFromDomainNotVerifiedException": _STOP,
    "NotFoundException": _STOP,
    "ConfigurationSetDoesNotExist": _STOP,
    "ConfigurationSetSendingPausedException": _STOP,
    "OptInRequired": _KEY,
    "AccessDeniedException": _KEY,
    "AccessDenied": _KEY,
    "UnrecognizedClientException": _KEY,
    "InvalidClientTokenId": _KEY,
    "InvalidSignatureException": _KEY,
    "SignatureDoesNotMatch": _KEY,
    "IncompleteSignature": _KEY,
    "MissingAuthenticationToken": _KEY,
    "MissingAuthenticationTokenException": _KEY,
    "ExpiredToken": _KEY,
    "ExpiredTokenException": _KEY,
    "RequestExpired": _KEY,
    "NotAuthorized": _KEY,
    "MessageRejected": _MESSAGE,
    "BadRequestException": _MESSAGE,
    "ValidationException": _MESSAGE,
    "InvalidParameterValue": _MESSAGE,
    "RequestEntityTooLargeException": _MESSAGE,
    "InternalFailure": _AGAIN,
    "InternalServerError": _AGAIN,
    "InternalServiceErrorException": _AGAIN,
    "ServiceUnavailable": _AGAIN,
    "ServiceUnavailableException": _AGAIN,
    "RequestTimeout": _AGAIN,
    "RequestTimeoutException": _AGAIN,
    "ConcurrentModificationException": _AGAIN,
}

#: By the status of one entry of ``SendBulkEmail``.
ENTRIES: Mapping[str, Verdict] = {
    "TRANSIENT_FAILURE": _AGAIN,
    "ACCOUNT_THROTTLED": _SLOW,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": _TOMORROW,
    # "Amazon SES couldn't process your request": it may be the message, and may not.
    "FAILED": _MESSAGE,
    "MESSAGE_REJECTED": _MESSAGE._replace(alone=False),
    "INVALID_PARAMETER": _RECIPIENT,
    "INVALID_PARAMETER_VALUE": _RECIPIENT,
    "ACCOUNT_SUSPENDED": _STOP,
    "ACCOUNT_SENDING_PAUSED": _STOP,
    "CONFIGURATION_SET_SENDING_PAUSED": _STOP,
    "CONFIGURATION_SET_NOT_FOUND": _STOP,
    "CONFIGURATION_SET_DOES_NOT_EXIST": _STOP,
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": _STOP,
    "TEMPLATE_NOT_FOUND": _STOP,
    "TEMPLATE_DOES_NOT_EXIST": _STOP,
    "INVALID_SENDING_POOL_NAME": _STOP,
}

#: A status that is not in the table.
UNKNOWN_ENTRY = _MESSAGE
SUCCESS = "SUCCESS"

_QUOTA = re.compile(r"daily (?:message )?(?:sending )?quota exceeded", re.IGNORECASE)
_UNVERIFIED = re.compile(r"not verified", re.IGNORECASE)

#: What helps, by the code or status that stops a run.
REMEDIES: Mapping[str, str] = {
    "SendingPausedException": "Sending is paused for this account or configuration set: see the SES console.",
    "ACCOUNT_SENDING_PAUSED": "Sending is paused for this account: see the SES console.",
    "AccountSuspendedException": "Answer the case in the AWS Support Center.",
    "ACCOUNT_SUSPENDED": "Answer the case in the AWS Support Center.",
    "MailFromDomainNotVerifiedException": "Verify the MAIL FROM domain of the sender in the SES console.",
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": "Verify the MAIL FROM domain of the sender in the SES console.",
    "MessageRejected": "Verify the sender in the SES console of this Region.",
    "NotFoundException": "Check the name of the configuration set, and the Region.",
    "CONFIGURATION_SET_NOT_FOUND": "Check the name of the configuration set, and the Region.",
    "AccessDeniedException": "The key needs the rights ses:SendEmail, ses:SendRawEmail and ses:SendBulkEmail.",
    "UnrecognizedClientException": "Check AWS_ACCESS_KEY_ID.",
    "InvalidSignatureException": "Check AWS_SECRET_ACCESS_KEY and this machine's clock.",
    "ExpiredTokenException": "Log in again: the session has ended.",
}


class Refusal(NamedTuple):
    """An answer that is an error, or an entry with a status other than success."""

    code: str
    #: HTTP status; 0 for an entry.
    status: int
    message: str
    #: Of the Retry-After header.
    retry_after_s: float | None = None


def error_verdict(refusal: Refusal, sender: str = "") -> Verdict:
    """Return what an error of a call means.

    Args:
        refusal: The error.
        sender: Address of From: a text that says "not verified" stops the run where it is about this one.
    """
    verdict = ERRORS.get(refusal.code) or _by_status(refusal.status)
    return _by_text(verdict, refusal.message, sender)


def entry_verdict(refusal: Refusal, sender: str = "") -> Verdict:
    """Return what the status of one entry means; arguments as for ``error_verdict``."""
    return _by_text(ENTRIES.get(refusal.code, UNKNOWN_ENTRY), refusal.message, sender)


def attempt_of(verdict: Verdict, refusal: Refusal, duration_s: float) -> Attempt:
    """Return the attempt that a refusal is."""
    # What helps comes first: texts are cut where they are long.
    remedy = REMEDIES.get(refusal.code, "") if verdict.scope is Scope.ACCOUNT else ""
    text = ": ".join(filter(None, (refusal.code, f"{remedy} {refusal.message}".strip())))
    reply = Reply(refusal.status or verdict.status, "", " ".join(text.split()), Stage.REQUEST)
    return Attempt(
        verdict.disposition,
        reply,
        verdict.scope,
        duration_s,
        retry_after_s=refusal.retry_after_s,
        advice=verdict.advice,
    )


def _by_status(status: int) -> Verdict:
    if status == 429:  # noqa: PLR2004 - RFC 6585
        return _SLOW
    if status in {401, 403}:
        return _KEY
    if status in {502, 504}:
        return _GATEWAY
    # 408 is a request that did not arrive in time (RFC 9110 section 15.5.9).
    return _AGAIN if status >= 500 or status == 408 else _MESSAGE  # noqa: PLR2004 - RFC 9110 section 15.6


def _by_text(verdict: Verdict, message: str, sender: str) -> Verdict:
    """Tell apart what shares a code."""
    if _QUOTA.search(message) and verdict.disposition is not Disposition.ACCEPTED:
        return _TOMORROW
    if verdict.scope is Scope.MESSAGE and _UNVERIFIED.search(message):
        return _STOP if _names(message, sender) else _RECIPIENT
    return verdict


def _names(message: str, sender: str) -> bool:
    """Return whether a text about identities means the sender: it names them, and only in the sandbox a recipient."""
    text = message.lower()
    if "@" not in text:
        return True
    address = sender.lower()
    return not address or address in text

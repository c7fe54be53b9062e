from __future__ import annotations

import pytest

from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope, Stage
from mailblast.providers.ses.verdicts import (
    ENTRIES,
    ERRORS,
    UNKNOWN_ENTRY,
    Refusal,
    Verdict,
    attempt_of,
    entry_verdict,
    error_verdict,
)

PERMANENT, TEMPORARY = Disposition.PERMANENT, Disposition.TEMPORARY
RATE, QUOTA = "Maximum sending rate exceeded.", "Daily message quota exceeded."


@pytest.mark.parametrize(
    ("code", "status", "message", "disposition", "scope", "advice"),
    [
        ("TooManyRequestsException", 429, RATE, TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN),
        ("ThrottlingException", 400, "Rate exceeded", TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN),
        ("Throttling", 400, RATE, TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN),
        ("TooManyRequestsException", 429, QUOTA, TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW),
        ("Throttling", 400, "Daily sending quota exceeded", TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW),
        ("LimitExceededException", 400, "Too many sets", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("SendingPausedException", 400, "Sending paused", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("AccountSuspendedException", 400, "suspended", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("MailFromDomainNotVerifiedException", 400, "x", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("NotFoundException", 404, "Configuration set <x> does not exist.", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("BadRequestException", 400, "Illegal address", PERMANENT, Scope.MESSAGE, Advice.NONE),
        ("MessageRejected", 400, "Transaction failed", PERMANENT, Scope.MESSAGE, Advice.NONE),
        ("InternalFailure", 500, "", TEMPORARY, Scope.CONNECTION, Advice.NONE),
        ("UnrecognizedClientException", 403, "token", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("AccessDeniedException", 403, "not authorized", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("SomethingNew", 429, "", TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN),
        ("SomethingNew", 403, "", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("SomethingNew", 401, "", PERMANENT, Scope.ACCOUNT, Advice.NONE),
        ("SomethingNew", 400, "", PERMANENT, Scope.MESSAGE, Advice.NONE),
        ("408", 408, "", TEMPORARY, Scope.CONNECTION, Advice.NONE),
        ("502", 502, "", Disposition.IN_DOUBT, Scope.CONNECTION, Advice.NONE),
        ("504", 504, "", Disposition.IN_DOUBT, Scope.CONNECTION, Advice.NONE),
    ],
)
def test_error_of_a_call_has_its_meaning(
    code: str, status: int, message: str, disposition: Disposition, scope: Scope, advice: Advice
) -> None:
    refusal = Refusal(code, status, message)
    attempt = attempt_of(error_verdict(refusal, "a@example.com"), refusal, 1.5)
    assert (disposition, scope, advice) == (attempt.disposition, attempt.scope, attempt.advice)
    assert attempt.reply is not None
    assert (status, Stage.REQUEST) == (attempt.reply.code, attempt.reply.stage)
    assert attempt.reply.text.startswith(code)
    assert 1.5 == attempt.duration_s


@pytest.mark.parametrize(
    ("message", "scope"),
    [
        ("Email address is not verified. The following identities failed the check in region EU-WEST-1: A@example.com",
         Scope.ACCOUNT),
        ("Email address is not verified.", Scope.ACCOUNT),
        ("Email address is not verified. The following identities failed the check: bob@example.org", Scope.RECIPIENT),
    ],
)  # fmt: skip
def test_unverified_sender_stops_and_unverified_recipient_fails(message: str, scope: Scope) -> None:
    verdict = error_verdict(Refusal("MessageRejected", 400, message), "a@example.com")
    assert (PERMANENT, scope) == (verdict.disposition, verdict.scope)


@pytest.mark.parametrize(
    ("status", "disposition", "scope", "advice", "alone"),
    [
        ("TRANSIENT_FAILURE", TEMPORARY, Scope.CONNECTION, Advice.NONE, False),
        ("ACCOUNT_THROTTLED", TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN, False),
        ("ACCOUNT_DAILY_QUOTA_EXCEEDED", TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW, False),
        ("FAILED", PERMANENT, Scope.MESSAGE, Advice.NONE, True),
        ("NEVER_HEARD_OF", PERMANENT, Scope.MESSAGE, Advice.NONE, True),
        ("MESSAGE_REJECTED", PERMANENT, Scope.MESSAGE, Advice.NONE, False),
        ("INVALID_PARAMETER", PERMANENT, Scope.RECIPIENT, Advice.NONE, False),
        ("ACCOUNT_SUSPENDED", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
        ("ACCOUNT_SENDING_PAUSED", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
        ("CONFIGURATION_SET_SENDING_PAUSED", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
        ("CONFIGURATION_SET_NOT_FOUND", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
        ("MAIL_FROM_DOMAIN_NOT_VERIFIED", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
        ("TEMPLATE_NOT_FOUND", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
        ("INVALID_SENDING_POOL_NAME", PERMANENT, Scope.ACCOUNT, Advice.NONE, False),
    ],
)
def test_status_of_an_entry_has_its_meaning(
    status: str, disposition: Disposition, scope: Scope, advice: Advice, *, alone: bool
) -> None:
    refusal = Refusal(status, 0, "because")
    verdict = entry_verdict(refusal, "a@example.com")
    assert (disposition, scope, advice, alone) == (verdict.disposition, verdict.scope, verdict.advice, verdict.alone)
    reply = attempt_of(verdict, refusal, 0.0).reply
    assert reply is not None
    assert 400 <= reply.code <= 503
    assert reply.text.startswith(f"{status}: ")
    assert reply.text.endswith("because")


def test_every_status_of_the_service_model_is_known() -> None:
    import botocore.session  # noqa: PLC0415 - half a second, for one test

    model = botocore.session.get_session().get_service_model("sesv2")
    statuses = set(model.shape_for("BulkEmailStatus").enum)
    assert {"SUCCESS"} == statuses - ENTRIES.keys()


def test_every_error_of_the_service_model_is_known() -> None:
    import botocore.session  # noqa: PLC0415 - likewise

    model = botocore.session.get_session().get_service_model("sesv2")
    names = {
        error.name for name in ("SendEmail", "SendBulkEmail") for error in model.operation_model(name).error_shapes
    }
    assert not names - ERRORS.keys()


def test_stop_says_what_helps() -> None:
    refusal = Refusal("SendingPausedException", 400, "Sending paused.")
    reply = attempt_of(error_verdict(refusal), refusal, 0.0).reply
    assert reply is not None
    assert reply.text.startswith("SendingPausedException: Sending is paused for this account")
    assert reply.text.endswith(" Sending paused.")


def test_text_of_several_lines_becomes_one_and_retry_after_is_kept() -> None:
    attempt = attempt_of(UNKNOWN_ENTRY, Refusal("X", 400, "one\n two\r\nthree", 7.0), 0.0)
    assert attempt.reply is not None
    assert "X: one two three" == attempt.reply.text
    assert 7.0 == attempt.retry_after_s


def test_refusal_without_text_is_its_code() -> None:
    attempt = attempt_of(Verdict(PERMANENT, Scope.MESSAGE), Refusal("X", 400, ""), 0.0)
    assert attempt.reply is not None
    assert "X" == attempt.reply.text

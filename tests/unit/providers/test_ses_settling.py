from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeClock
from servers.list_deliveries import a_message

from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.ses.calls import Answer, Broken
from mailblast.providers.ses.settling import Settled, Settling
from mailblast.providers.ses.verdicts import Refusal


def settled(result: Answer | Broken | Refusal, count: int = 2, *, many: bool = True) -> Settled:
    clock = FakeClock()
    held = [(a_message(number), clock.monotonic() - 2.0) for number in range(1, count + 1)]
    return Settling(clock).of(held, result, many=many)


def entries(*statuses: str) -> Answer:
    results = [{"Status": status, "MessageId": f"id-{status}", "Error": "why"} for status in statuses]
    return Answer({"BulkEmailEntryResults": results})


def test_single_is_accepted_with_its_id_and_duration() -> None:
    ((message, attempt),) = settled(Answer({"MessageId": "m1"}), 1, many=False).attempts
    assert (1, Disposition.ACCEPTED, "m1") == (message.id, attempt.disposition, attempt.provider_id)
    assert pytest.approx(2.0) == attempt.duration_s


def test_each_entry_has_its_own_outcome() -> None:
    result = settled(
        entries("SUCCESS", "MESSAGE_REJECTED", "TRANSIENT_FAILURE", "ACCOUNT_THROTTLED", "FAILED", "ACCOUNT_SUSPENDED",
                "ACCOUNT_DAILY_QUOTA_EXCEEDED"),
        7,
    )  # fmt: skip
    found = {message.id: (attempt.disposition, attempt.scope, attempt.advice) for message, attempt in result.attempts}
    assert {
        1: (Disposition.ACCEPTED, Scope.RECIPIENT, Advice.NONE),
        2: (Disposition.PERMANENT, Scope.MESSAGE, Advice.NONE),
        3: (Disposition.TEMPORARY, Scope.CONNECTION, Advice.NONE),
        4: (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN),
        6: (Disposition.PERMANENT, Scope.ACCOUNT, Advice.NONE),
        7: (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW),
    } == found
    assert [5] == [message.id for message in result.again_alone]


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"BulkEmailEntryResults": []},
        {"BulkEmailEntryResults": [{"Status": "SUCCESS"}]},
        {"BulkEmailEntryResults": [{"MessageId": "x"}, {}]},
    ],
)
def test_answer_that_does_not_tell_the_entries_leaves_them_in_doubt(response: dict[str, Any]) -> None:
    result = settled(Answer(response))
    assert [Disposition.IN_DOUBT] * 2 == [attempt.disposition for _, attempt in result.attempts]
    assert () == result.again_alone


@pytest.mark.parametrize(("written", "expected"), [(True, Disposition.IN_DOUBT), (False, Disposition.NOT_SENT)])
@pytest.mark.parametrize("many", [True, False])
def test_call_without_an_answer_is_in_doubt_once_it_was_written(
    expected: Disposition, *, written: bool, many: bool
) -> None:
    result = settled(Broken(written, "gone"), 3 if many else 1, many=many)
    assert {expected} == {attempt.disposition for _, attempt in result.attempts}
    assert {None} == {attempt.reply for _, attempt in result.attempts}


@pytest.mark.parametrize("code", ["BadRequestException", "MessageRejected", "ValidationException", "NewException"])
def test_call_of_many_that_is_refused_goes_one_by_one(code: str) -> None:
    result = settled(Refusal(code, 400, "something is wrong with one of them"), 3)
    assert () == result.attempts
    assert [1, 2, 3] == [message.id for message in result.again_alone]


def test_call_of_many_that_names_an_unverified_recipient_goes_one_by_one() -> None:
    text = "Email address is not verified. The following identities failed the check: recipient2@example.com"
    assert 2 == len(settled(Refusal("MessageRejected", 400, text)).again_alone)


@pytest.mark.parametrize(
    ("refusal", "disposition", "alone"),
    [
        (Refusal("TooManyRequestsException", 429, "Maximum sending rate exceeded."), Disposition.TEMPORARY, True),
        (Refusal("InternalFailure", 500, ""), Disposition.TEMPORARY, True),
        (Refusal("TooManyRequestsException", 429, "Daily message quota exceeded."), Disposition.TEMPORARY, False),
        (Refusal("SendingPausedException", 400, ""), Disposition.PERMANENT, False),
    ],
)
def test_call_of_many_that_the_account_or_the_service_refuses_settles_all(
    refusal: Refusal, disposition: Disposition, *, alone: bool
) -> None:
    result = settled(refusal)
    assert [disposition] * 2 == [attempt.disposition for _, attempt in result.attempts]
    assert alone is result.alone_next_time
    assert not settled(refusal, 1, many=False).alone_next_time


def test_single_that_is_refused_is_settled() -> None:
    result = settled(Refusal("MessageRejected", 400, "content"), 1, many=False)
    ((_, attempt),) = result.attempts
    assert (Disposition.PERMANENT, Scope.MESSAGE) == (attempt.disposition, attempt.scope)
    assert () == result.again_alone

from __future__ import annotations

import json

import pytest
from servers.list_deliveries import a_message

from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.sendgrid.answers import Answer, Reading, read_answer
from mailblast.providers.sendgrid.payload import Entry, Request
from mailblast.providers.sendgrid.settling import MAX_EQUAL_REFUSALS, Settled, Splitting, unfit
from mailblast.providers.sendgrid.wire import Failure, Phase


def a_request(count: int) -> Request:
    return Request(tuple(Entry(a_message(number), b"{}") for number in range(count)), b"}")


def reading(status: int, count: int, *pairs: tuple[str, str | None], **headers: str) -> Reading:
    document = {"errors": [{"message": message, "field": field} for message, field in pairs]} if pairs else ""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_answer(Answer(status, named, json.dumps(document).encode()), now_s=1000.0, entries=count)


def numbers(settled: Settled) -> list[int]:
    return [entry.message.id for entry, _ in settled.attempts]


def test_taken_accepts_everybody_under_the_requests_name() -> None:
    settled = Splitting().settle(a_request(3), reading(202, 3, x_message_id="abc"))
    assert [0, 1, 2] == numbers(settled)
    assert {(Disposition.ACCEPTED, "abc", Advice.NONE)} == {
        (attempt.disposition, attempt.provider_id, attempt.advice) for _, attempt in settled.attempts
    }
    assert ((), False) == (settled.again, settled.halt)


def test_taken_as_the_last_of_its_window_advises_to_slow_down() -> None:
    answer = reading(202, 1, x_ratelimit_remaining="0", x_ratelimit_reset="1007")
    ((_, attempt),) = Splitting().settle(a_request(1), answer).attempts
    assert (Disposition.ACCEPTED, Advice.SLOW_DOWN, 7.0) == (
        attempt.disposition,
        attempt.advice,
        attempt.retry_after_s,
    )


@pytest.mark.parametrize(
    ("phase", "disposition", "halt"),
    [
        (Phase.CONNECTING, Disposition.NOT_SENT, True),
        (Phase.WRITING, Disposition.NOT_SENT, False),
        (Phase.WRITTEN, Disposition.IN_DOUBT, False),
    ],
)
def test_no_answer_is_decided_by_the_phase(phase: Phase, disposition: Disposition, halt: bool) -> None:  # noqa: FBT001 - a table
    settled = Splitting().settle(a_request(2), Failure(phase, "gone"))
    assert {(disposition, Scope.CONNECTION)} == {(each.disposition, each.scope) for _, each in settled.attempts}
    assert halt == settled.halt


def test_named_entries_fail_and_the_rest_goes_again() -> None:
    answer = reading(
        400,
        5,
        ("no address", "personalizations.1.to.0.email"),
        ("second reason", "personalizations.1.to.0.name"),
        ("too long", "personalizations.3.substitutions"),
        ("beyond", "personalizations.9.to"),
    )
    settled = Splitting().settle(a_request(5), answer)
    assert [(1, "no address", Scope.RECIPIENT), (3, "too long", Scope.MESSAGE)] == [
        (entry.message.id, attempt.reply.text, attempt.scope) for entry, attempt in settled.attempts if attempt.reply
    ]
    assert {Disposition.PERMANENT} == {attempt.disposition for _, attempt in settled.attempts}
    (rest,) = settled.again
    assert [0, 2, 4] == [entry.message.id for entry in rest.entries]


def test_all_entries_named_leaves_nothing_to_send() -> None:
    settled = Splitting().settle(a_request(1), reading(400, 1, ("no", "personalizations.0.to")))
    assert ([0], ()) == (numbers(settled), settled.again)


@pytest.mark.parametrize("status", [400, 413])
def test_what_names_nobody_is_halved(status: int) -> None:
    settled = Splitting().settle(a_request(5), reading(status, 5))
    assert () == settled.attempts
    assert [[0, 1], [2, 3, 4]] == [[entry.message.id for entry in half.entries] for half in settled.again]


@pytest.mark.parametrize("status", [400, 413])
def test_single_one_that_is_refused_has_failed(status: int) -> None:
    ((_, attempt),) = Splitting().settle(a_request(1), reading(status, 1)).attempts
    assert (Disposition.PERMANENT, Scope.MESSAGE) == (attempt.disposition, attempt.scope)


def test_equal_refusals_in_a_row_are_the_accounts() -> None:
    splitting = Splitting()
    settled = [splitting.settle(a_request(1), reading(400, 1, ("Bad", None))) for _ in range(MAX_EQUAL_REFUSALS)]
    assert [Scope.MESSAGE] * (MAX_EQUAL_REFUSALS - 1) + [Scope.ACCOUNT] == [
        each.attempts[0][1].scope for each in settled
    ]
    assert [False] * (MAX_EQUAL_REFUSALS - 1) + [True] == [each.halt for each in settled]


@pytest.mark.parametrize("between", [reading(202, 1), reading(400, 1, ("Other", None))])
def test_refusals_with_another_answer_between_are_not(between: Reading) -> None:
    splitting = Splitting()
    for _ in range(MAX_EQUAL_REFUSALS - 1):
        splitting.settle(a_request(1), reading(400, 1, ("Bad", None)))
    splitting.settle(a_request(1), between)
    assert not splitting.settle(a_request(1), reading(400, 1, ("Bad", None))).halt


@pytest.mark.parametrize("status", [500, 502, 504])
def test_unclear_answer_leaves_everybody_in_doubt_with_it(status: int) -> None:
    settled = Splitting().settle(a_request(2), reading(status, 2, ("internal server error", None)))
    assert {(Disposition.IN_DOUBT, status)} == {
        (attempt.disposition, attempt.reply.code) for _, attempt in settled.attempts if attempt.reply
    }
    assert not settled.halt


@pytest.mark.parametrize(("count", "alone"), [(2, True), (1, False)])
def test_unavailable_comes_back_one_by_one(count: int, alone: bool) -> None:  # noqa: FBT001 - a table
    settled = Splitting().settle(a_request(count), reading(503, count, ("busy", None), retry_after="4"))
    assert {(Disposition.TEMPORARY, Scope.CONNECTION, 4.0)} == {
        (attempt.disposition, attempt.scope, attempt.retry_after_s) for _, attempt in settled.attempts
    }
    assert (alone, True) == (settled.alone, settled.halt)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reading(429, 2, x_ratelimit_reset="1030"), (Disposition.TEMPORARY, Advice.SLOW_DOWN, 30.0)),
        (reading(401, 2, ("Maximum credits exceeded", None)), (Disposition.TEMPORARY, Advice.TOMORROW, None)),
        (reading(401, 2), (Disposition.PERMANENT, Advice.NONE, None)),
        (reading(403, 2), (Disposition.PERMANENT, Advice.NONE, None)),
        (reading(400, 2, ("unknown", "batch_id")), (Disposition.PERMANENT, Advice.NONE, None)),
    ],
)
def test_account_is_told_and_nothing_more_is_sent(
    answer: Reading, expected: tuple[Disposition, Advice, float | None]
) -> None:
    settled = Splitting().settle(a_request(2), answer)
    assert {(*expected, Scope.ACCOUNT)} == {
        (each.disposition, each.advice, each.retry_after_s, each.scope) for _, each in settled.attempts
    }
    assert settled.halt
    assert not settled.alone


def test_unfit_has_failed_with_the_reason() -> None:
    attempt = unfit("too large")
    assert attempt.reply is not None
    assert (Disposition.PERMANENT, Scope.MESSAGE, 0, "too large") == (
        attempt.disposition,
        attempt.scope,
        attempt.reply.code,
        attempt.reply.text,
    )

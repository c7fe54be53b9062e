from __future__ import annotations

import pytest

from mailblast.delivery.retry import (
    DEFERRED_MAX_S,
    DEFERRED_MIN_S,
    MAX_BROKEN_IN_ROW,
    MAX_DOMAIN_REFUSALS_IN_ROW,
    MAX_REQUEUES,
    Action,
    Breaker,
    Decision,
    decide,
    deferred_delay_s,
)
from mailblast.model.outcome import Advice, Attempt, Disposition, State
from mailblast.model.reply import Reply, Scope, Stage

REPLY = Reply(550, "5.7.26", "unauthenticated", Stage.BODY)


def an_attempt(disposition: Disposition, scope: Scope = Scope.RECIPIENT, reply: Reply | None = REPLY) -> Attempt:
    return Attempt(disposition, reply, scope)


@pytest.mark.parametrize(
    ("disposition", "scope", "action", "state"),
    [
        (Disposition.ACCEPTED, Scope.RECIPIENT, Action.SETTLE, State.ACCEPTED),
        (Disposition.IN_DOUBT, Scope.CONNECTION, Action.SETTLE, State.IN_DOUBT),
        (Disposition.PERMANENT, Scope.RECIPIENT, Action.SETTLE, State.FAILED),
        (Disposition.PERMANENT, Scope.MESSAGE, Action.SETTLE, State.FAILED),
        (Disposition.PERMANENT, Scope.DOMAIN, Action.SETTLE, State.FAILED),
        (Disposition.TEMPORARY, Scope.RECIPIENT, Action.SETTLE, State.DEFERRED),
        (Disposition.TEMPORARY, Scope.DOMAIN, Action.SETTLE, State.DEFERRED),
        (Disposition.PERMANENT, Scope.ACCOUNT, Action.STOP, State.UNSENT),
        (Disposition.TEMPORARY, Scope.ACCOUNT, Action.REQUEUE, State.UNSENT),
        (Disposition.NOT_SENT, Scope.ACCOUNT, Action.REQUEUE, State.UNSENT),
        (Disposition.NOT_SENT, Scope.CONNECTION, Action.REQUEUE, State.UNSENT),
        (Disposition.TEMPORARY, Scope.CONNECTION, Action.REQUEUE, State.UNSENT),
    ],
)
def test_decision_follows_disposition_and_scope(
    disposition: Disposition, scope: Scope, action: Action, state: State
) -> None:
    decision = decide(an_attempt(disposition, scope), requeues=0)
    assert (action, state) == (decision.action, decision.state)


@pytest.mark.parametrize(
    ("disposition", "scope", "advice", "action", "slows"),
    [
        (Disposition.TEMPORARY, Scope.DOMAIN, Advice.SLOW_DOWN, Action.REQUEUE, Scope.DOMAIN),
        (Disposition.PERMANENT, Scope.DOMAIN, Advice.SLOW_DOWN, Action.REQUEUE, Scope.DOMAIN),
        (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.NONE, Action.REQUEUE, Scope.ACCOUNT),
        (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.SLOW_DOWN, Action.REQUEUE, Scope.ACCOUNT),
        (Disposition.PERMANENT, Scope.ACCOUNT, Advice.SLOW_DOWN, Action.REQUEUE, Scope.ACCOUNT),
        (Disposition.PERMANENT, Scope.ACCOUNT, Advice.TOMORROW, Action.STOP, None),
        (Disposition.TEMPORARY, Scope.ACCOUNT, Advice.TOMORROW, Action.STOP, None),
        (Disposition.TEMPORARY, Scope.RECIPIENT, Advice.TOMORROW, Action.STOP, None),
        (Disposition.ACCEPTED, Scope.MESSAGE, Advice.SLOW_DOWN, Action.SETTLE, None),
        (Disposition.TEMPORARY, Scope.RECIPIENT, Advice.SLOW_DOWN, Action.SETTLE, None),
        (Disposition.TEMPORARY, Scope.CONNECTION, Advice.SLOW_DOWN, Action.REQUEUE, None),
    ],
)
def test_decision_follows_advice(
    disposition: Disposition, scope: Scope, advice: Advice, action: Action, slows: Scope | None
) -> None:
    decision = decide(an_attempt(disposition, scope)._replace(advice=advice), requeues=0)
    assert (action, slows) == (decision.action, decision.slows)


def test_decision_of_a_slowed_domain_ends_in_deferred_and_of_an_account_never() -> None:
    slow = an_attempt(Disposition.TEMPORARY, Scope.DOMAIN)._replace(advice=Advice.SLOW_DOWN)
    last = decide(slow, requeues=MAX_REQUEUES)
    assert (Action.SETTLE, State.DEFERRED, Scope.DOMAIN) == (last.action, last.state, last.slows)
    assert decide(slow._replace(scope=Scope.ACCOUNT), requeues=MAX_REQUEUES).action is Action.REQUEUE


def test_decision_of_a_rotated_connection_never_waits() -> None:
    rotated = an_attempt(Disposition.TEMPORARY, Scope.CONNECTION)._replace(advice=Advice.ROTATE)
    assert [0.0] * 3 == [decide(rotated, requeues=count).delay_s for count in range(3)]


def test_decision_requeues_at_once_then_waits_longer_then_defers() -> None:
    lost = an_attempt(Disposition.NOT_SENT, Scope.CONNECTION, None)
    delays = [decide(lost, requeues=count).delay_s for count in range(MAX_REQUEUES)]
    assert delays[0] == 0.0
    assert delays[1:] == sorted(delays[1:])
    assert delays[1] > 0
    last = decide(lost, requeues=MAX_REQUEUES)
    assert (Action.SETTLE, State.DEFERRED) == (last.action, last.state)


def test_deferred_delay_doubles_within_its_jitter_up_to_a_maximum() -> None:
    assert deferred_delay_s(1, 0.5) == pytest.approx(300)
    assert deferred_delay_s(2, 0.5) == pytest.approx(600)
    assert deferred_delay_s(1, 0.0) == pytest.approx(240)
    assert deferred_delay_s(1, 1.0) == pytest.approx(360)
    assert deferred_delay_s(50, 0.5) == pytest.approx(DEFERRED_MAX_S)


def test_deferred_delay_is_what_the_reply_names_and_never_less() -> None:
    assert deferred_delay_s(3, 0.0, 2.0) == 2.0
    assert deferred_delay_s(1, 1.0, 600.0) == pytest.approx(720)
    assert deferred_delay_s(1, 0.0, 0.0) == DEFERRED_MIN_S
    assert deferred_delay_s(1, 0.0, 1e9) == DEFERRED_MAX_S


def test_breaker_leaves_refusals_that_ask_to_slow_down_to_the_pace() -> None:
    breaker = Breaker()
    slow = an_attempt(Disposition.PERMANENT, Scope.DOMAIN)._replace(advice=Advice.SLOW_DOWN)
    assert not any(breaker.see(slow, in_flight=1) for _ in range(3 * MAX_DOMAIN_REFUSALS_IN_ROW))


@pytest.mark.parametrize("disposition", [Disposition.NOT_SENT, Disposition.IN_DOUBT])
def test_breaker_opens_after_broken_connections_in_a_row(disposition: Disposition) -> None:
    breaker = Breaker()
    lost = an_attempt(disposition, Scope.CONNECTION, None)
    said = [breaker.see(lost, in_flight=1) for _ in range(MAX_BROKEN_IN_ROW)]
    assert not any(said[:-1])
    assert "in a row" in said[-1]


def test_breaker_waits_for_more_where_more_was_in_flight_until_an_answer_comes() -> None:
    breaker = Breaker()
    lost = an_attempt(Disposition.NOT_SENT, Scope.CONNECTION, None)
    said = [breaker.see(lost, in_flight=50 if number == 0 else 1) for number in range(150)]
    assert not any(said[:-1])
    assert said[-1]
    assert not breaker.see(an_attempt(Disposition.ACCEPTED), in_flight=1)
    said = [breaker.see(lost, in_flight=1) for _ in range(MAX_BROKEN_IN_ROW)]
    assert said[-1]


def test_breaker_stays_closed_when_messages_are_answered_between() -> None:
    breaker = Breaker()
    closing = an_attempt(Disposition.TEMPORARY, Scope.CONNECTION)
    for _ in range(10):
        assert not any(breaker.see(closing, in_flight=1) for _ in range(MAX_BROKEN_IN_ROW - 1))
        assert not breaker.see(an_attempt(Disposition.ACCEPTED), in_flight=1)


def test_breaker_opens_after_equal_domain_refusals_in_a_row() -> None:
    breaker = Breaker()
    refused = an_attempt(Disposition.PERMANENT, Scope.DOMAIN)
    said = [breaker.see(refused, in_flight=1) for _ in range(MAX_DOMAIN_REFUSALS_IN_ROW)]
    assert not any(said[:-1])
    assert "550 5.7.26" in said[-1]


def test_breaker_counts_domain_refusals_anew_after_success_or_another_reply() -> None:
    breaker = Breaker()
    refused = an_attempt(Disposition.PERMANENT, Scope.DOMAIN)
    other = an_attempt(Disposition.PERMANENT, Scope.DOMAIN, Reply(550, "5.7.515", "denied", Stage.BODY))
    for between in (an_attempt(Disposition.ACCEPTED), other):
        assert not any(breaker.see(refused, in_flight=1) for _ in range(MAX_DOMAIN_REFUSALS_IN_ROW - 1))
        assert not breaker.see(between, in_flight=1)


def test_breaker_leaves_refusals_of_the_content_to_each_message() -> None:
    breaker = Breaker()
    busy = an_attempt(
        Disposition.TEMPORARY, Scope.CONNECTION, Reply(451, "4.3.0", "queue file write error", Stage.BODY)
    )
    assert not any(breaker.see(busy, in_flight=1) for _ in range(10 * MAX_BROKEN_IN_ROW))
    closing = an_attempt(Disposition.TEMPORARY, Scope.CONNECTION, Reply(421, "4.3.2", "closing", Stage.BODY))
    assert any(breaker.see(closing, in_flight=1) for _ in range(10 * MAX_BROKEN_IN_ROW))


@pytest.mark.parametrize(
    ("requeues", "delay_s", "slows"), [(0, 0.1, None), (1, 0.2, None), (2, 0.4, None), (3, 0.0, Scope.ACCOUNT)]
)
def test_api_that_is_asked_too_fast_is_asked_again_three_times_before_the_pace_is_lowered(
    requeues: int, delay_s: float, slows: Scope | None
) -> None:
    too_fast = Attempt(
        Disposition.TEMPORARY,
        Reply(429, "", "Maximum sending rate exceeded.", Stage.REQUEST),
        Scope.ACCOUNT,
        advice=Advice.SLOW_DOWN,
    )
    assert Decision(Action.REQUEUE, delay_s=delay_s, slows=slows) == decide(too_fast, requeues=requeues)
    told = too_fast._replace(retry_after_s=7.0)
    assert Decision(Action.REQUEUE, slows=Scope.ACCOUNT) == decide(told, requeues=requeues)

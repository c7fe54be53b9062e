from __future__ import annotations

import pytest

from mailblast.delivery.retry import (
    DEFERRED_MAX_S,
    MAX_BROKEN_IN_ROW,
    MAX_DOMAIN_REFUSALS_IN_ROW,
    MAX_REQUEUES,
    Action,
    Breaker,
    decide,
    deferred_delay_s,
)
from mailblast.model.outcome import Attempt, Disposition, State
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
        (Disposition.TEMPORARY, Scope.ACCOUNT, Action.STOP, State.UNSENT),
        (Disposition.NOT_SENT, Scope.CONNECTION, Action.REQUEUE, State.UNSENT),
        (Disposition.TEMPORARY, Scope.CONNECTION, Action.REQUEUE, State.UNSENT),
    ],
)
def test_decision_follows_disposition_and_scope(
    disposition: Disposition, scope: Scope, action: Action, state: State
) -> None:
    decision = decide(an_attempt(disposition, scope), requeues=0)
    assert (action, state) == (decision.action, decision.state)


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

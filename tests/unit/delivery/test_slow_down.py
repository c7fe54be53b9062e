from __future__ import annotations

import pytest

from mailblast.delivery.slow_down import HOPELESS_S, LEAST_PER_S, LONGEST_ASKED_S, LONGEST_PAUSE_S, PAUSE_S, SlowDown

NOW = 5000.0


def test_complaint_halves_the_rate_and_pauses() -> None:
    slow = SlowDown(20.0)
    slow.complain(NOW, "450 too fast", None)
    assert (10.0, PAUSE_S, "450 too fast") == (slow.rate(NOW), slow.wait_s(NOW), slow.said)
    slow.spend(NOW + PAUSE_S)
    assert slow.wait_s(NOW + PAUSE_S) == pytest.approx(0.1, abs=0.01)


def test_complaints_of_what_was_in_flight_are_one() -> None:
    slow = SlowDown(20.0)
    for number in range(5):
        slow.complain(NOW + number / 10, "450", None)
    assert slow.rate(NOW) == 10.0
    slow.complain(NOW + PAUSE_S + 0.1, "450", None)
    assert slow.rate(NOW + PAUSE_S + 0.1) == pytest.approx(5.0, abs=0.1)


def test_pause_is_what_the_reply_asks_for_within_reason() -> None:
    slow = SlowDown(20.0)
    slow.complain(NOW, "450", 90.0)
    assert slow.wait_s(NOW) == 90.0
    slow.complain(NOW + 1, "450", 1e9)
    assert slow.wait_s(NOW + 1) == LONGEST_ASKED_S


def test_pauses_grow_until_a_message_is_accepted_and_the_rate_has_a_floor() -> None:
    slow, now, pauses = SlowDown(64.0), NOW, []
    for _ in range(12):
        slow.complain(now, "450", None)
        pauses.append(slow.wait_s(now))
        now += pauses[-1]
    assert sorted(pauses) == pauses
    assert pauses[-1] == LONGEST_PAUSE_S
    assert slow.rate(now) >= 1.0
    slow.accepted()
    slow.complain(now, "450", None)
    assert slow.wait_s(now) == PAUSE_S


def test_rate_comes_back_by_a_tenth_a_minute() -> None:
    slow = SlowDown(20.0)
    slow.complain(NOW, "450", None)
    after = NOW + PAUSE_S
    assert [10.0, 12.0, 18.0, 20.0, 20.0] == [
        pytest.approx(slow.rate(after + minutes * 60)) for minutes in (0, 1, 4, 5, 9)
    ]
    assert not slow.is_over(NOW + 1)
    assert not slow.is_over(after + 299)
    assert slow.is_over(after + 301)


def test_rate_that_was_nothing_is_one_a_minute() -> None:
    slow = SlowDown(0.0)
    slow.complain(NOW, "450", None)
    assert slow.rate(NOW) == LEAST_PER_S


def test_hopeless_is_complaint_after_complaint_for_long() -> None:
    slow = SlowDown(20.0)
    slow.complain(NOW, "454", HOPELESS_S + 100)
    assert not slow.is_hopeless(NOW + HOPELESS_S + 100)
    slow.complain(NOW + HOPELESS_S + 100, "454", None)
    assert slow.is_hopeless(NOW + HOPELESS_S + 100)
    slow.accepted()
    assert not slow.is_hopeless(NOW + HOPELESS_S + 100)

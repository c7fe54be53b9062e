from __future__ import annotations

from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from mailblast.providers.smtp.pool_size import SETTLED_FOR_S, SETTLED_MOST_S, LoginPace, PoolSize


def test_pool_size_starts_with_all_that_were_asked_for() -> None:
    size = PoolSize(5, FakeClock().monotonic)
    assert (5, False) == (size.limit, size.is_reduced)


def test_pool_size_settles_and_grows_again_slowly() -> None:
    clock = FakeClock()
    size = PoolSize(10, clock.monotonic)
    for working in (9, 8, 7, 6, 5, 4, 3):
        size.settle(working)
    size.grow()
    assert (3, True) == (size.limit, size.is_reduced)
    clock.advance(SETTLED_FOR_S)
    size.grow()
    size.grow()
    assert 4 == size.limit


def test_pool_size_growth_that_is_refused_waits_twice_as_long() -> None:
    clock = FakeClock()
    size = PoolSize(10, clock.monotonic)
    size.settle(3)
    waits = []
    for _ in range(7):
        waited = 0.0
        while size.limit == 3:
            clock.advance(SETTLED_FOR_S)
            waited += SETTLED_FOR_S
            size.grow()
        waits.append(waited)
        size.settle(3)
    assert [60.0, 120.0, 240.0, 480.0, SETTLED_MOST_S, SETTLED_MOST_S, SETTLED_MOST_S] == waits


def test_pool_size_growth_that_lasts_makes_the_next_one_quicker() -> None:
    clock = FakeClock()
    size = PoolSize(10, clock.monotonic)
    size.settle(3)
    clock.advance(60)
    size.grow()
    size.settle(3)
    clock.advance(120)
    size.grow()
    clock.advance(120)
    size.grow()
    assert 5 == size.limit
    clock.advance(60)
    size.grow()
    assert 6 == size.limit


def test_pool_size_never_falls_below_one() -> None:
    size = PoolSize(2, FakeClock().monotonic)
    size.settle(0)
    assert 1 == size.limit


@given(st.integers(1, 20), st.lists(st.floats(0, 3), max_size=100))
def test_login_pace_no_second_has_more_turns_than_allowed(per_s: int, pauses: list[float]) -> None:
    clock = FakeClock(0.0)
    pace = LoginPace(per_s, clock.monotonic)
    turns = []
    for pause in pauses:
        clock.advance(pause)
        turns.append(clock.time_s + pace.turn_s())
    for index in range(len(turns) - per_s):
        assert turns[index + per_s] - turns[index] >= 1.0 - 1e-6


def test_login_pace_waits_only_when_a_second_is_full() -> None:
    clock = FakeClock()
    pace = LoginPace(3, clock.monotonic)
    assert [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0] == [pace.turn_s() for _ in range(7)]


def test_login_pace_without_limit_never_waits() -> None:
    pace = LoginPace(None, FakeClock().monotonic)
    assert {0.0} == {pace.turn_s() for _ in range(100)}

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import JournalError
from mailblast.executors.gathering import GROUP, LONGEST_S, Gathering
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Sequence


def outcomes(count: int) -> list[Outcome]:
    return [Outcome(number, "k", "a@x.test", 1, State.ACCEPTED, 0.0) for number in range(count)]


def test_outcomes_are_handed_on_in_groups() -> None:
    groups: list[int] = []
    gathering = Gathering(lambda group: groups.append(len(group)), FakeClock())
    assert not gathering.add(outcomes(GROUP - 1))
    assert gathering.add(outcomes(1))
    assert [GROUP] == groups


def test_outcomes_do_not_wait_longer_than_a_second() -> None:
    clock, groups = FakeClock(), list[int]()
    gathering = Gathering(lambda group: groups.append(len(group)), clock)
    assert not gathering.add(outcomes(1))
    clock.advance(LONGEST_S)
    assert gathering.add(outcomes(2))
    assert [3] == groups


def test_group_of_one_hands_on_each_batch() -> None:
    groups: list[int] = []
    gathering = Gathering(lambda group: groups.append(len(group)), FakeClock(), group=1)
    assert gathering.add(outcomes(3))
    assert [3] == groups


def test_flush_hands_on_what_there_is_and_nothing_twice() -> None:
    groups: list[int] = []
    gathering = Gathering(lambda group: groups.append(len(group)), FakeClock())
    gathering.add(outcomes(2))
    gathering.flush()
    gathering.flush()
    assert [2] == groups


def test_outcomes_that_could_not_be_written_are_not_tried_for_ever() -> None:
    def full(_: Sequence[Outcome]) -> None:
        raise JournalError("disk full")

    gathering = Gathering(full, FakeClock())
    gathering.add(outcomes(1))
    with pytest.raises(JournalError):
        gathering.flush()
    gathering.flush()

"""Ids as runs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.executors.queue.runs import runs_by_state, runs_of

IDS = st.lists(st.integers(0, 40), unique=True)


def ids_of(runs: str) -> list[int]:
    return [each for first, last in re.findall(r"(\d+)-(\d+)", runs) for each in range(int(first), int(last) + 1)]


@pytest.mark.parametrize(
    ("ids", "runs"),
    [([], ""), ([0], "0-0"), ([7, 8, 9, 12], "7-9,12-12"), ([3, 2, 1], "3-3,2-2,1-1"), ([1, 3, 4], "1-1,3-4")],
)
def test_runs_of_ids(ids: list[int], runs: str) -> None:
    assert runs == runs_of(ids)


@given(IDS)
def test_runs_are_the_ids_in_their_order(ids: list[int]) -> None:
    assert ids == ids_of(runs_of(ids))


@given(IDS, IDS)
def test_runs_by_state_are_the_sorted_ids_of_each(first: list[int], second: list[int]) -> None:
    runs = runs_by_state({1: first, 15: second} if first and second else {1: first})
    of_first = [run for run in runs.split(",") if run.endswith(":1")]
    of_second = [run for run in runs.split(",") if run.endswith(":15")]
    assert sorted(first) == ids_of(",".join(of_first))
    assert (sorted(second) if first and second else []) == ids_of(",".join(of_second))

from __future__ import annotations

import os

import pytest

from mailblast.cli.process_count import ALL_CORES, parse_processes, process_count
from mailblast.errors import UsageError


@pytest.mark.parametrize(("text", "expected"), [("1", 1), ("64", 64), ("auto", ALL_CORES)])
def test_number_of_processes_is_read(text: str, expected: int) -> None:
    assert expected == parse_processes(text)


@pytest.mark.parametrize("text", ["0", "65", "-1", "two", "", "²"])
def test_number_of_processes_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no number of processes"):
        parse_processes(text)


@pytest.mark.parametrize(
    ("wanted", "connections", "expected"),
    [(4, 10, 4), (4, 3, 3), (1, 10, 1), (ALL_CORES, 1, 1), (ALL_CORES, 9, 1), (ALL_CORES, 10, 2), (ALL_CORES, 200, 3)],
)
def test_processes_share_the_connections(
    wanted: int, connections: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)

    assert expected == process_count(wanted, connections)

"""Ids as runs: those of a batch, and of a turn, follow each other nearly always, and are told as first and last."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


def runs_of(ids: Iterable[int], after: str = "") -> str:
    """Return ids in their order as runs, ``7-9,12-12``.

    Args:
        ids: Each once.
        after: Text behind each run.
    """
    runs = []
    first = last = -1
    for each in ids:
        if each != last + 1 or first < 0:
            if first >= 0:
                runs.append(f"{first}-{last}{after}")
            first = each
        last = each
    if first >= 0:
        runs.append(f"{first}-{last}{after}")
    return ",".join(runs)


def runs_by_state(ids: Mapping[int, Sequence[int]]) -> str:
    """Return the runs of ids by state, ``7-9:1,12-12:3``; their order does not matter and is not kept."""
    return ",".join([runs_of(sorted(some), f":{state}") for state, some in ids.items()])

"""At which volumes another approach becomes the cheapest: exact, as all prices are straight lines in pieces."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from mailblast.costs.plan import Line


class Crossing(NamedTuple):
    """From ``volume`` messages a month on, ``after`` is cheaper than ``before``."""

    volume: int
    #: Empty where nothing carries a smaller volume.
    before: str
    after: str
    #: What ``after`` costs there, in US dollars a month.
    monthly: Decimal

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "volume": self.volume,
            "from": self.before,
            "to": self.after,
            "monthly": float(round(self.monthly, 2)),
        }


class _Candidate(NamedTuple):
    approach: str
    line: Line


def crossings(lines: Mapping[str, Sequence[Line]], upto: int) -> list[Crossing]:
    """Return where the cheapest approach changes between 1 and ``upto`` messages a month, in rising order.

    Whoever is cheapest stays so until another is strictly cheaper. The one that is cheapest for a single message is no
    crossing.

    Args:
        lines: Of all plans of an approach, in any order, hidden costs included; earlier approaches win ties.
        upto: Largest volume that is looked at.
    """
    candidates = [_Candidate(approach, line) for approach, each in lines.items() for line in each]
    edges = {1, upto + 1}
    for _, line in candidates:
        edges.add(line.first)
        if line.last is not None:
            edges.add(line.last + 1)
    inside = sorted(edge for edge in edges if 1 <= edge <= upto + 1)
    found: list[Crossing] = []
    current = ""
    for start, end in pairwise(inside):
        there = [each for each in candidates if _covers(each.line, start)]
        if not there:
            current = ""
            continue
        volume = start
        while volume < end:
            best = min(there, key=lambda each: _rank(each, volume, current))
            if best.approach != current:
                found.append(Crossing(volume, current, best.approach, best.line.at(volume)))
                current = best.approach
            volume = min((_overtakes(each.line, best.line, volume) or end for each in there), default=end)
    return [each for each in found if each.volume > 1]


def _covers(line: Line, volume: int) -> bool:
    return line.first <= volume and (line.last is None or volume <= line.last)


def _rank(candidate: _Candidate, volume: int, current: str) -> tuple[Decimal, bool, Decimal]:
    line = candidate.line
    return line.at(volume), candidate.approach != current, line.each


def _overtakes(other: Line, best: Line, volume: int) -> int | None:
    """Return the first volume after this one at which the other is strictly cheaper; None where there is none."""
    if other.each >= best.each:
        return None
    lead = Fraction(other.at(volume) - best.at(volume))
    return volume + floor(lead / Fraction(best.each - other.each)) + 1

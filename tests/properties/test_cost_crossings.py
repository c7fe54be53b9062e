"""Crossings against trying every volume."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from mailblast.costs.crossings import crossings
from mailblast.costs.plan import Line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

UPTO = 60


@st.composite
def lines(draw: st.DrawFn) -> list[Line]:
    first = draw(st.integers(1, UPTO))
    last = draw(st.none() | st.integers(first, UPTO + 5))
    cents = st.integers(0, 300).map(lambda each: Decimal(each) / 100)
    return [Line(first, last, draw(cents), draw(cents))]


def cheapest(each: Mapping[str, Sequence[Line]], volume: int) -> dict[str, Decimal]:
    """Return the lowest price, with all that have it."""
    prices = {
        approach: min(line.at(volume) for line in there)
        for approach, all_of_it in each.items()
        if (there := [line for line in all_of_it if line.first <= volume and (line.last or UPTO) >= volume])
    }
    best = min(prices.values(), default=None)
    return {approach: price for approach, price in prices.items() if price == best}


@given(st.dictionaries(st.sampled_from("abcd"), lines() | st.tuples(lines(), lines()).map(lambda two: two[0] + two[1])))
def test_crossings_are_what_trying_every_volume_finds(each: dict[str, list[Line]]) -> None:
    found = {crossing.volume: crossing for crossing in crossings(each, UPTO)}
    current = ""
    for volume in range(1, UPTO + 1):
        best = cheapest(each, volume)
        if volume in found:
            crossing = found[volume]
            assert crossing.after in best
            assert crossing.monthly == best[crossing.after]
            assert crossing.before == current
            assert current not in best
            current = crossing.after
        elif volume == 1 or not best:
            # Whoever begins; ties are told apart by the slope.
            current = min(best, key=lambda name: _slope(each[name], volume), default="")
        else:
            assert current in best


def _slope(of: Sequence[Line], volume: int) -> tuple[Decimal, Decimal]:
    there = [line for line in of if line.first <= volume and (line.last or UPTO) >= volume]
    return min((line.at(volume), line.each) for line in there)

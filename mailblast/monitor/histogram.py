"""Times of messages, counted between fixed edges, so that percentiles cost no memory."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Four to an octave, from 10 us to 45 min: a percentile is off by 10 % at most.
EDGES_S: tuple[float, ...] = tuple(10e-6 * 2.0 ** (step / 4) for step in range(113))

#: What a time between two edges counts as: their geometric mean. Beyond the ends it counts as the end.
_MIDDLES_MS: tuple[float, ...] = tuple(
    1_000 * middle for middle in (EDGES_S[0], *(sqrt(low * high) for low, high in pairwise(EDGES_S)), EDGES_S[-1])
)

#: Bin k holds times from edge k - 1 up to, but without, edge k (``bisect_right(EDGES_S, time)``).
BINS = len(_MIDDLES_MS)


def percentile_ms(counts: Sequence[int], share: float) -> float:
    """Return the time in milliseconds that ``share`` of all messages kept to (nearest rank); 0 for no message.

    Args:
        counts: Messages in each of ``BINS`` bins.
        share: Above 0, up to 1.
    """
    wanted = ceil(share * sum(counts))
    seen = 0
    for middle_ms, count in zip(_MIDDLES_MS, counts, strict=True):
        seen += count
        if count and seen >= wanted:
            return middle_ms
    return 0.0

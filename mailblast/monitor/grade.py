"""Figures of a window to a grade, by the guide's rules. Pure."""

from __future__ import annotations

import math
from typing import NamedTuple

#: Points off for throughput below so many messages a second. With a rate limit the same numbers are percent of it.
_SLOW = ((10, 50), (50, 25), (100, 10))
#: Points off for an average time above so many milliseconds.
_LATE = ((5_000, 30), (2_000, 15), (1_000, 5))
_LETTERS = ((90, "A"), (80, "B"), (70, "C"), (60, "D"))

#: The part of a rate limit that counts as keeping it. A paced run always measures a little under its limit: messages
#: of the window's last moments are still in flight, and a wait ends on the next tick of the event loop.
KEPT_PERCENT = 97


class Grade(NamedTuple):
    """How well a run goes."""

    #: A to F, or ``-`` where there was nothing to grade.
    letter: str
    #: 100 less the penalties; below 0 where they are more than that.
    score: float
    #: A few words for each penalty, the points at the end.
    reasons: tuple[str, ...]

    @property
    def alarming(self) -> bool:
        """Whether someone should be told (D or F)."""
        return self.letter in {"D", "F"}


#: Where nothing was attempted in the window: neither good nor bad.
UNGRADED = Grade("-", 100.0, ())


def grade(
    *, error_rate: float, throughput_per_s: float, average_ms: float, rate_limit_per_s: float | None = None
) -> Grade:
    """Grade a window.

    100, less error rate x 100; less 50, 25 or 10 for a throughput below 10, 50 or 100 messages a second; less 30, 15
    or 5 for an average time above 5,000, 2,000 or 1,000 ms. From 90 A, from 80 B, from 70 C, from 60 D, else F.

    Where a rate limit is set, the throughput thresholds are 10, 50 and 100 % of that limit, so that a run which keeps
    its limit is not punished; 97 % of the limit counts as keeping it (``KEPT_PERCENT``).

    Args:
        error_rate: Share of attempted messages that were not accepted, 0 to 1.
        throughput_per_s: Messages attempted a second.
        average_ms: Average time of one message.
        rate_limit_per_s: Positive and finite; None where the run has no limit.

    Raises:
        ValueError: The rate limit is not positive and finite.
    """
    penalties: list[tuple[float, str]] = []
    if error_rate > 0:
        penalties.append((error_rate * 100, f"{error_rate * 100:.3g} % not accepted"))
    penalties += _slowness(throughput_per_s, rate_limit_per_s)
    for above_ms, points in _LATE:
        if average_ms > above_ms:
            penalties.append((points, f"average {average_ms:,.0f} ms is above {above_ms:,} ms"))
            break
    # Rounded, so that 100 - 0.07 * 100 is 93 and not a hair less.
    score = round(100 - sum(points for points, _ in penalties), 9)
    letter = next((letter for least, letter in _LETTERS if score >= least), "F")
    return Grade(letter, score, tuple(f"{reason} (-{points:.3g})" for points, reason in penalties))


def check_rate_limit(rate_limit_per_s: float | None) -> None:
    """Raise ``ValueError`` for a rate limit that no grade can be measured against."""
    if rate_limit_per_s is not None and not 0 < rate_limit_per_s < math.inf:
        raise ValueError(f"rate limit {rate_limit_per_s} is not positive and finite")


def _slowness(throughput_per_s: float, rate_limit_per_s: float | None) -> list[tuple[float, str]]:
    check_rate_limit(rate_limit_per_s)
    for step, points in _SLOW:
        if rate_limit_per_s is None:
            below, reason = float(step), f"{step}/s"
        else:
            percent = min(step, KEPT_PERCENT)
            below, reason = rate_limit_per_s * percent / 100, f"{percent} % of the limit of {rate_limit_per_s:.4g}/s"
        if throughput_per_s < below:
            return [(points, f"{throughput_per_s:.1f}/s is below {reason}")]
    return []

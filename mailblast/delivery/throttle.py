"""Rate limits: smooth, without bursts, counted in recipients."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from mailblast.errors import UsageError

UNIT_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400}
UNIT_SECONDS["day"] = UNIT_SECONDS["d"]
#: How late a permit may be taken without being lost: event loops wake late by a millisecond or two, and at 100/s that
#: is a sixth of the rate.
SLACK_S = 0.005
RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)


class Rate(NamedTuple):
    """A limit of ``recipients`` in ``per_s`` seconds."""

    recipients: float
    per_s: float

    @property
    def per_second(self) -> float:
        """The same limit by the second."""
        return self.recipients / self.per_s


def parse_rate(text: str) -> Rate | None:
    """Read ``14/s``, ``600/min``, ``5000/h``, ``20000/day``; ``none`` is no limit.

    Raises:
        UsageError: The text is none of these, or the count is zero.
    """
    if text.strip().lower() == "none":
        return None
    match = RATE.fullmatch(text)
    unit = UNIT_SECONDS.get(match[2].lower()) if match else None
    if match is None or unit is None or float(match[1]) <= 0:
        raise UsageError(f"'{text}' is not a rate.", fix="Write it like 14/s, 600/min, 5000/h, 20000/day or none.")
    return Rate(float(match[1]), float(unit))


class Throttle:
    """Several limits at once; a permit is given when all of them allow it.

    Each limit spaces its permits evenly (the generic cell rate algorithm with a burst of one). One that is taken late,
    by up to ``SLACK_S``, does not delay those after it; the spacing has that much room, so that all the same no window
    of a limit's length ever holds more than its count.

    Args:
        rates: The limits; none at all lets everything pass.
    """

    def __init__(self, rates: tuple[Rate, ...] = ()) -> None:
        self._intervals = tuple((rate.per_s + SLACK_S) / rate.recipients for rate in rates)
        self._next = [-math.inf] * len(rates)
        #: The tightest limit, for the grade and for estimates; None where there is none.
        self.per_second = min((rate.per_second for rate in rates), default=None)

    def delay_s(self, now: float) -> float:
        """Return the seconds until a permit may be taken; zero or less is now.

        Args:
            now: Monotonic seconds.
        """
        return max(self._next, default=now) - now

    def take(self, now: float) -> None:
        """Spend one permit. Only when ``delay_s(now)`` allows it."""
        for index, interval in enumerate(self._intervals):
            self._next[index] = max(self._next[index], now - SLACK_S) + interval

"""Rates as users write them."""

from __future__ import annotations

import re
from typing import NamedTuple

from mailblast.errors import UsageError

UNIT_SECONDS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86400}
UNIT_SECONDS["day"] = UNIT_SECONDS["d"]
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

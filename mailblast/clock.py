"""Time as a parameter, so that tests do not sleep."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What the pipeline asks of time. All values are seconds."""

    def now(self) -> float:
        """Return the time of day as Unix seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less yields once."""
        ...


class SystemClock:
    """The machine's own clock."""

    # Asked a dozen times for each message, so without a call in between.

    #: Returns the time of day as Unix seconds.
    now = staticmethod(time.time)
    #: Returns seconds since some fixed point.
    monotonic = staticmethod(time.monotonic)

    async def sleep(self, seconds: float) -> None:
        """Wait with asyncio."""
        await asyncio.sleep(seconds)

"""Waiting for the time at which a campaign is to start, for providers that keep nothing themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailblast.clock import Clock

#: The time of day is looked at again after so many seconds, for it may be set, and machines sleep.
LOOK_S = 30.0


async def wait_until(when_s: float, clock: Clock, *, stopping: asyncio.Event | None = None) -> bool:
    """Wait for a time of day. Cancelling ends the wait at once.

    Args:
        when_s: Unix seconds; past times are not waited for.
        clock: The time of day and the waits.
        stopping: Ends the wait early when set.

    Returns:
        Whether the time has come; False where ``stopping`` came first.
    """
    while (remaining_s := when_s - clock.now()) > 0:
        if stopping is None:
            await clock.sleep(min(remaining_s, LOOK_S))
            continue
        if stopping.is_set():
            return False
        slept = asyncio.ensure_future(clock.sleep(min(remaining_s, LOOK_S)))
        stopped = asyncio.ensure_future(stopping.wait())
        try:
            await asyncio.wait({slept, stopped}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            slept.cancel()
            stopped.cancel()
    return stopping is None or not stopping.is_set()

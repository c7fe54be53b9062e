"""How busy the event loop is."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: How often it is measured, in seconds.
EVERY_S = 0.05
#: Share of its time that a busy thread computes for.
HIGH = 0.5


class Load:
    """Whether this thread computes most of the time, or mostly waits for others.

    Args:
        monotonic: Seconds that never go back.
        computed: Seconds that this thread has computed for.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        computed: Callable[[], float] = time.thread_time,
    ) -> None:
        self._monotonic = monotonic
        self._computed = computed
        self._since_s = monotonic()
        self._since_computed_s = computed()
        self._is_high = False

    def is_high(self) -> bool:
        """Return whether it was busy in the last interval."""
        now = self._monotonic()
        if now - self._since_s >= EVERY_S:
            computed_s = self._computed()
            self._is_high = computed_s - self._since_computed_s > HIGH * (now - self._since_s)
            self._since_s, self._since_computed_s = now, computed_s
        return self._is_high

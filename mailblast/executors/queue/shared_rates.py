"""Rates that all workers keep together, by the clock of the queue's server.

A rate hands out moments: each worker reserves the next few that are free and sends when they come. That takes a fifth
of the server's time that asking until one is allowed does, and works however many ask. Moments are a little further
apart than the rate says, for what wakes late; one that was missed by more than that is let go. A domain's rate is asked
for when a message is about to go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailblast.executors.queue.store import QueueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.delivery.throttle import Rate

#: How late a moment may be used.
LATE_S = 0.015
#: What each window of a rate is longer than its unit.
SPREAD_S = 0.030
#: Moments that are reserved at once lie within so many seconds.
AHEAD_S = 0.020
#: Wait before another try while the server is away.
AWAY_S = 0.5

#: KEYS the time of the next moment in microseconds; ARGV interval, how many -> microseconds until the first one.
RESERVE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local first = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
if first > now + 86400000000 then first = now end
local next = first + ARGV[1] * ARGV[2]
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1000)
return math.ceil(first - now)
"""

#: A rate that is asked when a message is about to go. ARGV interval -> microseconds to wait, 0 where a permit is taken.
TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next = tonumber(redis.call('GET', KEYS[1]) or 0)
if next > now then return math.ceil(next - now) end
next = math.max(next, now - 10000) + ARGV[1]
redis.call('SET', KEYS[1], string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1000)
return 0
"""


class _SharedRate:
    """What both have in common.

    Args:
        script: Run at the server; returns microseconds.
        key: Whose rate.
        rate: How many.
        words: For the screen.
        monotonic: Seconds.
    """

    is_daily = False

    def __init__(
        self, script: Callable[..., Any], key: str, rate: Rate, words: str, monotonic: Callable[[], float]
    ) -> None:
        self.words = words
        self._script = script
        self._key = key
        self._interval = (rate.per_s + SPREAD_S) / rate.recipients
        self._monotonic = monotonic

    def give_back(self, _now: float, /) -> None:
        """Nothing: the moment has passed."""


class Moments(_SharedRate):
    """A rate that holds for everybody: moments at which a message may go. Attributes and methods as of ``Limit``."""

    def __init__(
        self, script: Callable[..., Any], key: str, rate: Rate, words: str, monotonic: Callable[[], float]
    ) -> None:
        super().__init__(script, key, rate, words, monotonic)
        self._at_once = max(1, int(AHEAD_S / self._interval))
        self._next_s = 0.0
        self._left = 0
        self._away_until_s = 0.0

    def wait_s(self, _now: float, /) -> float:
        """Return the seconds until the next moment, which is reserved now where none is."""
        now = self._monotonic()
        while self._left and now > self._next_s + LATE_S:
            self._left -= 1
            self._next_s += self._interval
        if not self._left and not self._reserve(now):
            return AWAY_S
        return self._next_s - self._monotonic()

    def take(self) -> bool:
        """Use the moment that has come."""
        if not self._left or self._next_s > self._monotonic():
            return False
        self._left -= 1
        self._next_s += self._interval
        return True

    def read(self, now: float, /) -> float:
        """Return as ``wait_s()``."""
        return self.wait_s(now)

    def spend(self, _now: float, /) -> None:
        """Use the moment that has come."""
        self.take()

    def _reserve(self, now: float) -> bool:
        if now < self._away_until_s:
            return False
        try:
            wait = self._script(keys=[self._key], args=[round(self._interval * 1e6), self._at_once])
        except QueueError:
            self._away_until_s = now + AWAY_S
            return False
        # From when the answer is here: never early.
        self._next_s = self._monotonic() + int(wait) / 1e6
        self._left = self._at_once
        return True


class DomainRate(_SharedRate):
    """A domain's rate; asked when a message is about to go there. Attributes and methods as of ``Limit``."""

    def __init__(
        self, script: Callable[..., Any], key: str, rate: Rate, words: str, monotonic: Callable[[], float]
    ) -> None:
        super().__init__(script, key, rate, words, monotonic)
        self._ready_s = 0.0

    def wait_s(self, _now: float, /) -> float:
        """Return the seconds until a permit by what is known."""
        return self._ready_s - self._monotonic()

    def take(self) -> bool:
        """Take a permit, if there is one."""
        try:
            wait = int(self._script(keys=[self._key], args=[round(self._interval * 1e6)])) / 1e6
        except QueueError:
            wait = AWAY_S
        self._ready_s = self._monotonic() + (wait if wait > 0 else self._interval)
        return wait <= 0

    def read(self, now: float, /) -> float:
        """Return as ``wait_s()``."""
        return self.wait_s(now)

    def spend(self, _now: float, /) -> None:
        """Nothing: ``take()`` did it."""

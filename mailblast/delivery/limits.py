"""Limits that hold at once: so many recipients in a second, an hour, a day. Kept in a ``LimitsFile``.

A rate spaces its permits evenly (the generic cell rate algorithm with a burst of one). Event loops wake late by some
milliseconds, and at 100/s ten of these are the whole spacing: so a permit that is taken late by up to ``LATE_S`` does
not delay those after it, and the spacing has room for that, and as much again for what the network adds until the
other end counts. No window of a rate's length ever holds more than its count, and 98 % of it can be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mailblast.delivery.limits_file import SLOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.delivery.limits_file import LimitsFile, Place
    from mailblast.delivery.throttle import Rate

#: How late a permit may be taken without being lost.
LATE_S = 0.010
#: What each window of a rate is longer than its unit: the lateness, and the network's.
SPREAD_S = 0.020
#: Tries for the lock when a permit is given back; it is held for microseconds.
LOCK_TRIES = 200
#: Wait before another try for the lock.
LOCKED_S = 0.0005


class Limit(Protocol):
    """One limit. ``read()``, ``spend()`` and ``give_back()`` under the file's lock. All times are Unix seconds."""

    #: For the screen, such as ``rate 14/s``.
    words: str
    #: Whether a permit may be hours away.
    is_daily: bool

    def wait_s(self, now: float, /) -> float:
        """Return the seconds until a permit may be taken by what is known; zero or less is now."""
        ...

    def read(self, now: float, /) -> float:
        """Look at what other processes have taken; return as ``wait_s()``."""
        ...

    def spend(self, now: float, /) -> None:
        """Take a permit, right after ``read()`` allowed it."""
        ...

    def give_back(self, now: float, /) -> None:
        """Take back a permit whose recipient will need another one."""
        ...


class DailyLimit(Limit, Protocol):
    """One limit by the day."""

    #: Recipients that a day has room for, by what is known.
    cap: int


class RateLimit:
    """So many recipients in some seconds, evenly.

    Args:
        file: Where the time of the next permit is kept.
        scope: What is limited. Rates of one scope and unit share their permits, though they differ in number.
        rate: How many.
        words: For the screen.
    """

    is_daily = False

    def __init__(self, file: LimitsFile, scope: str, rate: Rate, words: str) -> None:
        self.words = words
        self.rate = rate
        self._file = file
        self._name = f"rate {scope} {rate.per_s:g}"
        self._interval = (rate.per_s + SPREAD_S) / rate.recipients
        self._next_s = 0.0
        self._place = self._find()

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next permit by what is known."""
        wait = self._next_s - now
        if wait > self._interval:
            # The clock was put back.
            self._next_s = now + self._interval
            return self._interval
        return wait

    def read(self, now: float) -> float:
        """Look at the file; return the seconds until the next permit."""
        key, next_s, *_ = SLOT.unpack(self._file.read(self._place.offset, SLOT.size))
        if key != self._place.key:
            self._place = self._find()
        elif next_s <= now + self._interval:
            self._next_s = next_s
        else:
            # Written under another clock, or damage. Told to the others, or each look would put it off again.
            self._next_s = now + self._interval
            self._keep()
        return self.wait_s(now)

    def spend(self, now: float) -> None:
        """Take a permit."""
        self._next_s = max(self._next_s, now - LATE_S) + self._interval
        self._keep()

    def give_back(self, _now: float, /) -> None:
        """Nothing: the moment has passed."""

    def _find(self) -> Place:
        place = self._file.slot(self._name)
        if place.is_new and self._file.whole_since_s:
            # What was taken shortly before the file was damaged is not known.
            self._next_s = max(self._next_s, self._file.whole_since_s + self._interval)
        if place.is_new and self._next_s:
            self._keep(place)
        return place

    def _keep(self, place: Place | None = None) -> None:
        place = place or self._place
        self._file.write(place.offset, SLOT.pack(place.key, self._next_s, 0, 0, 0, 0))


class Limits:
    """Takes a permit from several limits at once, all or none.

    Args:
        file: Of all these limits.
    """

    def __init__(self, file: LimitsFile) -> None:
        self._file = file

    def wait_s(self, limits: Sequence[Limit], now: float) -> float:
        """Return the seconds until all of these may allow a recipient; zero or less is now. Reads no file."""
        return max([limit.wait_s(now) for limit in limits], default=0.0)

    def take(self, limits: Sequence[Limit], now: float) -> float:
        """Take a permit of each; return 0, or the seconds until another try is worth it and nothing is taken."""
        file = self._file
        if not file.lock():
            return LOCKED_S
        try:
            # Another process may have taken what was free a moment ago.
            wait = max([limit.read(now) for limit in limits])
            if wait > 0:
                return wait
            for limit in limits:
                limit.spend(now)
        finally:
            file.unlock()
        return 0.0

    def look(self, limits: Sequence[Limit], now: float) -> None:
        """Learn what earlier runs have taken."""
        self._file.wait_for_lock()
        try:
            for limit in limits:
                limit.read(now)
        finally:
            self._file.unlock()

    def give_back(self, limits: Sequence[Limit], now: float) -> None:
        """Give back permits of days: the recipient did not get the message and will be tried again."""
        if any(self._file.lock() for _ in range(LOCK_TRIES)):
            try:
                for limit in limits:
                    limit.give_back(now)
            finally:
                self._file.unlock()

"""Limits that hold at once: so many recipients in a second, an hour, a day. Kept in a ``LimitsFile``.

A rate spaces its permits evenly (the generic cell rate algorithm with a burst of one). Event loops wake late by some
milliseconds, and at 100/s ten of these are the whole spacing: so a permit that is taken late by up to ``LATE_S`` does
not delay those after it, and the spacing has room for that, and as much again for what the network adds until the
other end counts. No window of a rate's length ever holds more than its count, and 98 % of it can be used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mailblast.delivery.limits_file import QUARTERS, RING, SLOT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.delivery.limits_file import LimitsFile, Place
    from mailblast.delivery.throttle import Rate

#: How late a permit may be taken without being lost.
LATE_S = 0.010
#: What each window of a rate is longer than its unit: the lateness, and the network's.
SPREAD_S = 0.020
DAY_S = 86_400
QUARTER_S = 900
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


class DayLimit:
    """So many recipients in a calendar day (UTC), as fast as other limits allow.

    Args:
        file: Where the count is kept.
        scope: What is limited.
        cap: How many.
        words: For the screen.
    """

    is_daily = True

    def __init__(self, file: LimitsFile, scope: str, cap: int, words: str) -> None:
        self.words = words
        self._file = file
        self._name = f"day {scope}"
        self._cap = cap
        self._ready_s = 0.0
        self._day = 0
        self._count = 0
        self._step = 0
        self._place = file.slot(self._name)

    @property
    def cap(self) -> int:
        """How many today, as of the last ``read()``."""
        return self._cap

    @property
    def used(self) -> int:
        """How many went today, as of the last ``read()``."""
        return self._count

    def wait_s(self, now: float) -> float:
        """Return the seconds until a permit by what is known."""
        return self._ready_s - now

    def read(self, now: float) -> float:
        """Look at the file; return the seconds until a permit: the rest of the day where the count is reached."""
        today = int(now // DAY_S)
        day, count, step = self._values()
        # A day to come was written under another clock; what was counted then counts now.
        self._count = count if day >= today else 0
        self._step = self._step_of(day, today, step)
        self._cap = self._cap_of(self._step)
        self._ready_s = 0.0 if self._count < self._cap else (today + 1.0) * DAY_S
        return self._ready_s - now

    def spend(self, now: float) -> None:
        """Take a permit."""
        self._write(int(now // DAY_S), self._count + 1)

    def give_back(self, now: float) -> None:
        """Count one recipient less today."""
        self.read(now)
        if self._count:
            self._ready_s = 0.0
            self._write(int(now // DAY_S), self._count - 1)

    def _write(self, day: int, count: int) -> None:
        self._day, self._count = day, count
        self._file.write(self._place.offset, SLOT.pack(self._place.key, 0.0, day, count, self._step, 0))

    def _values(self) -> tuple[int, int, int]:
        key, _, day, count, step, _ = SLOT.unpack(self._file.read(self._place.offset, SLOT.size))
        if key != self._place.key:
            # Lost; what this process has seen is in its memory, and is told to the others.
            self._place = self._file.slot(self._name)
            self._write(self._day, self._count)
            return self._day, self._count, self._step
        return day, count, step

    def _step_of(self, _day: int, _today: int, _step: int, /) -> int:
        """Return the step of a ramp that today is on, given the last day on which something was sent and its step."""
        return 0

    def _cap_of(self, _step: int, /) -> int:
        return self._cap


class WarmUpLimit(DayLimit):
    """A cap that grows with each day on which something is sent; see ``warm_up.py``.

    Args:
        file: Where the day of the ramp and the count are kept.
        scope: What is warmed up.
        ramp: Recipients on each day of the ramp; there is no cap after its last day.
    """

    #: Days without mail after which the ramp goes back, one step for each such time.
    PAUSE_DAYS = 30
    #: More than can be sent.
    NO_CAP = 2**32 - 1

    def __init__(self, file: LimitsFile, scope: str, ramp: Sequence[int]) -> None:
        super().__init__(file, f"warm-up {scope}", 0, "warm-up")
        self._ramp = ramp

    def read(self, now: float) -> float:
        """Look at the file; return the seconds until a permit."""
        wait = super().read(now)
        if self._step < len(self._ramp):
            self.words = f"warm-up, day {self._step + 1} of {len(self._ramp)}"
        else:
            self.words = "warm-up, over"
        return wait

    def _step_of(self, day: int, today: int, step: int, /) -> int:
        if day == 0:
            return 0
        gap = today - day
        if gap <= 0:
            return step
        return step + 1 if gap <= self.PAUSE_DAYS else max(0, step - gap // self.PAUSE_DAYS)

    def _cap_of(self, step: int, /) -> int:
        return self._ramp[step] if step < len(self._ramp) else self.NO_CAP


class RollingLimit:
    """So many recipients in any 24 hours, as providers count their quotas.

    Counted by quarters of an hour: what was sent in one comes free when it is 24 hours and a quarter old at most.

    Args:
        file: Where the counts are kept.
        scope: What is limited.
        cap: How many.
        words: For the screen.
    """

    is_daily = True

    def __init__(self, file: LimitsFile, scope: str, cap: int, words: str) -> None:
        self.words = words
        self.cap = cap
        self._file = file
        self._name = f"24 h {scope}"
        self._counts = [0] * QUARTERS
        self._newest = 0
        self._sum = 0
        self._ready_s = 0.0
        self._place = file.ring(self._name)

    @property
    def used(self) -> int:
        """How many went in the last 24 hours, as of the last ``read()``."""
        return self._sum

    def leave(self, left: int, now: float) -> None:
        """Allow no more than so many from now on: others have used the same account. Under the lock."""
        self.read(now)
        self.cap = min(self.cap, self._sum + left)

    def wait_s(self, now: float) -> float:
        """Return the seconds until a permit by what is known."""
        return self._ready_s - now

    def read(self, now: float) -> float:
        """Look at the file; return the seconds until a permit."""
        key, newest, _, *counts = RING.unpack(self._file.read(self._place.offset, RING.size))
        if key == self._place.key:
            self._newest, self._counts = newest, counts
        else:
            # Lost; what this process has seen is in its memory, and is told to the others.
            self._place = self._file.ring(self._name)
            self._write()
        self._advance(int(now // QUARTER_S))
        self._sum = sum(self._counts)
        self._ready_s = 0.0 if self._sum < self.cap else self._free_s()
        return self._ready_s - now

    def spend(self, _now: float, /) -> None:
        """Take a permit."""
        self._counts[self._newest % QUARTERS] += 1
        self._write()

    def give_back(self, now: float) -> None:
        """Count one recipient less in the newest quarter that has one."""
        self.read(now)
        for quarter in range(self._newest, self._newest - QUARTERS, -1):
            if self._counts[quarter % QUARTERS]:
                self._counts[quarter % QUARTERS] -= 1
                self._ready_s = 0.0
                self._write()
                return

    def _write(self) -> None:
        data = RING.pack(self._place.key, self._newest, sum(self._counts), *self._counts)
        self._file.write(self._place.offset, data)

    def _advance(self, quarter: int) -> None:
        if not self._newest - QUARTERS < quarter:
            # Written under a clock that was a day ahead, or more: all of it counts as of now.
            self._counts = [sum(self._counts) if index == quarter % QUARTERS else 0 for index in range(QUARTERS)]
            self._newest = quarter
        for passed in range(max(self._newest + 1, quarter - QUARTERS + 1), quarter + 1):
            self._counts[passed % QUARTERS] = 0
        self._newest = max(self._newest, quarter)

    def _free_s(self) -> float:
        """Return when the oldest quarter that counts something leaves the ring."""
        oldest = self._newest - QUARTERS + 1
        quarter = next(each for each in range(oldest, self._newest + 1) if self._counts[each % QUARTERS])
        return float((quarter + QUARTERS) * QUARTER_S)


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

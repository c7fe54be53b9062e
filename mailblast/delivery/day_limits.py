"""Limits that count recipients by the day: of a calendar day, of a warm-up's day, of any 24 hours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from mailblast.delivery.limits_file import QUARTERS, RING, SLOT

if TYPE_CHECKING:
    from mailblast.delivery.limits_file import LimitsFile

DAY_S = 86_400
QUARTER_S = 900


@dataclass(frozen=True, slots=True)
class Ramp:
    """The days of a warm-up; see ``warm_up.py``."""

    #: Days without mail after which the ramp goes back, one step for each such time.
    PAUSE_DAYS: ClassVar = 30
    #: More than can be sent.
    NO_CAP: ClassVar = 2**32 - 1

    #: Recipients on each day; there is no cap after the last one.
    caps: tuple[int, ...]

    def step(self, day: int, today: int, step: int) -> int:
        """Return today's step, given the last day on which something was sent, 0 for none, and its step."""
        gap = today - day
        if day == 0:
            return 0
        if gap <= 0:
            return step
        return step + 1 if gap <= self.PAUSE_DAYS else max(0, step - gap // self.PAUSE_DAYS)

    def cap(self, step: int) -> int:
        """Return how many recipients a step allows."""
        return self.caps[step] if step < len(self.caps) else self.NO_CAP

    def words(self, step: int) -> str:
        """Return a step in words, for the screen."""
        return f"warm-up, day {step + 1} of {len(self.caps)}" if step < len(self.caps) else "warm-up, over"


class Daily:
    """What limits by the day have in common, wherever they are kept; see ``DailyLimit``.

    Args:
        cap: How many.
        words: For the screen.
    """

    is_daily = True

    def __init__(self, cap: int, words: str) -> None:
        self.cap = cap
        self.words = words
        #: Unix seconds from which on there is a permit, by what is known.
        self._ready_s = 0.0

    def wait_s(self, now: float, /) -> float:
        """Return the seconds until a permit by what is known."""
        return self._ready_s - now


class DayLimit(Daily):
    """So many recipients in a calendar day (UTC), as fast as other limits allow.

    Args:
        file: Where the count is kept.
        scope: What is limited.
        cap: How many.
        words: For the screen.
    """

    def __init__(self, file: LimitsFile, scope: str, cap: int, words: str) -> None:
        super().__init__(cap, words)
        self._file = file
        self._name = f"day {scope}"
        self._day = 0
        self._count = 0
        self._step = 0
        self._place = file.slot(self._name)

    @property
    def used(self) -> int:
        """How many went today, as of the last ``read()``."""
        return self._count

    def read(self, now: float) -> float:
        """Look at the file; return the seconds until a permit: the rest of the day where the count is reached."""
        today = int(now // DAY_S)
        day, count, step = self._values()
        # A day to come was written under another clock; what was counted then counts now.
        self._count = count if day >= today else 0
        self._begin(day, today, step)
        self._ready_s = 0.0 if self._count < self.cap else (today + 1.0) * DAY_S
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

    def _begin(self, _day: int, _today: int, _step: int, /) -> None:
        """Take note of what today allows, given the last day on which something was sent and its step of a ramp."""


class WarmUpLimit(DayLimit):
    """A cap that grows with each day on which something is sent; see ``Ramp``.

    Args:
        file: Where the day of the ramp and the count are kept.
        scope: What is warmed up.
        ramp: The days.
    """

    def __init__(self, file: LimitsFile, scope: str, ramp: Ramp) -> None:
        super().__init__(file, f"warm-up {scope}", 0, "warm-up")
        self._ramp = ramp

    def _begin(self, day: int, today: int, step: int, /) -> None:
        self._step = self._ramp.step(day, today, step)
        self.cap = self._ramp.cap(self._step)
        self.words = self._ramp.words(self._step)


class RollingLimit(Daily):
    """So many recipients in any 24 hours, as providers count their quotas.

    Counted by quarters of an hour: what was sent in one comes free when it is 24 hours and a quarter old at most.

    Args:
        file: Where the counts are kept.
        scope: What is limited.
        cap: How many.
        words: For the screen.
    """

    def __init__(self, file: LimitsFile, scope: str, cap: int, words: str) -> None:
        super().__init__(cap, words)
        self._file = file
        self._name = f"24 h {scope}"
        self._counts = [0] * QUARTERS
        self._newest = 0
        self._sum = 0
        self._place = file.ring(self._name)

    @property
    def used(self) -> int:
        """How many went in the last 24 hours, as of the last ``read()``."""
        return self._sum

    def leave(self, left: int, now: float) -> None:
        """Allow no more than so many from now on: others have used the same account. Under the lock."""
        self.read(now)
        self.cap = min(self.cap, self._sum + left)

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

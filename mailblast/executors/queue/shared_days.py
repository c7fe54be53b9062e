"""Limits by the day that all workers keep together, by the clock of the queue's server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailblast.delivery.day_limits import DAY_S, QUARTER_S, Daily, Ramp
from mailblast.delivery.limits_file import QUARTERS
from mailblast.executors.queue.shared_rates import AWAY_S
from mailblast.executors.queue.store import QueueError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Counters of a day or of 24 hours. KEYS hash; ARGV the field of now, oldest field that counts, cap, how many (negative
#: to give back, 0 for the sum so far), seconds to keep -> 1 where it was counted.
COUNT = """
local sum = 0
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
    if tonumber(fields[i]) < tonumber(ARGV[2]) then redis.call('HDEL', KEYS[1], fields[i])
    else sum = sum + fields[i + 1] end
end
if ARGV[4] == '0' then return sum end
if tonumber(ARGV[4]) > 0 and sum >= tonumber(ARGV[3]) then return 0 end
if tonumber(ARGV[4]) < 0 and sum <= 0 then return 0 end
redis.call('HINCRBY', KEYS[1], ARGV[1], ARGV[4])
redis.call('EXPIRE', KEYS[1], ARGV[5])
return 1
"""

#: KEYS hash of a warm-up; ARGV today and the pause in days -> the step of today, on which something is sent; as
#: ``Ramp.step()``.
STEP = """
local day = tonumber(redis.call('HGET', KEYS[1], 'day') or 0)
local step = tonumber(redis.call('HGET', KEYS[1], 'step') or 0)
local today = tonumber(ARGV[1])
if day == 0 then step = 0
elseif today > day then
    local gap = today - day
    if gap <= tonumber(ARGV[2]) then step = step + 1
    else step = math.max(0, step - math.floor(gap / tonumber(ARGV[2]))) end
end
redis.call('HSET', KEYS[1], 'day', math.max(day, today), 'step', step)
return step
"""


class DayCount(Daily):
    """So many in a calendar day (UTC) or in any 24 hours. Attributes and methods as of ``DailyLimit``.

    Args:
        scripts: ``COUNT`` and ``STEP``.
        key: Whose count.
        cap: How many.
        words: For the screen.
        now_s: The server's time of day.
        rolling: Of 24 hours, by quarters of an hour.
        ramp: Of a warm-up; instead of ``cap``.
    """

    def __init__(
        self,
        scripts: tuple[Callable[..., Any], Callable[..., Any]],
        key: str,
        cap: int,
        words: str,
        now_s: Callable[[], float],
        *,
        rolling: bool = False,
        ramp: Ramp | None = None,
    ) -> None:
        super().__init__(cap, words)
        self._count, self._step = scripts
        self._key = key
        self._now_s = now_s
        self._unit_s = QUARTER_S if rolling else DAY_S
        self._units = QUARTERS if rolling else 1
        self._ramp = ramp

    def leave(self, left: int) -> None:
        """Allow no more than so many from now on: others have used the same account."""
        unit, oldest = self._units_that_count(self._now_s())
        self.cap = min(self.cap, int(self._count(keys=[self._key], args=[unit, oldest, 0, 0, 0])) + left)

    def wait_s(self, _now: float, /) -> float:
        """Return the seconds until a permit by what is known."""
        return super().wait_s(self._now_s())

    def take(self) -> bool:
        """Count one recipient, if there is room."""
        return self._change(1)

    def read(self, now: float, /) -> float:
        """Return as ``wait_s()``."""
        return self.wait_s(now)

    def spend(self, _now: float, /) -> None:
        """Nothing: ``take()`` did it."""

    def give_back(self, _now: float, /) -> None:
        """Count one recipient less."""
        self._change(-1)

    def _change(self, by: int) -> bool:
        now = self._now_s()
        unit, oldest = self._units_that_count(now)
        try:
            if by > 0:
                # What comes back after midnight begins no new day.
                self._climb(unit)
            counted = int(self._count(keys=[self._key], args=[unit, oldest, self.cap, by, 2 * DAY_S])) == 1
        except QueueError:
            self._ready_s = now + AWAY_S
            return False
        if not counted and by > 0:
            self._ready_s = (unit + 1.0) * self._unit_s
        elif by < 0:
            self._ready_s = 0.0
        return counted

    def _units_that_count(self, now: float) -> tuple[int, int]:
        """Return the unit of now, and the oldest that counts still."""
        unit = int(now // self._unit_s)
        return unit, unit - self._units + 1

    def _climb(self, today: int) -> None:
        if self._ramp is not None:
            step = int(self._step(keys=[f"{self._key}:ramp"], args=[today, Ramp.PAUSE_DAYS]))
            self.cap = self._ramp.cap(step)
            self.words = self._ramp.words(step)

"""Limits that all workers keep together, by the clock of the queue's server.

A rate hands out moments: each worker reserves the next few that are free and sends when they come. That takes a fifth
of the server's time that asking until one is allowed does, and works however many ask. Moments are a little further
apart than the rate says, for what wakes late; one that was missed by more than that is let go. A domain's rate and what
counts by the day are asked for when a message is about to go.

While the server is away nothing is allowed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mailblast.delivery.limits import DAY_S, QUARTER_S, WarmUpLimit
from mailblast.delivery.limits_file import QUARTERS
from mailblast.delivery.pace import PATIENCE_S, LimitReachedError, Pace, words_of
from mailblast.executors.queue.store import PREFIX, QueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.limits import Limit
    from mailblast.delivery.pace import PaceSettings
    from mailblast.delivery.throttle import Rate
    from mailblast.executors.queue.store import Store

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

#: KEYS hash of a warm-up; ARGV today and the pause in days -> the step of today, on which something is sent.
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


class Moments:
    """A rate that holds for everybody: moments at which a message may go.

    Args:
        script: Reserves moments; returns microseconds.
        key: Whose moments.
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
        self._at_once = max(1, int(AHEAD_S / self._interval))
        self._monotonic = monotonic
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

    def give_back(self, _now: float, /) -> None:
        """Nothing: the moment has passed."""

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


class DomainRate:
    """A domain's rate; asked when a message is about to go there. Attributes and methods as of ``Limit``."""

    is_daily = False

    def __init__(
        self, script: Callable[..., Any], key: str, rate: Rate, words: str, monotonic: Callable[[], float]
    ) -> None:
        self.words = words
        self._script = script
        self._key = key
        self._interval = (rate.per_s + SPREAD_S) / rate.recipients
        self._monotonic = monotonic
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

    def give_back(self, _now: float, /) -> None:
        """Nothing: the moment has passed."""


class DayCount:
    """So many in a calendar day (UTC) or in any 24 hours. Attributes and methods as of ``Limit``.

    Args:
        scripts: ``COUNT`` and ``STEP``.
        key: Whose count.
        cap: How many.
        words: For the screen.
        now_s: The server's time of day.
        rolling: Of 24 hours, by quarters of an hour.
        ramp: Of a warm-up; instead of ``cap``.
    """

    is_daily = True

    def __init__(
        self,
        scripts: tuple[Callable[..., Any], Callable[..., Any]],
        key: str,
        cap: int,
        words: str,
        now_s: Callable[[], float],
        *,
        rolling: bool = False,
        ramp: Sequence[int] = (),
    ) -> None:
        self.words = words
        self._count, self._step = scripts
        self._key = key
        self.cap = cap
        self._now_s = now_s
        self._rolling = rolling
        self._ramp = ramp
        self._ready_s = 0.0

    def leave(self, left: int) -> None:
        """Allow no more than so many from now on: others have used the same account."""
        field, oldest = self._fields(self._now_s())
        self.cap = min(self.cap, int(self._count(keys=[self._key], args=[field, oldest, 0, 0, 0])) + left)

    def wait_s(self, _now: float, /) -> float:
        """Return the seconds until a permit by what is known."""
        return self._ready_s - self._now_s()

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
        field, oldest = self._fields(now)
        try:
            cap = self._cap_of_today(field) if self._ramp else self.cap
            counted = int(self._count(keys=[self._key], args=[field, oldest, cap, by, 2 * DAY_S])) == 1
        except QueueError:
            self._ready_s = now + AWAY_S
            return False
        if not counted and by > 0:
            self._ready_s = (field + 1.0) * (QUARTER_S if self._rolling else DAY_S)
        elif by < 0:
            self._ready_s = 0.0
        return counted

    def _fields(self, now: float) -> tuple[int, int]:
        """Return what counts now, and the oldest that counts still."""
        field = int(now // (QUARTER_S if self._rolling else DAY_S))
        return field, field - QUARTERS + 1 if self._rolling else field

    def _cap_of_today(self, today: int) -> int:
        step = int(self._step(keys=[f"{self._key}:ramp"], args=[today, WarmUpLimit.PAUSE_DAYS]))
        self.words = f"warm-up, day {step + 1} of {len(self._ramp)}" if step < len(self._ramp) else "warm-up, over"
        self.cap = self._ramp[step] if step < len(self._ramp) else WarmUpLimit.NO_CAP
        return self.cap


class SharedPace(Pace):
    """The permits of one worker, of limits that all workers keep together; see ``Pace``.

    Args:
        settings: The limits.
        clock: Monotonic time.
        store: Where they are kept.
        account: Names the account that mail goes by; its limits are shared.
    """

    def __init__(self, settings: PaceSettings, clock: Clock, store: Store, account: str) -> None:
        super().__init__(settings, clock)
        self._store = store
        self._account = f"{PREFIX}limit:{account}"
        #: The server's time of day, less our monotonic time; asked once a minute, for days only.
        self._offset_s = 0.0
        self._asked_s = float("-inf")

    def of_domain(self, domain: str) -> Sequence[Limit]:
        """Return the limits of a domain; none for most."""
        limits = self._by_domain.get(domain)
        if limits is None:
            rate = self.settings.domain_rates.get(domain)
            if rate is None:
                return ()
            words = f"{domain} {words_of(rate)}"
            key = f"{self._account}:domain:{domain}:{rate.per_s:g}"
            limits = (DomainRate(self._script(TAKE), key, rate, words, self._clock.monotonic),)
            self._by_domain[domain] = limits
        return limits

    def wait_s(self, limits: Sequence[Limit]) -> float:
        """Return the seconds until these may allow one more."""
        # What is known costs nothing to ask; moments are reserved only where nothing else stands in the way.
        ordered = sorted(limits, key=lambda limit: isinstance(limit, Moments))
        for limit in ordered:
            wait = limit.wait_s(0.0)
            if wait > 0:
                return wait
        return 0.0

    def take(self, limits: Sequence[Limit]) -> bool:
        """Take a permit of all of them, or of none but those of the day, which are given back."""
        moments = [limit for limit in limits if isinstance(limit, Moments)]
        if any(limit.wait_s(0.0) > 0 for limit in moments):
            return False
        taken: list[DayCount] = []
        for limit in limits:
            if isinstance(limit, DomainRate | DayCount):
                if not limit.take():
                    for day in taken:
                        day.give_back(0.0)
                    return False
                if isinstance(limit, DayCount):
                    taken.append(limit)
        used = [limit.take() for limit in moments]
        return all(used)

    def give_back(self) -> None:
        """Count one recipient less today: it did not get the message and will be tried again."""
        for limit in self._days:
            limit.give_back(0.0)

    def day_is_over(self) -> LimitReachedError | None:
        """Return why nothing more goes today; None while something may."""
        for limit in self._days:
            if limit.wait_s(0.0) > PATIENCE_S:
                assert isinstance(limit, DayCount)
                return LimitReachedError(f"{limit.words[0].upper()}{limit.words[1:]}: all {limit.cap:,} are used up.")
        return None

    def _open(self) -> tuple[Limit, ...]:
        settings, monotonic = self.settings, self._clock.monotonic
        tightest: dict[float, Rate] = {}
        for rate in settings.rates:
            tightest[rate.per_s] = min(rate, tightest.get(rate.per_s, rate))
        rates = [
            Moments(
                self._script(RESERVE), f"{self._account}:rate:{rate.per_s:g}", rate, f"rate {words_of(rate)}", monotonic
            )
            for rate in tightest.values()
        ]
        counts = (self._script(COUNT), self._script(STEP))
        days = []
        if settings.daily_cap:
            days.append(DayCount(counts, f"{self._account}:cap", settings.daily_cap, "daily cap", self._now_s))
        if settings.per_day:
            words = "the provider's limit for 24 hours"
            quota = DayCount(counts, f"{self._account}:24h", settings.per_day, words, self._now_s, rolling=True)
            if settings.left_today is not None:
                quota.leave(settings.left_today)
            days.append(quota)
        if settings.ramp:
            days.append(DayCount(counts, f"{self._account}:warm-up", 0, "warm-up", self._now_s, ramp=settings.ramp))
        self._days = tuple(days)
        return (*rates, *days)

    def _script(self, text: str) -> Callable[..., Any]:
        script = self._store.client.register_script(text)

        def run(*, keys: Sequence[str], args: Sequence[Any]) -> Any:
            with self._store.told():
                return script(keys=keys, args=args)

        return run

    def _now_s(self) -> float:
        now = self._clock.monotonic()
        if now - self._asked_s > PATIENCE_S:
            try:
                with self._store.told():
                    seconds, micros = self._store.client.time()
            except QueueError:
                return time.time() if self._asked_s == float("-inf") else now + self._offset_s
            self._offset_s = seconds + micros / 1e6 - now
            self._asked_s = now
        return now + self._offset_s

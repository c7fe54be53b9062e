"""Limits that all workers keep together, by the clock of the queue's server; nothing is allowed while it is away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from mailblast.delivery.day_limits import Ramp
from mailblast.delivery.pace import PATIENCE_S, Pace, words_of
from mailblast.executors.queue.keys import PREFIX
from mailblast.executors.queue.shared_days import COUNT, STEP, DayCount
from mailblast.executors.queue.shared_rates import RESERVE, TAKE, DomainRate, Moments
from mailblast.executors.queue.store import QueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.limits import Limit
    from mailblast.delivery.pace import PaceSettings
    from mailblast.delivery.throttle import Rate
    from mailblast.executors.queue.store import Store


class SharedPace(Pace):
    """The permits of one worker, of limits that all workers keep together; see ``Pace``.

    Args:
        settings: The limits.
        clock: Monotonic time.
        store: Where they are kept.
        account: Names the account that mail goes by; its limits are shared.
    """

    GO_ON = "It goes on from {} UTC on."

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
            ramp = Ramp(settings.ramp)
            days.append(DayCount(counts, f"{self._account}:warm-up", 0, "warm-up", self._now_s, ramp=ramp))
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

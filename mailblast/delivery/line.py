"""The messages that wait: one line, and lanes beside it for domains that are sent to more slowly than the rest.

Without limits there is the line alone, a plain deque: whoever uses this may take from ``main`` directly while
``is_plain`` says so. A domain gets a lane when it has a limit, or when it asked to slow down. Lanes and the line take
turns, so that none of them holds up the others.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.limits import Limit
    from mailblast.delivery.slow_down import SlowDown

W = TypeVar("W")


class Permits(Protocol):
    """What the line asks before it lets anybody go; ``Pace`` is one."""

    #: Holds for everybody; None where nobody asked to slow down.
    account: SlowDown | None

    @property
    def has_domains(self) -> bool:
        """Whether any domain has a limit of its own."""
        ...

    def general(self) -> Sequence[Limit]:
        """Return the limits that hold for everybody."""
        ...

    def of_domain(self, domain: str) -> Sequence[Limit]:
        """Return further limits for a domain; none for most."""
        ...

    def wait_s(self, limits: Sequence[Limit]) -> float:
        """Return the seconds until these may allow one more."""
        ...

    def take(self, limits: Sequence[Limit]) -> bool:
        """Take a permit of all of them, or of none."""
        ...


class Lane(Generic[W]):
    """What waits for one domain, or for all that have no lane."""

    __slots__ = ("domain", "is_limited", "limits", "slow", "waiting")

    def __init__(self, domain: str, limits: Sequence[Limit], *, is_limited: bool) -> None:
        self.domain = domain
        self.limits = limits
        #: Whether the domain has a limit of its own.
        self.is_limited = is_limited
        self.waiting: deque[W] = deque()
        self.slow: SlowDown | None = None


class Line(Generic[W]):
    """Who is next.

    Args:
        permits: Spent when a message is taken.
        clock: Monotonic time, for delays and slow-downs.
        domain_of: Returns the domain that a piece of work goes to. Asked only while there are lanes, or limits of
            domains.
        on_lane: Called with each piece of work that gets into a lane.
    """

    def __init__(
        self, permits: Permits, clock: Clock, domain_of: Callable[[W], str], on_lane: Callable[[W], None]
    ) -> None:
        self._permits = permits
        self._monotonic = clock.monotonic
        self._domain_of = domain_of
        self._on_lane = on_lane
        self._main: Lane[W] = Lane("", permits.general(), is_limited=False)
        #: Those that have no lane, in order.
        self.main = self._main.waiting
        self._lanes: dict[str, Lane[W]] = {}
        #: Lanes in the order of their turns.
        self._turns: deque[Lane[W]] = deque([self._main])
        self._delayed: list[tuple[float, int, W]] = []
        self._sequence = 0
        self._chosen = self._main
        self._has_domains = permits.has_domains
        #: Whether ``main`` is all there is, and nothing limits it.
        self.is_plain = True
        self.settle()

    def __len__(self) -> int:
        return sum(len(lane.waiting) for lane in self._turns) + len(self._delayed)

    def __bool__(self) -> bool:
        return bool(self.main) or len(self) > 0

    def settle(self) -> None:
        """Find out anew whether the line is plain."""
        self.is_plain = not (
            self._main.limits or self._lanes or self._delayed or self._has_domains or self._permits.account
        )

    def push(self, works: Iterable[W]) -> None:
        """Put these at the end."""
        if not self._lanes and not self._has_domains:
            self.main.extend(works)
            return
        for work in works:
            self._lane_of(work).waiting.append(work)

    def push_front(self, work: W) -> None:
        """Put this in front."""
        self._lane_of(work).waiting.appendleft(work)

    def push_delayed(self, work: W, delay_s: float) -> None:
        """Put this at the end, after a while."""
        self._sequence += 1
        heapq.heappush(self._delayed, (self._monotonic() + delay_s, self._sequence, work))
        self.is_plain = False

    def first(self) -> W | None:
        """Return who is next, None where nobody may go just now. Takes nothing."""
        now = self._monotonic()
        if self._delayed:
            self._release(now)
        permits = self._permits
        if permits.account is not None and permits.account.wait_s(now) > 0:
            return None
        turns = self._turns
        for _ in range(len(turns)):
            lane = turns[0]
            if lane.waiting and self._wait_s(lane, now) <= 0:
                self._chosen = lane
                return lane.waiting[0]
            turns.rotate(-1)
        return None

    def take(self) -> bool:
        """Take out who ``first()`` returned; False where another process was faster, and all stays as it is."""
        lane = self._chosen
        if lane.limits and not self._permits.take(lane.limits):
            return False
        if lane.slow is not None:
            lane.slow.spend(self._monotonic())
        if self._permits.account is not None:
            self._permits.account.spend(self._monotonic())
        self.drop()
        return True

    def drop(self) -> None:
        """Take out who ``first()`` returned, at no cost."""
        self._chosen.waiting.popleft()
        self._turns.rotate(-1)

    def next_delay_s(self) -> float | None:
        """Return the seconds until ``first()`` may return somebody, None where nobody waits."""
        now = self._monotonic()
        waits = [self._wait_s(lane, now) for lane in self._turns if lane.waiting]
        if waits and self._permits.account is not None:
            waits = [max(min(waits), self._permits.account.wait_s(now))]
        if self._delayed:
            waits.append(self._delayed[0][0] - now)
        return min(waits, default=None)

    def drain(self) -> list[W]:
        """Take out everybody."""
        everybody = [work for lane in self._turns for work in lane.waiting]
        everybody += [work for _, _, work in self._delayed]
        for lane in self._turns:
            lane.waiting.clear()
        self._delayed.clear()
        return everybody

    def slow_lane(self, domain: str) -> Lane[W]:
        """Return the domain's lane, made where it has none; those that wait for it get into it."""
        lane = self._lanes.get(domain)
        if lane is None:
            lane = self._make_lane(domain, self._permits.of_domain(domain))
            waiting = list(self.main)
            self.main.clear()
            self.push(waiting)
        return lane

    def slowed(self) -> list[Lane[W]]:
        """Return the lanes that are slower than usual."""
        return [lane for lane in self._lanes.values() if lane.slow is not None]

    def has_lane(self, work: W) -> bool:
        """Return whether this would get into a lane."""
        if not self._lanes and not self._has_domains:
            return False
        domain = self._domain_of(work)
        return domain in self._lanes or bool(self._has_domains and self._permits.of_domain(domain))

    def lane(self, domain: str) -> Lane[W] | None:
        """Return the domain's lane, where it has one."""
        return self._lanes.get(domain)

    def recover(self) -> None:
        """Let go of slow-downs that are over, and of lanes that nobody needs any more."""
        now = self._monotonic()
        for lane in self.slowed():
            if lane.slow is not None and lane.slow.is_over(now):
                lane.slow = None
        for lane in [lane for lane in self._lanes.values() if lane.slow is None and not lane.is_limited]:
            del self._lanes[lane.domain]
            self._turns.remove(lane)
            self.main.extend(lane.waiting)
        self.settle()

    def held_by(self) -> Lane[W] | None:
        """Return the lane that holds the most, the line itself in doubt; None where nobody waits."""
        lane = max(self._turns, key=lambda lane: (len(lane.waiting), lane is self._main))
        return lane if lane.waiting else None

    def _wait_s(self, lane: Lane[W], now: float) -> float:
        wait = self._permits.wait_s(lane.limits) if lane.limits else 0.0
        return wait if lane.slow is None else max(wait, lane.slow.wait_s(now))

    def _lane_of(self, work: W) -> Lane[W]:
        if not self._lanes and not self._has_domains:
            return self._main
        domain = self._domain_of(work)
        lane = self._lanes.get(domain)
        if lane is None:
            limits = self._permits.of_domain(domain) if self._has_domains else ()
            if not limits:
                return self._main
            lane = self._make_lane(domain, limits)
        self._on_lane(work)
        return lane

    def _make_lane(self, domain: str, limits: Sequence[Limit]) -> Lane[W]:
        lane: Lane[W] = Lane(domain, (*limits, *self._main.limits), is_limited=bool(limits))
        self._lanes[domain] = lane
        self._turns.append(lane)
        self.is_plain = False
        return lane

    def _release(self, now: float) -> None:
        due = []
        while self._delayed and self._delayed[0][0] <= now:
            due.append(heapq.heappop(self._delayed)[2])
        if due:
            self.push(due)
            self.settle()

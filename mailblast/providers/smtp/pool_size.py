"""How many connections a server bears, and how fast they may be opened. Pure: no sockets, no waiting."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: How long the pool stays at the number of connections that it settled for, before it tries one more.
SETTLED_FOR_S = 60.0
#: Each further connection that is refused doubles that wait, up to this.
SETTLED_MOST_S = 960.0


class PoolSize:
    """The number of connections that are kept: all that were asked for, until the server bears fewer.

    Args:
        most: Asked for, at least 1.
        monotonic: Seconds that never go back.
    """

    def __init__(self, most: int, monotonic: Callable[[], float]) -> None:
        self._most = most
        self._monotonic = monotonic
        self._wait_s = SETTLED_FOR_S
        self._until_s = 0.0
        #: Whether the last change was one connection more.
        self._grew = False
        #: Connections that may be open at once.
        self.limit = most

    @property
    def is_reduced(self) -> bool:
        """Whether there are fewer than were asked for."""
        return self.limit < self._most

    def settle(self, working: int) -> None:
        """Be content with those that work, at least 1: one more was refused."""
        if self._grew:
            self._wait_s = min(self._wait_s * 2, SETTLED_MOST_S)
        self._grew = False
        self.limit = min(max(working, 1), self._most)
        self._until_s = self._monotonic() + self._wait_s

    def grow(self) -> None:
        """Allow one connection more, if it is time."""
        now = self._monotonic()
        if self.limit < self._most and now >= self._until_s:
            if self._grew:
                # The one before was taken and stayed.
                self._wait_s = SETTLED_FOR_S
            self._grew = True
            self.limit += 1
            self._until_s = now + self._wait_s


class LoginPace:
    """Not more than so many connections in any one second.

    Args:
        per_s: None for no limit.
        monotonic: Seconds that never go back.
    """

    def __init__(self, per_s: int | None, monotonic: Callable[[], float]) -> None:
        self._begun: deque[float] | None = deque(maxlen=per_s) if per_s is not None else None
        self._monotonic = monotonic

    def turn_s(self) -> float:
        """Reserve the next turn; return the seconds until it comes."""
        begun = self._begun
        if begun is None:
            return 0.0
        now = self._monotonic()
        turn = max(now, begun[0] + 1.0) if len(begun) == begun.maxlen else now
        begun.append(turn)
        return turn - now

"""Stand-ins shared by tests: a clock that jumps."""

from __future__ import annotations

import asyncio


class FakeClock:
    """A clock whose sleepers wake when the test moves it: ``advance()`` jumps, ``sleep()`` jumps by itself."""

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self.time_s = start_s
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time_s

    def monotonic(self) -> float:
        return self.time_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(max(seconds, 0.0))
        await asyncio.sleep(0)

    def advance(self, seconds: float) -> None:
        self.time_s += seconds

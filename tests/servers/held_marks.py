"""Deliveries whose marks are on file when the test says so."""

from __future__ import annotations

import asyncio

from servers.list_deliveries import ListDeliveries, messages

WAIT_S = 5.0


class HeldMarks(ListDeliveries):
    """As many small messages as asked for, each once.

    Args:
        count: How many.
    """

    def __init__(self, count: int) -> None:
        super().__init__(messages(count))
        self.commit_is_remote = True
        self.asked = asyncio.Event()
        self.written: list[asyncio.Future[None]] = []

    def commit(self) -> asyncio.Future[None]:
        self._uncommitted.clear()
        self.written.append(asyncio.get_running_loop().create_future())
        self.asked.set()
        return self.written[-1]

    async def until_asked(self) -> None:
        async with asyncio.timeout(WAIT_S):
            await self.asked.wait()
        self.asked.clear()

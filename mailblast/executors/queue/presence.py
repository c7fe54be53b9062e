"""Whether the queue's server is there, for a worker; it is looked for while it is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailblast.executors.queue.store import QueueAwayError, QueueError
from mailblast.executors.queue.wire import LeaseLostError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mailblast.executors.queue.stopping import Stopping

#: Waits between attempts to reach a server that is away.
AWAY_S = (0.2, 5.0)


class Presence:
    """Whether the server is there; away at first.

    Args:
        stopping: Begun where the server refuses, and would do so again.
        come_back: Connects anew, and tells what could not be told. Raises ``QueueError`` where that fails.
        on_away: Called when the server turns out to be away.
        say: Told about it.
    """

    def __init__(
        self,
        stopping: Stopping,
        come_back: Callable[[], Awaitable[None]],
        on_away: Callable[[QueueError], None],
        say: Callable[[str], None],
    ) -> None:
        self._stopping = stopping
        self._come_back = come_back
        self._on_away = on_away
        self._say = say
        self._there = asyncio.Event()
        self._finding: asyncio.Task[None] | None = None

    @property
    def is_there(self) -> bool:
        """Whether the server answered when it was last asked."""
        return self._there.is_set()

    def found(self) -> None:
        """Take note that the server answers."""
        self._there.set()

    def lost(self, error: QueueError) -> None:
        """Take note of an answer that did not come, or was a refusal."""
        if not isinstance(error, QueueAwayError | LeaseLostError):
            self._stopping.begin(error)
            return
        if not self.is_there:
            return
        self._there.clear()
        self._say(f"{error} Nothing is sent until it is back.")
        self._on_away(error)
        self._finding = asyncio.create_task(self._find())

    async def wait(self) -> None:
        """Wait until the server is there, or the worker stops."""
        if not self.is_there:
            await self._stopping.first_of(self._there.wait())

    async def insist(self) -> None:
        """Wait until the server is there.

        Raises:
            QueueAwayError: The worker stops before that.
        """
        await self.wait()
        if not self.is_there:
            raise QueueAwayError("The queue is away.")

    async def close(self) -> None:
        """Look for the server no longer."""
        if self._finding is not None:
            self._finding.cancel()
            await asyncio.gather(self._finding, return_exceptions=True)

    async def _find(self) -> None:
        wait_s = AWAY_S[0]
        while True:
            await asyncio.sleep(wait_s)
            try:
                await self._come_back()
            except QueueAwayError:
                wait_s = min(2 * wait_s, AWAY_S[1])
                continue
            except QueueError as error:
                self.lost(error)
                return
            self.found()
            self._say("The queue is back.")
            return

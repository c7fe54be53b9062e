"""Calls of a server that may be away: made until it answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from mailblast.executors.queue.store import QueueAwayError, QueueError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.executors.queue.stopping import Stopping

T = TypeVar("T")
#: Waits between attempts to reach a server that is away.
AWAY_S = (0.2, 5.0)


class Patience:
    """Calls a server until it answers.

    Args:
        stopping: Ends it; begun where the server refuses.
        say: Told when the server is away, and when it is back.
    """

    def __init__(self, stopping: Stopping, say: Callable[[str], None]) -> None:
        self._stopping = stopping
        self._say = say
        self._given_up = False
        #: Whether the server did not answer when it was last called.
        self.is_away = False

    def give_up(self) -> None:
        """Call the server no more."""
        self._given_up = True

    async def call(self, call: Callable[[], T]) -> T | None:
        """Call the server until it answers, or until the run is to end; return None then.

        Once the run is to end, one attempt is made.
        """
        wait_s = AWAY_S[0]
        while not self._given_up:
            try:
                answer = call()
            except QueueAwayError as error:
                if not self.is_away:
                    self.is_away = True
                    self._say(f"{error} Waiting for it.")
                if self._stopping.reason is not None:
                    return None
                await self._stopping.first_of(asyncio.sleep(wait_s))
                wait_s = min(2 * wait_s, AWAY_S[1])
            except QueueError as error:
                self._stopping.begin(error)
                return None
            else:
                if self.is_away:
                    self.is_away = False
                    self._say("The queue is back.")
                return answer
        return None

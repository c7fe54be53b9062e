"""How many batches of a campaign may be in the queue at once, and whether the campaign is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.errors import ProviderError
from mailblast.executors.queue.store import QueueError
from mailblast.executors.queue.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.clock import Clock
    from mailblast.executors.queue.stopping import Stopping
    from mailblast.executors.queue.store import Store

#: So many batches are always let into the queue; more where there are workers for them.
MIN_OPEN = 100
#: Batches for each one that workers have under way.
OPEN_EACH = 4
#: How often it is looked for workers, and after the campaign.
WORKERS_S = 2.0


class CancelledError(ProviderError):
    """Somebody has ended the campaign."""


class Room:
    """The room for batches of one campaign.

    Args:
        store: The server.
        token: The campaign's.
        clock: Says when it is time to look again.
        stopping: Begun where the campaign is cancelled or gone.
        say: Told where no worker is there.
    """

    def __init__(self, store: Store, token: str, clock: Clock, stopping: Stopping, say: Callable[[str], None]) -> None:
        self._store = store
        self._token = token
        self._clock = clock
        self._stopping = stopping
        self._say = say
        self._limit = MIN_OPEN
        #: How many live; -1 before the first look.
        self._workers = -1
        self._looked_s = float("-inf")
        #: How many more batches may be put.
        self.left = 0

    @property
    def is_unattended(self) -> bool:
        """Whether no worker was there at the last look."""
        return self._workers == 0

    def look(self, unput: int, *, closely: bool = False) -> bool:
        """Count the room; now and then look for workers, and after the campaign. Return whether there is any.

        Args:
            unput: Batches that are about to be put.
            closely: Look for these in any case.

        Raises:
            QueueError: The server is away or refuses.
        """
        now = self._clock.monotonic()
        if closely or now - self._looked_s >= WORKERS_S:
            self._looked_s = now
            self._look_for_workers()
            self._look_after_campaign()
        self.left = self._limit - self._store.open_batches(self._token) - unput
        return self.left > 0

    def _look_for_workers(self) -> None:
        living = Workers(self._store).living()
        if not living and self._workers != 0:
            self._say("No worker is there yet. Start some: mailblast worker --queue " + self._store.shown)
        self._workers = len(living)
        self._limit = max(MIN_OPEN, OPEN_EACH * sum(int(told["concurrency"]) for told in living))

    def _look_after_campaign(self) -> None:
        state = self._store.states([self._token])[self._token]
        if state == "cancelled":
            self._stopping.begin(CancelledError("The campaign was cancelled; who is not served is unsent."))
        elif not state:
            self._stopping.begin(
                QueueError("The queue has lost this campaign.", fix="Run the same command again: it continues.")
            )

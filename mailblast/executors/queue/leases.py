"""The batches that a worker has leased: taken, and ended in one way or another."""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING

from mailblast.executors.queue.engine import Engine
from mailblast.executors.queue.store import QueueAwayError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mailblast.executors.queue.engine import EngineTurns, Lease
    from mailblast.executors.queue.store import Found, Store

#: A batch that cannot be delivered here is looked at again after so long, and one whose campaign is paused.
HOLD_S = 5.0
PAUSED_S = 1.0


class End(Enum):
    """What becomes of a lease."""

    #: Everybody has an outcome, or is somebody else's: acknowledged, with others, and forgotten.
    DONE = auto()
    #: It goes to another worker, or comes again.
    GIVEN_BACK = auto()
    #: It comes again after a while.
    PUT_OFF = auto()
    #: It comes again soon: somebody may resume its campaign.
    PAUSED = auto()


class Leases:
    """The batches that a worker has.

    Args:
        store: Where they are stored.
        turns: The engine that leases them.
        before_acknowledging: Called before batches are acknowledged: their outcomes must be known at the server before
            anything else forgets them.
    """

    def __init__(self, store: Store, turns: EngineTurns, before_acknowledging: Callable[[], Awaitable[None]]) -> None:
        self._store = store
        self._turns = turns
        self._before_acknowledging = before_acknowledging
        #: Batches that are here, and those of them that are done and not acknowledged yet.
        self._own: set[tuple[str, int]] = set()
        self._done: list[Lease] = []

    async def exchange(self, limit: int) -> list[tuple[Lease, Found | None]]:
        """Acknowledge what is done, all at once; lease at most so many batches and read them.

        Returns:
            Them and what is known of them; None where that could not be read.

        Raises:
            QueueError: The server is away or refuses; what was done stays so.
        """
        if limit <= 0 and not self._done:
            return []
        done, self._done = self._done, []
        try:
            if done:
                await self._before_acknowledging()
            return await self._turns.call(self._exchange, done, limit)
        finally:
            self._done = done + self._done

    async def end(self, lease: Lease, end: End) -> None:
        """End a lease; where it is done, it is acknowledged with the next exchange.

        Raises:
            QueueError: The server is away or refuses; it is leased still.
        """
        if end is End.DONE:
            self._done.append(lease)
            return
        if end is End.GIVEN_BACK:
            await self._turns.call(Engine.give_back, lease)
        else:
            await self._turns.call(self._put_off, lease, HOLD_S if end is End.PUT_OFF else PAUSED_S)
        self.leave(lease)

    def leave(self, lease: Lease) -> None:
        """Do nothing about a batch any more: its lease will end by itself."""
        self._own.discard((lease.token, lease.sequence))

    def read(self, lease: Lease) -> Found:
        """Return what is known of a batch.

        Raises:
            QueueError: The server is away or refuses.
        """
        (found,) = self._store.read_batches([(lease.token, lease.sequence)])
        return found

    def drop(self, lease: Lease) -> None:
        """Forget a batch of a cancelled campaign: nobody of it counts as queued any more, or could not be put again.

        Raises:
            QueueError: The server is away or refuses.
        """
        self._store.drop_batch(lease.token, lease.sequence)

    # With the engine, on a thread.

    def _exchange(self, engine: Engine, done: list[Lease], limit: int) -> list[tuple[Lease, Found | None]]:
        batches = [(lease.token, lease.sequence) for lease in done]
        waiting = engine.acknowledge_all(done, self._store.finishing(batches))
        self._own.difference_update(batches)
        done.clear()
        leases = []
        for lease in engine.lease(limit, waiting):
            if (lease.token, lease.sequence) in self._own:
                # Put twice, by somebody who did not hear that it had been put; or it is another one of this number,
                # of a server that has lost its memory.
                self._put_off(engine, lease, HOLD_S)
            else:
                self._own.add((lease.token, lease.sequence))
                leases.append(lease)
        if not leases:
            return []
        try:
            found = self._store.read_batches([(each.token, each.sequence) for each in leases])
        except QueueAwayError:
            # They are leased all the same, and are read when it is back.
            return [(lease, None) for lease in leases]
        return list(zip(leases, found, strict=True))

    def _put_off(self, engine: Engine, lease: Lease, delay_s: float) -> None:
        self._store.delay(lease.token, lease.sequence, lease.priority, delay_s)
        engine.acknowledge(lease)

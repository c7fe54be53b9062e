"""What a worker does with a batch that it has leased."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mailblast.errors import MailblastError
from mailblast.executors.queue.leases import End
from mailblast.executors.queue.store import QueueError
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.executors.queue.engine import Lease
    from mailblast.executors.queue.lane import Lane
    from mailblast.executors.queue.lanes import Lanes
    from mailblast.executors.queue.leases import Leases
    from mailblast.executors.queue.presence import Presence
    from mailblast.executors.queue.stopping import Stopping
    from mailblast.executors.queue.store import Found, Store
    from mailblast.model.recipient import Claim


class Batches:
    """Sees batches through, several at once.

    Args:
        store: The server.
        leases: Of the worker.
        lanes: Its campaigns.
        presence: Whether the server is there.
        stopping: Whether the worker goes on.
        say_once: Told what its operator should know, once for each.
    """

    def __init__(
        self,
        store: Store,
        leases: Leases,
        lanes: Lanes,
        presence: Presence,
        stopping: Stopping,
        say_once: Callable[[str], None],
    ) -> None:
        self._store = store
        self._leases = leases
        self._lanes = lanes
        self._presence = presence
        self._stopping = stopping
        self._say_once = say_once

    async def see_through(self, lease: Lease, found: Found | None) -> None:
        """Deliver a batch; whatever happens, it is acknowledged, given back, put off, or left to its lease.

        Args:
            lease: Of the batch.
            found: What is known of it; None where it is to be read first.
        """
        while True:
            try:
                await self._presence.insist()
                await self._leases.end(lease, await self._deliver(lease, found))
            except QueueError as error:
                found = None
                self._presence.lost(error)
                if self._stopping.reason is None:
                    continue
                self._leases.leave(lease)
            except MailblastError as error:
                self._say_once(f"{error}")
                with contextlib.suppress(QueueError):
                    await self._leases.end(lease, End.PUT_OFF)
                self._leases.leave(lease)
            return

    async def _deliver(self, lease: Lease, found: Found | None) -> End:
        """Deliver a batch as far as possible; return what becomes of its lease."""
        found = found or self._leases.read(lease)
        if found.state in {"", "cancelled"}:
            self._leases.drop(lease)
            return End.DONE
        if found.state == "paused":
            return End.PAUSED
        try:
            lane = await self._lanes.get(lease.token)
        except QueueError:
            raise
        except MailblastError as error:
            self._say_once(f"{self._store.info(lease.token).get('name', lease.token)}: {error}")
            return End.PUT_OFF
        with lane.in_use():
            return await self._deliver_by(lane, lease, found)

    async def _deliver_by(self, lane: Lane, lease: Lease, found: Found) -> End:
        while self._stopping.reason is None:
            claims = found.queued
            if not claims:
                return End.DONE
            outcomes, stopped = await lane.deliver(claims)
            await self._presence.insist()
            await self._try_later(lane, claims, outcomes)
            if all(outcome.state is not State.UNSENT for outcome in outcomes):
                return End.DONE
            await lane.ledger.barrier()
            if lane.held or not isinstance(stopped, QueueError):
                break
            # The server was away, or somebody else is sending to some of these: the others are sent.
            found = self._leases.read(lease)
        # Who looks next at what is cancelled drops it.
        if self._stopping.reason is not None or lane.held == "cancelled":
            return End.GIVEN_BACK
        return End.PAUSED if lane.held else End.PUT_OFF

    async def _try_later(self, lane: Lane, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> None:
        """Put those who were deferred into a batch of their own, that comes when they are tried again."""
        later, delay_s = lane.deferred.take(claims, outcomes)
        if later:
            await lane.ledger.barrier()
            self._store.put_later(lane.campaign.token, later, delay_s, lane.delivery.priority)

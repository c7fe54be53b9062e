"""The campaigns that a worker has open."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailblast.errors import MailblastError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.executors.queue.carrier import Carrier
    from mailblast.executors.queue.carriers import Carriers
    from mailblast.executors.queue.lane import Lane
    from mailblast.executors.queue.opening import Opening


class Lanes:
    """The campaigns of a worker, by their tokens: opened when something of them comes, let go when nothing does.

    Args:
        opening: Opens them.
        carriers: Which they go by.
    """

    def __init__(self, opening: Opening, carriers: Carriers) -> None:
        self._opening = opening
        self._carriers = carriers
        self._open: dict[str, Lane] = {}
        self._opened: dict[str, asyncio.Task[Lane]] = {}

    @property
    def tokens(self) -> list[str]:
        """Which campaigns are open."""
        return list(self._open)

    async def get(self, token: str) -> Lane:
        """Return a campaign, opened where it is not; who asks for it meanwhile waits for the same.

        Raises:
            QueueError: The server is away or refuses.
            MailblastError: It cannot be delivered by this machine.
        """
        lane = self._open.get(token)
        if lane is not None:
            return lane
        opened = self._opened.get(token)
        if opened is None:
            opened = self._opened[token] = asyncio.create_task(self._open_lane(token))
            opened.add_done_callback(lambda _: self._opened.pop(token, None))
        return await asyncio.shield(opened)

    def stop(self, reason: MailblastError) -> None:
        """Send nothing more for now; what is in flight is finished."""
        for lane in self._open.values():
            lane.stop(reason)

    def hold(self, states: Mapping[str, str]) -> None:
        """Deliver nothing of campaigns that are paused or cancelled, by their states at the server."""
        for token, state in states.items():
            if token in self._open:
                self._open[token].hold(state)

    def limiting(self) -> str:
        """Return what they wait for, in a few words."""
        words = [lane.limiting() for lane in self._open.values()]
        return "; ".join(dict.fromkeys(word for word in words if word))

    async def barrier(self) -> None:
        """Tell all outcomes and wait until they are known at the server.

        Raises:
            QueueError: It does not answer; outcomes are kept.
        """
        ledgers = [lane.ledger for lane in self._open.values()]
        errors: list[MailblastError] = []
        # All are told before one is waited for, and whatever becomes of the first.
        for ledger in ledgers:
            try:
                ledger.commit()
            except MailblastError as error:
                errors.append(error)
        for ledger in ledgers:
            try:
                await ledger.barrier()
            except MailblastError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    async def tell_again(self) -> None:
        """Tell once more what was not answered, and wait until it is known.

        Raises:
            QueueError: The server is away or refuses.
        """
        # All at once, before anything newer is told.
        for lane in self._open.values():
            lane.ledger.tell_again()
        await self.barrier()

    async def let_go_of_idle(self) -> None:
        """Let go of campaigns of which nothing comes any more, and of what only they went by."""
        for token, lane in list(self._open.items()):
            if lane.is_idle:
                lane.let_go()
                del self._open[token]
        await self._carriers.let_go(self._is_used)

    async def close(self) -> None:
        """Wait until what is in flight is finished, and let go of everything but the ledgers."""
        for lane in list(self._open.values()):
            lane.close()
        await self._carriers.close()

    async def _open_lane(self, token: str) -> Lane:
        lane = await self._opening.open(token)
        self._open[token] = lane
        return lane

    def _is_used(self, carrier: Carrier) -> bool:
        # Whichever is being opened may have got this one.
        return bool(self._opened) or any(lane.carrier is carrier for lane in self._open.values())

"""A provider for tests that holds messages until it is told to answer them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.memory import ACCEPTED
from mailblast.providers.provider import ProviderLimits

if TYPE_CHECKING:
    from mailblast.model.message import Message
    from mailblast.providers.provider import Deliveries

LOST = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)


class HoldingProvider:
    """Has up to ``concurrency`` messages begun at once; answers none before ``answering`` is set.

    Cancelled, it finishes what it holds as in doubt, like a server whose connections are cut.
    """

    name = "holding"
    leaves_machine = False

    def __init__(self, concurrency: int = 3) -> None:
        self.limits = ProviderLimits(concurrency)
        self.answering = asyncio.Event()
        #: Set when as many messages are begun as may be.
        self.holding = asyncio.Event()
        self.held: list[Message] = []

    async def open(self) -> None:
        """Do nothing."""

    async def deliver(self, deliveries: Deliveries) -> None:
        """Hold messages, answer them when told."""
        attempt = LOST
        try:
            while await deliveries.wait():
                while len(self.held) < self.limits.concurrency and (message := deliveries.take()) is not None:
                    deliveries.begin(message)
                    self.held.append(message)
                deliveries.commit()
                self.holding.set()
                await self.answering.wait()
                self._finish(deliveries, ACCEPTED)
            attempt = ACCEPTED
        finally:
            self._finish(deliveries, attempt)

    async def close(self) -> None:
        """Do nothing."""

    def _finish(self, deliveries: Deliveries, attempt: Attempt) -> None:
        while self.held:
            deliveries.finish(self.held.pop(), attempt)

"""Providers for tests: one that holds messages until it is told to answer, one that fails first."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from mailblast.model.message import Message
    from mailblast.providers.provider import Deliveries

LOST = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)


class HoldingProvider(MemoryProvider):
    """Has up to ``concurrency`` messages begun at once; answers none before ``answering`` is set.

    Cancelled, it finishes what it holds as in doubt, like a server whose connections are cut.

    Args:
        concurrency: Messages held.
        refuse_first: Answer to the first message, at once.
    """

    def __init__(self, concurrency: int = 3, *, refuse_first: Attempt | None = None) -> None:
        super().__init__(concurrency=concurrency)
        self.answering = asyncio.Event()
        #: Set when as many messages are begun as may be.
        self.holding = asyncio.Event()
        self.held: list[Message] = []
        self._refusal = refuse_first

    async def deliver(self, deliveries: Deliveries) -> None:
        """Hold messages, answer them when told."""
        try:
            while await deliveries.wait():
                while len(self.held) < self.limits.concurrency and (message := deliveries.take()) is not None:
                    deliveries.begin(message)
                    self.held.append(message)
                deliveries.commit()
                if self._refusal is not None:
                    deliveries.finish(self.held.pop(0), self._refusal)
                self.holding.set()
                await self.answering.wait()
                self._finish(deliveries, ACCEPTED)
        finally:
            self._finish(deliveries, LOST)

    def _finish(self, deliveries: Deliveries, attempt: Attempt) -> None:
        while self.held:
            message = self.held.pop()
            self.messages.append(message)
            deliveries.finish(message, attempt)


class FailingProvider(MemoryProvider):
    """``deliver()`` ends with the next of ``errors`` before it takes anything, until none is left."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__()
        self.errors = list(errors)

    async def deliver(self, deliveries: Deliveries) -> None:
        """Wait for work, then fail or deliver."""
        if await deliveries.wait() and self.errors:
            raise self.errors.pop(0)
        await super().deliver(deliveries)

"""A provider that keeps messages in a list and answers as it is told: for tests and demonstrations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.body import UnreadablePartError, pieces
from mailblast.providers.provider import ProviderLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.model.message import Message
    from mailblast.providers.provider import Deliveries

#: Messages between two turns of the event loop for others.
MESSAGES_A_TURN = 50
ACCEPTED = Attempt(Disposition.ACCEPTED, Reply(250, "2.0.0", "Ok", Stage.BODY), Scope.RECIPIENT)


def accept(_message: Message) -> Attempt:
    """Answer that the message was taken."""
    return ACCEPTED


class MemoryProvider:
    """Takes messages into ``messages``, in the order of taking.

    Args:
        answer: What comes of a message. It may raise; then the message is not sent and ``deliver()`` ends with that.
        concurrency: Messages in flight at once, as told in ``limits``.
        size_bytes: Largest message, as told in ``limits``.
    """

    name = "memory"
    leaves_machine = False
    wants_composition = False

    def __init__(
        self,
        answer: Callable[[Message], Attempt] = accept,
        *,
        concurrency: int = 1,
        size_bytes: int | None = None,
    ) -> None:
        self.limits = ProviderLimits(concurrency, size_bytes)
        #: Every message that was complete here, whatever was answered.
        self.messages: list[Message] = []
        self._answer = answer

    async def open(self) -> None:
        """Do nothing."""

    async def deliver(self, deliveries: Deliveries) -> None:
        """Take and answer until ``deliveries`` ends; see ``Provider.deliver``."""
        while await deliveries.wait():
            for _ in range(MESSAGES_A_TURN):
                message = deliveries.take()
                if message is None:
                    break
                await self._handle(message, deliveries)
            await asyncio.sleep(0)

    async def _handle(self, message: Message, deliveries: Deliveries) -> None:
        attempt = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)
        try:
            complete = _held(message)
            deliveries.begin(message)
            if (written := deliveries.commit()) is not None:
                await written
            attempt = self._answer(message)
            if attempt.disposition is not Disposition.NOT_SENT:
                self.messages.append(complete)
        except UnreadablePartError as error:
            attempt = error.attempt()
        finally:
            deliveries.finish(message, attempt)

    async def close(self) -> None:
        """Do nothing."""

    async def probe(self, sender: str | None = None) -> list[tuple[str, str]]:
        """Return that messages stay in memory."""
        del sender
        return [("connect", "messages stay in memory")]


def _held(message: Message) -> Message:
    """Return a message that does without the files behind its parts."""
    if all(isinstance(part, bytes) for part in message.parts):
        return message
    return message._replace(parts=tuple(pieces(message.parts)))

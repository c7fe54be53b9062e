"""The end of a worker's, or of a coordinator's, work: why it stops, and the waits that this cuts short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mailblast.errors import MailblastError


class Stopping:
    """Whether work goes on.

    Args:
        on_begin: Called once, with the reason.
    """

    def __init__(self, on_begin: Callable[[MailblastError], None] = lambda _: None) -> None:
        self._on_begin = on_begin
        #: Why it ends; None while it goes on.
        self.reason: MailblastError | None = None
        #: Set with the reason.
        self.begun = asyncio.Event()

    def begin(self, reason: MailblastError) -> None:
        """End it; the first reason stays."""
        if self.reason is None:
            self.reason = reason
            self.begun.set()
            self._on_begin(reason)

    async def first_of(self, work: Awaitable[object]) -> None:
        """Wait for this or for the end; then it is cancelled."""
        task, begun = asyncio.ensure_future(work), asyncio.ensure_future(self.begun.wait())
        try:
            await asyncio.wait({task, begun}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
            task.cancel()

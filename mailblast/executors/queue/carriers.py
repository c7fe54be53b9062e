"""The carriers of a worker: one for each provider, opened with the first campaign that goes by it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from typing import TYPE_CHECKING

from mailblast.errors import MailblastError
from mailblast.executors.queue.carrier import Carrier

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.clock import Clock
    from mailblast.providers.provider import Provider


class Carriers:
    """The carriers of a worker, by their transport.

    Args:
        clock: Waits between attempts to connect.
        on_trouble: Told what keeps a provider from working.
    """

    def __init__(self, clock: Clock, on_trouble: Callable[[MailblastError], None]) -> None:
        self._clock = clock
        self._on_trouble = on_trouble
        #: Each with what leaves its provider to whoever keeps it.
        self._open: dict[object, tuple[Carrier, contextlib.AsyncExitStack]] = {}
        #: Campaigns that are opened at the same time get the same one.
        self._opening: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def get(
        self, transport: object, lease: Callable[[], contextlib.AbstractAsyncContextManager[Provider]]
    ) -> Carrier:
        """Return the carrier of a transport.

        Args:
            transport: Which.
            lease: Opens its provider where it is not open; the context keeps it open.

        Raises:
            MailblastError: The provider cannot be opened.
        """
        async with self._opening[transport]:
            known = self._open.get(transport)
            if known is not None:
                return known[0]
            async with contextlib.AsyncExitStack() as stack:
                provider = await stack.enter_async_context(lease())
                carrier = Carrier(provider, self._clock, self._on_trouble)
                self._open[transport] = carrier, stack.pop_all()
            return carrier

    def abort(self) -> None:
        """Cut all connections."""
        for carrier, _ in self._open.values():
            carrier.abort()

    async def let_go(self, is_used: Callable[[Carrier], bool]) -> None:
        """Let go of carriers that no campaign goes by, and leave their providers to whoever keeps them."""
        for transport, (carrier, stack) in list(self._open.items()):
            if not is_used(carrier):
                del self._open[transport]
                with contextlib.suppress(MailblastError):
                    await carrier.close()
                    await stack.aclose()

    async def close(self) -> None:
        """Wait until everything that they took is finished, and let go of all."""
        for carrier, stack in list(self._open.values()):
            await carrier.close()
            await stack.aclose()

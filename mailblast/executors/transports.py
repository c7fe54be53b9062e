"""Several transports in one run: each row goes by the one that it names.

They come from a ``TransportCache``: opened when the first row needs one, kept for the rows that follow, replaced when
they are old. Each has its own pipeline and limits. When one stops, the run stops: what is left is unsent, as ever.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, NamedTuple, Self

from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.model.outcome import unsent
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.executors.inline_route import InlineRoute
    from mailblast.model.recipient import Claim
    from mailblast.providers.provider import Provider
    from mailblast.providers.transport_cache import Key, TransportCache

    #: Returns the route of an open provider; its ``open()`` and ``close()`` are not called.
    MakeRoute = Callable[[Key, Provider], InlineRoute]


class _Lane(NamedTuple):
    """One transport in use."""

    provider: Provider
    executor: Executor
    #: Ends the lease, and closes the limits.
    stack: AsyncExitStack
    watching: asyncio.Task[None]


class TransportsExecutor:
    """Run batches by the transports that their rows name; see ``Executor``.

    Args:
        cache: Opens and keeps them; the caller's to close.
        key_of: Returns the transport of a claim.
        make_route: Makes what delivers by an open provider.
        clock: Times of outcomes that are made here.
        maximum: Transports in use at once; the one that was not used for longest is finished first.
        on_outcome: Called for each outcome.
        on_done: Called with the outcomes of finished batches, several at a time.
    """

    def __init__(
        self,
        cache: TransportCache,
        key_of: Callable[[Claim], Key],
        make_route: MakeRoute,
        clock: Clock,
        *,
        maximum: int,
        on_outcome: OnOutcome,
        on_done: OnDone,
    ) -> None:
        self.stopping = asyncio.Event()
        self._cache = cache
        self._key_of = key_of
        self._make_route = make_route
        self._clock = clock
        self._maximum = maximum
        self._on_outcome = on_outcome
        self._on_done = on_done
        self._stopped: MailblastError | None = None
        #: The one used last stands last.
        self._lanes: dict[Key, _Lane] = {}

    @property
    def stopped(self) -> MailblastError | None:
        """Why nothing more is handed out; None while it is."""
        if self._stopped is None:
            return next((lane.executor.stopped for lane in self._lanes.values() if lane.executor.stopped), None)
        return self._stopped

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop(error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off."))
        try:
            await self.drain()
        finally:
            for key in list(self._lanes):
                await self._finish(key)

    async def submit(self, batch: Batch) -> None:
        """Start a batch, in one part for each transport; wait first while too many of a transport are under way."""
        parts: dict[Key, list[Claim]] = {}
        left = list(batch.claims)
        for claim in batch.claims:
            key = self._key_of(claim)
            try:
                if self.stopped is None:
                    await self._use(key, parts, batch.sequence)
            except MailblastError as error:
                self.stop(error)
            if self.stopped is not None:
                break
            parts.setdefault(key, []).append(claim)
            left.pop(0)
        for key in list(parts):
            await self._start(key, parts, batch.sequence)
        self._settle(left)

    async def drain(self) -> None:
        """Wait until every batch has its outcomes."""
        for lane in list(self._lanes.values()):
            await lane.executor.drain()

    def limiting(self) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it."""
        return ", ".join(dict.fromkeys(filter(None, (lane.executor.limiting() for lane in self._lanes.values()))))

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more; what is in flight finishes, all else is unsent. The first reason stays."""
        if self._stopped is None:
            self._stopped = self.stopped or reason
            self.stopping.set()
            for lane in self._lanes.values():
                lane.executor.stop(self._stopped)

    def abort(self) -> None:
        """Stop at once: connections are cut, what was complete on the wire without a reply is in doubt."""
        for lane in self._lanes.values():
            lane.executor.abort()

    # Inside.

    async def _use(self, key: Key, parts: dict[Key, list[Claim]], sequence: int) -> None:
        """See to it that a transport is in use that is open and not too old."""
        lane = self._lanes.get(key)
        if lane is None and len(self._lanes) >= self._maximum:
            await self._retire(next(iter(self._lanes)), parts, sequence)
        provider = await self._cache.get(key)
        if lane is not None and lane.provider is provider:
            # Moved to the end.
            self._lanes[key] = self._lanes.pop(key)
            return
        if lane is not None:
            await self._retire(key, parts, sequence)
        await self._begin(key)

    async def _begin(self, key: Key) -> None:
        async with AsyncExitStack() as stack:
            # It was asked for just now; that it is kept open from here is no request of its own.
            provider = await stack.enter_async_context(self._cache.lease(key, counted=False))
            route = self._make_route(key, provider)
            stack.callback(route.close_limits)
            route.open_limits()
            executor = route.make_executor(self._on_outcome, self._on_done)
            await executor.__aenter__()
            watching = asyncio.create_task(self._watch(executor), name="transport")
            self._lanes[key] = _Lane(provider, executor, stack.pop_all(), watching)

    async def _watch(self, executor: Executor) -> None:
        await executor.stopping.wait()
        if executor.stopped is not None:
            self.stop(executor.stopped)

    async def _start(self, key: Key, parts: dict[Key, list[Claim]], sequence: int) -> None:
        claims = parts.pop(key, None)
        if claims:
            await self._lanes[key].executor.submit(Batch(sequence, tuple(claims)))

    async def _retire(self, key: Key, parts: dict[Key, list[Claim]], sequence: int) -> None:
        """Finish a transport's work and let it go."""
        await self._start(key, parts, sequence)
        await self._finish(key)

    async def _finish(self, key: Key) -> None:
        lane = self._lanes[key]
        try:
            await lane.executor.__aexit__(None, None, None)
            if lane.executor.stopped is not None:
                self.stop(lane.executor.stopped)
        finally:
            del self._lanes[key]
            lane.watching.cancel()
            await asyncio.gather(lane.watching, return_exceptions=True)
            await lane.stack.aclose()

    def _settle(self, claims: Sequence[Claim]) -> None:
        """Leave these unsent."""
        outcomes = [unsent(claim, self._clock.now()) for claim in claims]
        for outcome in outcomes:
            self._on_outcome(outcome)
        if outcomes:
            try:
                self._on_done(outcomes)
            except MailblastError as error:
                self.stop(error)

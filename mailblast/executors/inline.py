"""Batches on this event loop: one provider pulls from one pipeline, a few batches are under way at once."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Self

from mailblast.delivery.pipeline import MAX_PARKED
from mailblast.errors import MailblastError, ProviderUnavailableError, RunInterruptedError
from mailblast.executors.gathering import GROUP, Gathering

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.delivery.pipeline import Pipeline
    from mailblast.model.outcome import Outcome
    from mailblast.model.recipient import Batch
    from mailblast.providers.provider import Provider

#: Times the provider is asked to connect again, without one message answered in between, before the run stops.
MAX_RECONNECTS = 6
#: Likewise where another provider stands by to go on: about 4 s in all.
MAX_RECONNECTS_BEFORE_ANOTHER = 3
#: Waits before these: 0.5, 1, 2 … seconds; about half a minute in all, enough for a server's restart.
RECONNECT_BASE_S = 0.5


class InlineExecutor:
    """Run batches here.

    Args:
        pipeline: Feeds the provider; stopped here when the provider cannot go on.
        provider: Open; stays open.
        clock: Waits between attempts to connect.
        batches_in_flight: ``submit()`` waits while so many are under way.
        on_done: Called with the outcomes of finished batches, several at a time.
        group: How many outcomes that should be; 1 for each batch by itself.
        on_late: Called with a batch whose rest waits for slow domains, before what is done of it is handed on.
        reconnects: Times the provider is asked to connect again, without one message answered in between.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        provider: Provider,
        clock: Clock,
        *,
        batches_in_flight: int,
        on_done: Callable[[Sequence[Outcome]], None],
        group: int = GROUP,
        on_late: Callable[[Batch], None] = lambda _: None,
        reconnects: int = MAX_RECONNECTS,
    ) -> None:
        self.stopping = pipeline.stopping
        self._pipeline = pipeline
        self._provider = provider
        self._clock = clock
        self._limit = batches_in_flight
        self._gathering = Gathering(on_done, clock, group=group)
        self._on_late = on_late
        self._reconnects = reconnects
        self._under_way: set[asyncio.Task[None]] = set()
        #: Parts of batches that wait for slow domains; they hold up nobody.
        self._late = 0
        self._late_done = asyncio.Event()
        self._delivering: asyncio.Future[None]

    @property
    def stopped(self) -> MailblastError | None:
        """Why nothing more is handed out; None while it is."""
        return self._pipeline.stopped

    async def __aenter__(self) -> Self:
        self._delivering = asyncio.create_task(self._deliver(), name="provider")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self.drain()
            else:
                # Cancelled, or a defect: what is in flight is finished and recorded, nothing more is handed out.
                stop = error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off.")
                self._pipeline.stop(stop)
        finally:
            await self._end()

    async def submit(self, batch: Batch) -> None:
        """Start a batch; wait first while too many are under way."""
        while len(self._under_way) >= self._limit:
            await self._some_done()
        while batch.sequence < 0 and self._pipeline.parked >= MAX_PARKED:
            await self._some_late_done()
        self._under_way.add(asyncio.create_task(self._run(batch)))

    async def drain(self) -> None:
        """Wait until every batch has its outcomes."""
        while self._under_way or self._late:
            if self._under_way:
                await self._some_done()
            else:
                await self._some_late_done()
        self._hand_on(self._gathering.flush)

    def limiting(self) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it."""
        return self._pipeline.limiting()

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more; what is in flight finishes, all else is unsent. The first reason stays."""
        self._pipeline.stop(reason)

    def abort(self) -> None:
        """Stop at once: connections are cut, what was complete on the wire without a reply is in doubt."""
        self._delivering.cancel()

    async def _end(self) -> None:
        self._pipeline.close()
        if self._pipeline.stopped is not None and not self._pipeline.in_flight:
            # It may be waiting to connect again.
            self._delivering.cancel()
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await self._delivering
        finally:
            await self.drain()

    async def _some_done(self) -> None:
        done, self._under_way = await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _some_late_done(self) -> None:
        self._late_done.clear()
        await self._late_done.wait()

    async def _run(self, batch: Batch) -> None:
        def late(rest: asyncio.Future[list[Outcome]]) -> None:
            self._late += 1
            self._on_late(batch)
            rest.add_done_callback(self._take_late)

        outcomes = await self._pipeline.deliver_batch(batch, late)
        self._hand_on(lambda: self._gathering.add(outcomes))

    def _take_late(self, rest: asyncio.Future[list[Outcome]]) -> None:
        self._late -= 1
        self._hand_on(lambda: self._gathering.add(rest.result()))
        self._late_done.set()

    def _hand_on(self, fold: Callable[[], object]) -> None:
        try:
            fold()
        except MailblastError as error:
            self._pipeline.stop(error)

    async def _deliver(self) -> None:
        try:
            await self._keep_delivering()
        except MailblastError as error:
            self._pipeline.stop(error)
        finally:
            # Also on cancellation and on a defect: whoever waits for a batch must not wait for ever.
            self._pipeline.stop_if_unfinished(ProviderUnavailableError("The provider ended early."))

    async def _keep_delivering(self) -> None:
        failures = 0
        while True:
            answered = self._pipeline.answered
            try:
                await self._provider.deliver(self._pipeline)
            except ProviderUnavailableError:
                failures = failures + 1 if self._pipeline.answered == answered else 1
                if failures > self._reconnects:
                    raise
            else:
                return
            self._pipeline.connect_again()
            # Connections that are not needed any more are not asked for again.
            if not await self._pipeline.wait():
                return
            await self._clock.sleep(RECONNECT_BASE_S * 2 ** (failures - 1))

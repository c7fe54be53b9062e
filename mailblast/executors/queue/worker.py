"""A worker: leases batches, has them delivered, and tells that it is there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import defaultdict
from typing import TYPE_CHECKING

from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.executors.executor import DRAIN_S
from mailblast.executors.queue.batches import Batches
from mailblast.executors.queue.carriers import Carriers
from mailblast.executors.queue.due import DueBatches
from mailblast.executors.queue.engine import Engine, EngineTurns
from mailblast.executors.queue.lanes import Lanes
from mailblast.executors.queue.leases import Leases
from mailblast.executors.queue.ledger import Ledger
from mailblast.executors.queue.opening import Opening
from mailblast.executors.queue.presence import Presence
from mailblast.executors.queue.say_once import saying_once
from mailblast.executors.queue.spool import Spool, tell_group
from mailblast.executors.queue.stopping import Stopping
from mailblast.executors.queue.store import QueueError
from mailblast.executors.queue.window import Window
from mailblast.executors.queue.wire import Wire
from mailblast.executors.queue.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path
    from random import Random

    from mailblast.clock import Clock
    from mailblast.executors.queue.document import Delivery
    from mailblast.executors.queue.lane import Parts
    from mailblast.executors.queue.store import Store
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome

#: Waits between looks at an empty queue.
IDLE_S = (0.02, 0.25)
#: How often paused and cancelled campaigns are asked for.
STATES_S = 1.0
#: How often it is looked for campaigns of which nothing comes, and how often an idle worker looks after other things.
LET_GO_S = 1.0
ASIDE_S = 1.0


class WorkerSettings:
    """How a worker goes about it.

    Args:
        identity: Names it, and no other.
        concurrency: Batches at once, at most.
        lease_s: Silence after which its batches go to others.
        once: End when nothing is due.
        folder: For outcomes that cannot be told, and attachments.
    """

    def __init__(self, identity: str, concurrency: int, lease_s: float, folder: Path, *, once: bool) -> None:
        self.identity = identity
        self.concurrency = concurrency
        self.lease_s = lease_s
        self.folder = folder
        self.once = once


class Worker:
    """Delivers the batches of a server's queue until it is stopped.

    Args:
        store: The server.
        engine: Its queues.
        settings: How.
        make_parts: Returns what this machine has for a campaign. Raises ``MailblastError`` where something is missing.
        clock: Times and waits.
        on_outcome: Called for each outcome.
        say: Told what its operator should know, once for each.
        jitter: Spreads second tries.
        on_idle: Called on a thread, once a second at most, while there is nothing to deliver; told by what it is given
            whether it may take longer.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        settings: WorkerSettings,
        make_parts: Callable[[Campaign, Delivery], Parts],
        clock: Clock,
        *,
        on_outcome: Callable[[Outcome], None],
        say: Callable[[str], None],
        jitter: Random,
        on_idle: Callable[[Callable[[], bool]], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._workers = Workers(store)
        self._settings = settings
        self._clock = clock
        self._on_idle = on_idle
        self._idled_s = float("-inf")
        self._wire = Wire(store)
        self._spool = Spool(settings.folder, settings.identity)
        self._window = Window(settings.concurrency)
        self._slot = 0
        #: Of each campaign's groups of outcomes, which the server knows by them; it may be let go and opened again.
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._active: set[asyncio.Task[None]] = set()
        self._defect: BaseException | None = None
        say_once = saying_once(say)
        self._turns = EngineTurns(engine)
        self._due = DueBatches(store)
        self._stopping = Stopping(self._wind_down)
        self._carriers = Carriers(clock, lambda error: say_once(f"{error}"))
        opening = Opening(
            store,
            settings.folder,
            make_parts,
            self._make_ledger,
            self._carriers,
            clock,
            on_outcome=on_outcome,
            jitter=jitter,
        )
        self._lanes = Lanes(opening, self._carriers)
        self._presence = Presence(self._stopping, self._come_back, self._went_away, say)
        self._leases = Leases(store, self._turns, self._lanes.barrier)
        self._batches = Batches(store, self._leases, self._lanes, self._presence, self._stopping, say_once)

    # From outside.

    @property
    def stopped(self) -> MailblastError | None:
        """Why it ends; None while it goes on."""
        return self._stopping.reason

    async def run(self) -> None:
        """Work until ``stop()``, or until nothing is due.

        Raises:
            QueueError: The server cannot be reached at the start, or refuses.
        """
        await self._begin()
        alive_s = min(self._settings.lease_s / 4, 1.0)
        keeping = [
            asyncio.create_task(self._while_there(self._keep_alive, alive_s)),
            asyncio.create_task(self._while_there(self._look_at_states, STATES_S)),
            asyncio.create_task(self._let_go()),
        ]
        try:
            await self._work()
            await self._drain()
            if self._defect is not None:
                raise self._defect
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, self._presence.close(), return_exceptions=True)
            await self._close()

    def stop(self, reason: MailblastError) -> None:
        """Lease nothing more; finish what is in flight and hand the rest back."""
        self._stopping.begin(reason)

    def abort(self) -> None:
        """Cut all connections."""
        self._carriers.abort()

    def limiting(self) -> str:
        """Return what the campaigns wait for, in a few words."""
        return self._lanes.limiting()

    # Its life.

    async def _begin(self) -> None:
        await self._wire.open()
        self._slot = self._workers.new_slot()
        for path, groups in self._spool.left_by_others():
            for group in groups:
                tell_group(self._store, group)
            path.unlink(missing_ok=True)
        self._see()
        self._presence.found()

    async def _work(self) -> None:
        idle_s = IDLE_S[0]
        while self.stopped is None:
            if not self._presence.is_there:
                await self._presence.wait()
                continue
            try:
                leased = await self._leases.exchange(self._window.size - len(self._active))
            except QueueError as error:
                self._presence.lost(error)
                continue
            for lease, found in leased:
                task = asyncio.create_task(self._batches.see_through(lease, found))
                self._active.add(task)
                task.add_done_callback(self._seen_through)
            if leased:
                idle_s = IDLE_S[0]
                self._window.leased(self._clock.monotonic())
                await self._until_some_are_done()
            elif self._settings.once and not self._active and idle_s >= IDLE_S[1]:
                await self._turn_aside()
                return
            else:
                await self._rest(idle_s)
                idle_s = min(2 * idle_s, IDLE_S[1])
                if not self._active and self._clock.monotonic() - self._idled_s >= ASIDE_S:
                    await self._turn_aside()

    def _seen_through(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._defect = defect
            self.stop(RunInterruptedError("The worker was broken off."))

    async def _turn_aside(self) -> None:
        """Do what there is to do beside delivering."""
        try:
            await asyncio.to_thread(self._on_idle, lambda: self.stopped is None)
        except QueueError as error:
            self._presence.lost(error)
        self._idled_s = self._clock.monotonic()

    async def _until_some_are_done(self) -> None:
        """Wait for half of the batches, so that several are acknowledged and leased together; for a while only."""
        ends_s = self._clock.monotonic() + IDLE_S[1]
        while 2 * len(self._active) > self._window.size and self.stopped is None:
            left_s = ends_s - self._clock.monotonic()
            if left_s <= 0:
                return
            await self._rest(left_s)

    async def _rest(self, seconds: float) -> None:
        """Wait until a batch is done, for so long at most."""
        if self._active:
            done = asyncio.wait(self._active, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            await self._stopping.first_of(done)
        else:
            await self._stopping.first_of(asyncio.sleep(seconds))

    def _wind_down(self, reason: MailblastError) -> None:
        self._lanes.stop(reason)
        asyncio.get_running_loop().call_later(DRAIN_S, self.abort)

    async def _drain(self) -> None:
        if self._active:
            await asyncio.wait(self._active, timeout=2 * DRAIN_S)
        with contextlib.suppress(QueueError):
            await self._leases.exchange(0)

    async def _close(self) -> None:
        await self._lanes.close()
        with contextlib.suppress(MailblastError):
            await self._lanes.barrier()
            self._workers.gone(self._settings.identity)
        self._wire.close()

    # Beside it.

    async def _while_there(self, call: Callable[[], Awaitable[None]], every_s: float) -> None:
        """Do something again and again while the server is there."""
        while True:
            if self._presence.is_there:
                try:
                    await call()
                except QueueError as error:
                    self._presence.lost(error)
            await asyncio.sleep(every_s)

    async def _keep_alive(self) -> None:
        """Say that this worker lives; redeliver what dead ones had, and hand on what is due."""
        await self._turns.call(Engine.keep_alive)
        await self._turns.call(self._due.hand_on)
        self._see()

    async def _look_at_states(self) -> None:
        """Have campaigns end here soon that are paused or cancelled."""
        if tokens := self._lanes.tokens:
            self._lanes.hold(await asyncio.to_thread(self._store.states, tokens))

    async def _let_go(self) -> None:
        while True:
            await asyncio.sleep(LET_GO_S)
            await self._lanes.let_go_of_idle()

    def _went_away(self, error: QueueError) -> None:
        """Send nothing more; the wire may not have noticed."""
        self._lanes.stop(error)
        self._wire.cut(error)

    async def _come_back(self) -> None:
        """Connect anew to a server that was away, and tell what it has not heard."""
        await self._wire.open()
        await self._lanes.tell_again()
        self._see()

    def _see(self) -> None:
        """Have it known that this worker lives."""
        self._workers.seen(
            self._settings.identity,
            {"slot": self._slot, "concurrency": self._window.size, "lease_s": self._settings.lease_s},
        )

    def _make_ledger(self, token: str, may_retry: Callable[[Outcome], bool]) -> Ledger:
        identity, numbers = self._settings.identity, self._numbers[token]
        return Ledger(self._wire, self._spool, token, identity, self._slot, may_retry, numbers)

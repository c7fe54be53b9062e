"""A worker: leases batches, delivers them, tells what became of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mailblast.delivery.composer import Composer
from mailblast.delivery.pipeline import Pipeline
from mailblast.delivery.retry import deferred_delay_s
from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.executors.executor import DRAIN_S
from mailblast.executors.queue.blobs import FolderBlobs
from mailblast.executors.queue.carrier import Carrier
from mailblast.executors.queue.document import from_document
from mailblast.executors.queue.includes import unpack_files
from mailblast.executors.queue.ledger import Ledger
from mailblast.executors.queue.spool import Spool, tell_group
from mailblast.executors.queue.store import QueueAwayError, QueueError
from mailblast.executors.queue.wire import LeaseLostError, Wire
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Batch, Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from random import Random

    from mailblast.clock import Clock
    from mailblast.delivery.pace import Pace
    from mailblast.executors.queue.document import Delivery
    from mailblast.executors.queue.engine import Engine, Lease
    from mailblast.executors.queue.store import Found, Store
    from mailblast.model.campaign import Campaign, Keys
    from mailblast.providers.provider import Provider

#: Waits between looks at an empty queue, and between attempts to reach a server that is away.
IDLE_S = (0.02, 0.25)
AWAY_S = (0.2, 5.0)
#: A campaign that cannot be delivered here is looked at again after so long, and one that is paused.
HOLD_S = 5.0
PAUSED_S = 1.0
#: How often paused and cancelled campaigns are asked for.
STATES_S = 1.0
#: A campaign of which nothing has come for so long lets go of its provider.
IDLE_LANE_S = 60.0
#: How often it is looked for such, and how often an idle worker looks after other things.
LET_GO_S = 1.0
ASIDE_S = 1.0


class WorkerSettings:
    """How a worker goes about it.

    Args:
        identity: Names it, and no other.
        concurrency: Batches at once.
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


@dataclass(frozen=True, slots=True)
class Parts:
    """What this machine has for a campaign."""

    #: Of the carrier: campaigns with the same go by the same connections.
    transport: object
    #: Opens the provider; the context keeps it open.
    lease: Callable[[], contextlib.AbstractAsyncContextManager[Provider]]
    make_pace: Callable[[Provider], Pace]
    keys: Keys


class Lane:
    """One campaign in this worker."""

    def __init__(
        self,
        campaign: Campaign,
        delivery: Delivery,
        composer: Composer,
        ledger: Ledger,
        pace: Pace,
        carrier: Carrier,
        delays: dict[int, float],
    ) -> None:
        self.campaign = campaign
        self.delivery = delivery
        self.composer = composer
        self.ledger = ledger
        self.pace = pace
        self.carrier = carrier
        #: Seconds after which deferred recipients are tried again, by number.
        self.delays = delays
        self.pipeline: Pipeline
        self.batches = 0
        self.used_s = 0.0
        #: Why nothing of it is delivered here, such as ``paused``; empty while it is.
        self.held = ""


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
        self._engine = engine
        self._settings = settings
        self._make_parts = make_parts
        self._clock = clock
        self._on_outcome = on_outcome
        self._say = say
        self._jitter = jitter
        self._on_idle = on_idle
        self._idled_s = float("-inf")
        self._wire = Wire(store)
        self._spool = Spool(settings.folder, settings.identity)
        self._blobs = FolderBlobs(settings.folder / "attachments")
        self._slot = 0
        self._lanes: dict[str, Lane] = {}
        self._opening: dict[str, asyncio.Task[Lane]] = {}
        self._carriers: dict[object, tuple[Carrier, contextlib.AsyncExitStack]] = {}
        self._active: set[asyncio.Task[None]] = set()
        #: Batches that are here, and those of them that are done and not acknowledged yet.
        self._own: set[tuple[str, int]] = set()
        self._done: list[Lease] = []
        self._told: set[str] = set()
        self._unput: dict[str, set[int]] = {}
        #: Set while the server answers.
        self._present = asyncio.Event()
        self._engine_turn = asyncio.Lock()
        #: Why it ends; None while it goes on.
        self.stopped: MailblastError | None = None
        self._stopping = asyncio.Event()
        self._defect: BaseException | None = None
        self._finding: asyncio.Task[None] | None = None
        self.delivered_batches = 0

    # From outside.

    async def run(self) -> None:
        """Work until ``stop()``, or until nothing is due.

        Raises:
            QueueError: The server cannot be reached at the start, or refuses.
        """
        await self._begin()
        keeping = [asyncio.create_task(each()) for each in (self._keep_alive, self._watch_states, self._let_go)]
        try:
            await self._work()
            await self._drain()
            if self._defect is not None:
                raise self._defect
        finally:
            if self._finding is not None:
                keeping.append(self._finding)
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await self._close()

    def stop(self, reason: MailblastError) -> None:
        """Lease nothing more; finish what is in flight and hand the rest back."""
        if self.stopped is None:
            self.stopped = reason
            self._stopping.set()
            for lane in self._lanes.values():
                lane.pipeline.stop(reason)
            asyncio.get_running_loop().call_later(DRAIN_S, self.abort)

    def abort(self) -> None:
        """Cut all connections."""
        for carrier, _ in self._carriers.values():
            carrier.abort()

    def limiting(self) -> str:
        """Return what the campaigns wait for, in a few words."""
        words = [lane.pipeline.limiting() for lane in self._lanes.values() if lane.batches]
        return "; ".join(dict.fromkeys(word for word in words if word))

    # Its life.

    async def _begin(self) -> None:
        self._wire.open()
        self._slot = self._store.new_slot()
        for path, groups in self._spool.left_by_others():
            for group in groups:
                tell_group(self._store, group)
            path.unlink(missing_ok=True)
        self._see()
        self._present.set()

    async def _work(self) -> None:
        idle_s = IDLE_S[0]
        while self.stopped is None:
            if not self._present.is_set():
                await self._first_of(self._present.wait())
                continue
            free = self._settings.concurrency - len(self._active)
            try:
                leased = await self._exchange(free)
            except QueueError as error:
                self._lost(error)
                continue
            for lease, found in leased:
                task = asyncio.create_task(self._handle(lease, found))
                self._active.add(task)
                task.add_done_callback(self._handled)
            if leased:
                idle_s = IDLE_S[0]
                await self._until_some_are_done()
            elif self._settings.once and not self._active and idle_s >= IDLE_S[1]:
                await self._turn_aside()
                return
            else:
                await self._rest(idle_s)
                idle_s = min(2 * idle_s, IDLE_S[1])
                if not self._active and self._clock.monotonic() - self._idled_s >= ASIDE_S:
                    await self._turn_aside()

    async def _turn_aside(self) -> None:
        """Do what there is to do beside delivering."""
        try:
            await asyncio.to_thread(self._on_idle, lambda: self.stopped is None)
        except QueueError as error:
            self._lost(error)
        self._idled_s = self._clock.monotonic()

    async def _until_some_are_done(self) -> None:
        """Wait for half of the batches, so that several are acknowledged and leased together; for a while only."""
        ends_s = self._clock.monotonic() + IDLE_S[1]
        while 2 * len(self._active) > self._settings.concurrency and self.stopped is None:
            left_s = ends_s - self._clock.monotonic()
            if left_s <= 0:
                return
            await self._rest(left_s)

    async def _rest(self, seconds: float) -> None:
        """Wait until a batch is done, for so long at most."""
        if self._active:
            await self._first_of(asyncio.wait(self._active, timeout=seconds, return_when=asyncio.FIRST_COMPLETED))
        else:
            await self._first_of(asyncio.sleep(seconds))

    async def _drain(self) -> None:
        if self._active:
            await asyncio.wait(self._active, timeout=2 * DRAIN_S)
        with contextlib.suppress(QueueError):
            await self._exchange(0)

    async def _close(self) -> None:
        for lane in list(self._lanes.values()):
            lane.pipeline.close()
            lane.pace.close()
        for carrier, stack in list(self._carriers.values()):
            await carrier.close()
            await stack.aclose()
        with contextlib.suppress(MailblastError):
            for lane in self._lanes.values():
                lane.ledger.barrier()
            self._store.gone(self._settings.identity)
        self._wire.close()

    def _handled(self, task: asyncio.Task[None]) -> None:
        self._active.discard(task)
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._defect = defect
            self.stop(RunInterruptedError("The worker was broken off."))

    # Batches.

    async def _exchange(self, limit: int) -> list[tuple[Lease, Found | None]]:
        """Acknowledge what is done; lease so many batches and read them."""
        if limit <= 0 and not self._done:
            return []
        done, self._done = self._done, []
        try:
            if done:
                for lane in self._lanes.values():
                    # Their outcomes are known at the server before anything else forgets the batches.
                    lane.ledger.barrier()
            leased: list[tuple[Lease, Found | None]] = await self._by_engine(self._exchange_on_thread, done, limit)
        finally:
            self._done = done + self._done
        return leased

    def _exchange_on_thread(self, done: list[Lease], limit: int) -> list[tuple[Lease, Found | None]]:
        store, engine = self._store, self._engine
        if done:
            store.finish_batches([(lease.token, lease.sequence) for lease in done])
            engine.acknowledge_all(done)
            self._own -= {(lease.token, lease.sequence) for lease in done}
            done.clear()
        leases = []
        for lease in engine.lease(limit) if limit > 0 else ():
            if (lease.token, lease.sequence) in self._own:
                # Put twice, by somebody who did not hear that it had been put; or it is another one of this number,
                # of a server that has lost its memory.
                self._put_off(lease)
            else:
                self._own.add((lease.token, lease.sequence))
                leases.append(lease)
        try:
            found: list[Found] = store.read_batches([(each.token, each.sequence) for each in leases]) if leases else []
        except QueueAwayError:
            # They are leased all the same, and are read when it is back.
            return [(lease, None) for lease in leases]
        return list(zip(leases, found, strict=True))

    async def _handle(self, lease: Lease, found: Found | None) -> None:
        """See a batch through; whatever happens, it is acknowledged, given back, or left to its lease."""
        while True:
            try:
                await self._until_present()
                end = await self._deliver(lease, found)
                if end is None:
                    self._done.append(lease)
                    return
                await self._by_engine(end, lease)
            except QueueError as error:
                found = None
                self._lost(error)
                if self.stopped is None:
                    continue
                # Its lease will end.
            except MailblastError as error:
                self._tell(f"{error}")
                self._hold(lease)
            self._own.discard((lease.token, lease.sequence))
            return

    async def _deliver(self, lease: Lease, found: Found | None) -> Callable[[Lease], None] | None:
        """Deliver a batch as far as possible; return what becomes of its lease, None where it is done."""
        store = self._store
        found = found or self._read(lease)
        if found.state in {"", "cancelled"}:
            # Nobody of it counts as queued any more, or could not be put again.
            store.drop_batch(lease.token, lease.sequence)
            return None
        if found.state == "paused":
            return self._wait
        try:
            lane = await self._lane(lease.token)
        except QueueError:
            raise
        except MailblastError as error:
            self._tell(f"{store.info(lease.token).get('name', lease.token)}: {error}")
            return self._put_off
        lane.batches += 1
        try:
            return await self._deliver_by(lane, lease, found)
        finally:
            lane.batches -= 1
            lane.used_s = self._clock.monotonic()

    async def _deliver_by(self, lane: Lane, lease: Lease, found: Found) -> Callable[[Lease], None] | None:
        while self.stopped is None:
            claims = found.queued
            if not claims:
                return None
            self._renew(lane)
            pipeline = lane.pipeline
            outcomes = await pipeline.deliver_batch(Batch(-1, tuple(claims)))
            await self._until_present()
            self._try_later(lane, claims, outcomes)
            if all(outcome.state is not State.UNSENT for outcome in outcomes):
                self.delivered_batches += 1
                return None
            lane.ledger.barrier()
            if lane.held or not isinstance(pipeline.stopped, QueueError):
                break
            found = self._read(lease)
        # Who looks next at what is cancelled drops it.
        if self.stopped is not None or lane.held == "cancelled":
            return self._engine.give_back
        return self._wait if lane.held else self._put_off

    def _read(self, lease: Lease) -> Found:
        (found,) = self._store.read_batches([(lease.token, lease.sequence)])
        return found

    def _put_off(self, lease: Lease, delay_s: float = HOLD_S) -> None:
        self._store.delay(lease.token, lease.sequence, lease.priority, delay_s)
        self._engine.acknowledge(lease)

    def _wait(self, lease: Lease) -> None:
        self._put_off(lease, PAUSED_S)

    def _hold(self, lease: Lease) -> None:
        with contextlib.suppress(QueueError):
            self._put_off(lease)

    def _try_later(self, lane: Lane, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> None:
        later = []
        delay_s = 0.0
        for claim, outcome in zip(claims, outcomes, strict=True) if lane.delays else ():
            delay = lane.delays.pop(claim.id, None)
            if delay is not None and outcome.state is State.DEFERRED:
                later.append(claim._replace(attempts=outcome.attempts))
                delay_s = max(delay_s, delay)
        if later:
            lane.ledger.barrier()
            self._store.put_later(lane.campaign.token, later, delay_s, lane.delivery.priority)

    def _is_tried_again(self, delivery: Delivery, delays: dict[int, float], outcome: Outcome) -> bool:
        """Return whether a deferred recipient is tried again within the campaign's patience; note when."""
        delay_s = deferred_delay_s(max(outcome.attempts, 1), self._jitter.random(), outcome.retry_after_s)
        if self._clock.now() + delay_s > delivery.queued_s + delivery.retry_for_s:
            return False
        delays[outcome.id] = delay_s
        return True

    # Campaigns.

    async def _lane(self, token: str) -> Lane:
        lane = self._lanes.get(token)
        if lane is not None:
            return lane
        opening = self._opening.get(token)
        if opening is None:
            opening = self._opening[token] = asyncio.create_task(self._open_lane(token))
            opening.add_done_callback(lambda _: self._opening.pop(token, None))
        return await asyncio.shield(opening)

    async def _open_lane(self, token: str) -> Lane:
        document = json.loads(self._store.info(token)["document"])
        campaign, delivery = from_document(document, self._blob)
        folder = unpack_files(document.get("files", {}), self._settings.folder / "templates" / token)
        campaign = campaign._replace(template=campaign.template._replace(folder=folder))
        parts = self._make_parts(campaign, delivery)
        carrier = await self._carrier(parts)
        composer = Composer(campaign, parts.keys, composition=carrier.provider.wants_composition)
        delays: dict[int, float] = {}
        ledger = Ledger(
            self._wire,
            self._spool,
            token,
            self._settings.identity,
            self._slot,
            lambda outcome: self._is_tried_again(delivery, delays, outcome),
        )
        lane = Lane(campaign, delivery, composer, ledger, parts.make_pace(carrier.provider), carrier, delays)
        lane.pipeline = self._pipeline(lane)
        carrier.add(lane.pipeline)
        self._lanes[token] = lane
        return lane

    def _pipeline(self, lane: Lane) -> Pipeline:
        def done(outcome: Outcome) -> None:
            lane.ledger.note(outcome)
            if outcome.state is not State.UNSENT:
                self._on_outcome(outcome)

        return Pipeline(
            lane.composer,
            lane.ledger,
            lane.pace,
            provider_name=lane.carrier.provider.name,
            clock=self._clock,
            on_outcome=done,
        )

    def _renew(self, lane: Lane) -> None:
        """Have a pipeline that is not stopped."""
        if lane.pipeline.stopped is not None and self.stopped is None and not lane.held:
            lane.carrier.remove(lane.pipeline)
            lane.pipeline = self._pipeline(lane)
            lane.carrier.add(lane.pipeline)

    async def _carrier(self, parts: Parts) -> Carrier:
        known = self._carriers.get(parts.transport)
        if known is not None:
            return known[0]
        async with contextlib.AsyncExitStack() as stack:
            provider = await stack.enter_async_context(parts.lease())
            carrier = Carrier(provider, self._clock, lambda error: self._tell(f"{error}"))
            self._carriers[parts.transport] = carrier, stack.pop_all()
        return carrier

    def _blob(self, name: str) -> Any:
        if not self._blobs.has(name):
            self._settings.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._settings.folder / "attachments").mkdir(mode=0o700, exist_ok=True)
            self._blobs.write(self._store.blob(name))
        return self._blobs.get(name)

    # The server.

    async def _until_present(self) -> None:
        if not self._present.is_set():
            await self._first_of(self._present.wait())
            if not self._present.is_set():
                raise QueueAwayError("The queue is away.")

    def _lost(self, error: QueueError) -> None:
        """Take note that the server is away; it is looked for until it is back."""
        if not isinstance(error, QueueAwayError | LeaseLostError):
            # It refuses, and would do so again.
            self.stop(error)
            return
        if not self._present.is_set():
            return
        self._present.clear()
        self._say(f"{error} Nothing is sent until it is back.")
        for lane in self._lanes.values():
            lane.pipeline.stop(error)
        self._finding = asyncio.create_task(self._find())

    async def _find(self) -> None:
        wait_s = AWAY_S[0]
        while True:
            await asyncio.sleep(wait_s)
            try:
                await asyncio.to_thread(self._wire.open)
                for lane in self._lanes.values():
                    lane.ledger.tell_again()
                self._see()
            except QueueAwayError:
                wait_s = min(2 * wait_s, AWAY_S[1])
                continue
            except QueueError as error:
                self._lost(error)
                return
            self._present.set()
            self._say("The queue is back.")
            return

    async def _by_engine(self, call: Callable[..., Any], *words: Any) -> Any:
        """Call the engine on a thread, one call at a time."""
        async with self._engine_turn:
            return await asyncio.to_thread(call, *words)

    async def _keep_alive(self) -> None:
        while True:
            if self._present.is_set():
                try:
                    await self._by_engine(self._engine.keep_alive)
                    await self._by_engine(self._hand_on)
                    self._see()
                except QueueError as error:
                    self._lost(error)
            await asyncio.sleep(min(self._settings.lease_s / 4, 1.0))

    def _hand_on(self) -> None:
        """Give the engine batches whose time has come, and those that never reached it."""
        for token, sequence, priority in self._store.take_due():
            self._engine.put(token, sequence, priority)
            self._store.put_was_heard(token, sequence)
        for token in self._store.campaigns():
            unput = self._store.unput(token)
            for sequence in unput & self._unput.get(token, set()):
                self._engine.put(token, sequence, int(self._store.info(token).get("priority", 1)))
                self._store.put_was_heard(token, sequence)
                unput.discard(sequence)
            self._unput[token] = unput

    def _see(self) -> None:
        self._store.seen(
            self._settings.identity,
            {"slot": self._slot, "concurrency": self._settings.concurrency, "lease_s": self._settings.lease_s},
        )

    async def _watch_states(self) -> None:
        """Have campaigns end here soon that are paused or cancelled."""
        while True:
            await asyncio.sleep(STATES_S)
            lanes = dict(self._lanes)
            if not lanes or not self._present.is_set():
                continue
            try:
                states = await asyncio.to_thread(self._store.states, list(lanes))
            except QueueError as error:
                self._lost(error)
                continue
            for token, lane in lanes.items():
                lane.held = "" if states[token] == "active" else states[token] or "gone"
                if lane.held:
                    lane.pipeline.stop(RunInterruptedError(f"{lane.campaign.name} is {lane.held}."))

    async def _let_go(self) -> None:
        """Let go of campaigns of which nothing comes any more, and leave their providers to whoever keeps them."""
        while True:
            await asyncio.sleep(LET_GO_S)
            self._let_go_of_idle_lanes()
            used = {lane.carrier for lane in self._lanes.values()}
            for transport, (carrier, stack) in list(self._carriers.items()):
                if carrier not in used and not self._opening:
                    del self._carriers[transport]
                    with contextlib.suppress(MailblastError):
                        await carrier.close()
                        await stack.aclose()

    def _let_go_of_idle_lanes(self) -> None:
        now = self._clock.monotonic()
        for token, lane in list(self._lanes.items()):
            if not lane.batches and lane.used_s and now - lane.used_s > IDLE_LANE_S and not lane.ledger.unanswered:
                lane.carrier.remove(lane.pipeline)
                lane.pace.close()
                del self._lanes[token]

    def _tell(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            self._say(text)

    async def _first_of(self, work: Any) -> None:
        """Wait for this or for the stop."""
        task, stopping = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            task.cancel()

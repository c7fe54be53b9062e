"""Batches from hand to hand: Dramatiq's Redis broker keeps the queues, the leases and what a dead worker leaves.

Only a batch's name travels: campaign, number and priority. Used here: messages, queues, late acknowledgement, leases by
heartbeat, redelivery. Not used: Dramatiq's worker threads (messages are sent on an event loop), its delays (a consumer
that loses its connection forgets what it holds back) and its consumers (they ask one queue after the other, and wait
for each that is empty).

Dramatiq looks for dead workers by chance, with one command in a thousand, so that the last batches of an idle queue
would lie for hours. Here every worker does it four times in a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from mailblast.errors import UsageError
from mailblast.executors.queue.commands import Command, Script
from mailblast.executors.queue.store import INSTALL, QueueError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailblast.executors.queue.store import Store

P = ParamSpec("P")
T = TypeVar("T")
NAMESPACE = "mailblast:engine"
#: By priority: what is in the first one goes first.
QUEUES = ("high", "normal", "low")
#: A worker that has not been heard for so long is gone, and its batches go to others.
LEASE_S = 20.0


class Lease(NamedTuple):
    """A batch that this worker has until it is acknowledged or given back."""

    token: str
    sequence: int
    priority: int
    #: Dramatiq's message.
    message: Any


class Engine:
    """The queues of one server. Not thread-safe.

    Args:
        store: Whose server it is.
        lease_s: After which silence a worker counts as gone; the same for all workers.

    Raises:
        UsageError: The package is missing.
    """

    def __init__(self, store: Store, lease_s: float = LEASE_S) -> None:
        try:
            from dramatiq import Message  # noqa: PLC0415 - in the extra "queue"
            from dramatiq.brokers.redis import RedisBroker  # noqa: PLC0415
        except ImportError as error:
            raise UsageError("--queue redis://… needs the package dramatiq.", fix=INSTALL) from error
        logging.getLogger("dramatiq").setLevel(logging.CRITICAL)
        self._store = store
        self._message: Any = Message

        class Broker(RedisBroker):
            """Looks for dead workers when it is asked to, not by chance."""

            looks_for_dead = False

            def _should_do_maintenance(self, _command: str) -> int:
                return int(self.looks_for_dead)

        make_broker: Any = Broker
        self._broker: Any = make_broker(
            client=store.client, middleware=[], namespace=NAMESPACE, heartbeat_timeout=round(lease_s * 1000)
        )
        for queue in QUEUES:
            self._broker.declare_queue(queue)
        # Its commands go our way: together with others, and by name.
        self._broker.scripts = {
            name: functools.partial(self._run, Script(script.script)) for name, script in self._broker.scripts.items()
        }
        #: Commands that are to be sent together; None where each is sent at once.
        self._gathered: list[Command] | None = None
        #: What this worker has, by Dramatiq's id.
        self._held: dict[str, Lease] = {}
        self._may_have_orphans = False

    def put(self, token: str, sequence: int, priority: int) -> None:
        """Put a batch into the queue of its priority.

        Raises:
            QueueError: The server is away or refuses.
        """
        message = self._message(
            queue_name=QUEUES[priority], actor_name="deliver", args=(token, sequence, priority), kwargs={}, options={}
        )
        self._broker.enqueue(message)

    def put_all(self, token: str, sequences: Sequence[int], priority: int) -> None:
        """Put batches as ``put()`` does; the server is waited for once."""
        with self._gathering() as commands:
            for sequence in sequences:
                self.put(token, sequence, priority)
        self._store.send(commands)

    def lease(self, limit: int, waiting: Sequence[int] | None = None) -> list[Lease]:
        """Take at most so many batches, the most urgent ones.

        Args:
            limit: How many; none are taken where it is below 1.
            waiting: How many are in each queue, where that is known.

        Raises:
            QueueError: The server is away or refuses.
        """
        if waiting is None:
            waiting = self.acknowledge_all(())
        with self._gathering() as commands:
            for queue, count in zip(QUEUES, waiting, strict=True):
                wanted = min(limit, count)
                if wanted > 0:
                    self._broker.do_fetch(queue, wanted)
                    limit -= wanted
        try:
            answers = self._store.send(commands)
        except QueueError:
            # What an answer held that was lost is leased to this worker, which does not know of it.
            self._may_have_orphans = True
            raise
        return [self._hold(data) for answer in answers for data in answer if data is not None]

    def acknowledge(self, lease: Lease) -> None:
        """Say that a batch is done with."""
        self.acknowledge_all([lease])

    def acknowledge_all(self, leases: Sequence[Lease], first: Sequence[Command] = ()) -> list[int]:
        """Say that batches are done with, and look how many wait; the server is waited for once.

        Args:
            leases: Of these batches.
            first: Commands that go before.

        Returns:
            How many wait in each queue, the most urgent one first.

        Raises:
            QueueError: The server is away or refuses; all of it may be done again.
        """
        with self._gathering() as commands:
            for lease in leases:
                self._broker.do_ack(*_place_of(lease))
        looks = [Command(("LLEN", f"{NAMESPACE}:{queue}")) for queue in QUEUES]
        answers = self._store.send([*first, *commands, *looks])
        self._let_go_of(leases)
        return answers[-len(looks) :]

    def give_back(self, lease: Lease) -> None:
        """Put a batch back into its queue."""
        self._broker.do_requeue(*_place_of(lease))
        self._let_go_of([lease])

    def keep_alive(self) -> None:
        """Say that this worker lives, and redeliver what dead ones had; to be called four times in a lease.

        Raises:
            QueueError: The server is away or refuses.
        """
        self._broker.looks_for_dead = True
        try:
            with self._gathering() as commands:
                for queue in QUEUES:
                    self._broker.do_qsize(queue)
            self._store.send(commands)
            if self._may_have_orphans:
                self._requeue_orphans()
        finally:
            self._broker.looks_for_dead = False

    @contextlib.contextmanager
    def _gathering(self) -> Iterator[list[Command]]:
        """Gather Dramatiq's commands inside, for who sends them; nothing may ask for their answers."""
        gathered: list[Command] = []
        self._gathered = gathered
        try:
            yield gathered
        finally:
            self._gathered = None

    def _run(self, script: Script, *, keys: Sequence[str] = (), args: Sequence[Any] = ()) -> Any:
        """Run one of Dramatiq's scripts for it."""
        command = script.call(keys, args)
        # The one without keys asks for a size that Dramatiq needs at once.
        if self._gathered is not None and keys:
            self._gathered.append(command)
            return None
        (answer,) = self._store.send([command])
        return answer

    def _hold(self, data: bytes) -> Lease:
        message = self._message.decode(data)
        lease = Lease._make([*message.args, message])
        self._held[message.options["redis_message_id"]] = lease
        return lease

    def _let_go_of(self, leases: Sequence[Lease]) -> None:
        for lease in leases:
            _, identity = _place_of(lease)
            self._held.pop(identity, None)

    def _requeue_orphans(self) -> None:
        for queue in QUEUES:
            with self._store.told():
                leased = self._store.client.smembers(f"{NAMESPACE}:__acks__.{self._broker.broker_id}.{queue}")
            orphans = [identity.decode() for identity in leased if identity.decode() not in self._held]
            if orphans:
                self._broker.do_requeue(queue, *orphans)
        self._may_have_orphans = False


def _place_of(lease: Lease) -> tuple[str, str]:
    """Return the queue of a batch and what Dramatiq calls it there."""
    return QUEUES[lease.priority], lease.message.options["redis_message_id"]


class EngineTurns:
    """An engine that several tasks of one loop use: on a thread, one at a time.

    Args:
        engine: Used by nobody else.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turn = asyncio.Lock()

    async def call(self, work: Callable[Concatenate[Engine, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call something that uses the engine; return and raise what it does."""
        async with self._turn:
            return await asyncio.to_thread(work, self._engine, *args, **kwargs)

"""Batches from hand to hand: Dramatiq's Redis broker keeps the queues, the leases and what a dead worker leaves.

Only a batch's name travels: campaign, number and priority. Used here: messages, queues, late acknowledgement, leases by
heartbeat, redelivery. Not used: Dramatiq's worker threads (messages are sent on an event loop) and its delays (a
consumer that loses its connection forgets what it holds back).

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
from mailblast.executors.queue.store import INSTALL, QueueAwayError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from mailblast.executors.queue.store import Store

P = ParamSpec("P")
T = TypeVar("T")
NAMESPACE = "mailblast:engine"
#: By priority: what is in the first one goes first.
QUEUES = ("high", "normal", "low")
#: A worker that has not been heard for so long is gone, and its batches go to others.
LEASE_S = 20.0
#: Longest wait of a consumer that finds nothing, in milliseconds; who uses this waits by itself.
IDLE_MS = 1


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
            from dramatiq.errors import ConnectionClosed  # noqa: PLC0415
        except ImportError as error:
            raise UsageError("--queue redis://… needs the package dramatiq.", fix=INSTALL) from error
        logging.getLogger("dramatiq").setLevel(logging.CRITICAL)
        self._store = store
        self._make_message: Callable[..., Any] = Message
        self._closed_error: type[Exception] = ConnectionClosed

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
        self._consumers: dict[str, Any] = {}
        #: What this worker has, by Dramatiq's id.
        self._held: dict[str, Lease] = {}
        self._may_have_orphans = False

    def put(self, token: str, sequence: int, priority: int) -> None:
        """Put a batch into the queue of its priority.

        Raises:
            QueueError: The server is away or refuses.
        """
        message = self._make_message(
            queue_name=QUEUES[priority], actor_name="deliver", args=(token, sequence, priority), kwargs={}, options={}
        )
        with self._store.told():
            self._broker.enqueue(message)

    def put_all(self, token: str, sequences: Sequence[int], priority: int) -> None:
        """Put batches as ``put()`` does; the server is waited for once."""
        with self._together():
            for sequence in sequences:
                self.put(token, sequence, priority)

    def lease(self, limit: int) -> list[Lease]:
        """Take at most so many batches, the most urgent ones.

        Raises:
            QueueError: The server is away or refuses.
        """
        leases: list[Lease] = []
        try:
            for queue in QUEUES:
                consumer = self._consumer(queue)
                consumer.prefetch = consumer.outstanding_message_count + limit - len(leases)
                while len(leases) < limit:
                    with self._store.told():
                        message = next(consumer)
                    if message is None:
                        break
                    lease = Lease._make([*message.args, message])
                    self._held[message.options["redis_message_id"]] = lease
                    leases.append(lease)
        except (self._closed_error, QueueAwayError) as error:
            self._forget_consumers()
            if not leases and isinstance(error, QueueAwayError):
                raise
            if not leases:
                raise QueueAwayError(f"The queue at {self._store.shown} does not answer.") from error
        return leases

    def acknowledge(self, lease: Lease) -> None:
        """Say that a batch is done with."""
        self._end(lease, "ack")

    def acknowledge_all(self, leases: Iterable[Lease]) -> None:
        """Say that batches are done with; the server is waited for once."""
        with self._together():
            for lease in leases:
                self.acknowledge(lease)

    def give_back(self, lease: Lease) -> None:
        """Put a batch back into its queue."""
        self._end(lease, "requeue")

    def keep_alive(self) -> None:
        """Say that this worker lives, and redeliver what dead ones had; to be called four times in a lease.

        Raises:
            QueueError: The server is away or refuses.
        """
        self._broker.looks_for_dead = True
        try:
            with self._store.told():
                for queue in QUEUES:
                    self._broker.do_qsize(queue)
                if self._may_have_orphans:
                    self._requeue_orphans()
        finally:
            self._broker.looks_for_dead = False

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Send the commands inside at the end, all at once; nothing may ask for their answers."""
        scripts = self._broker.scripts
        with self._store.told(), self._store.client.pipeline(transaction=False) as pipe:
            self._broker.scripts = scripts | {"dispatch": functools.partial(scripts["dispatch"], client=pipe)}
            try:
                yield
            finally:
                self._broker.scripts = scripts
            pipe.execute()

    def _end(self, lease: Lease, how: str) -> None:
        queue, message = QUEUES[lease.priority], lease.message
        identity = message.options["redis_message_id"]
        with self._store.told():
            if how == "ack":
                self._broker.do_ack(queue, identity)
            else:
                self._broker.do_requeue(queue, identity)
        self._held.pop(identity, None)
        consumer = self._consumers.get(queue)
        if consumer is not None:
            consumer.queued_message_ids.discard(message.message_id)

    def _consumer(self, queue: str) -> Any:
        consumer = self._consumers.get(queue)
        if consumer is None:
            consumer = self._consumers[queue] = self._broker.consume(queue, prefetch=1, timeout=IDLE_MS)
        return consumer

    def _forget_consumers(self) -> None:
        self._consumers.clear()
        # What an answer held that was lost is leased to this worker, which does not know of it.
        self._may_have_orphans = True

    def _requeue_orphans(self) -> None:
        for queue in QUEUES:
            leased = self._store.client.smembers(f"{NAMESPACE}:__acks__.{self._broker.broker_id}.{queue}")
            orphans = [identity.decode() for identity in leased if identity.decode() not in self._held]
            if orphans:
                self._broker.do_requeue(queue, *orphans)
        self._may_have_orphans = False


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

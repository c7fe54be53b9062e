"""What a worker's exchange of leases sends, and what becomes of it where scripts or answers are lost."""

from __future__ import annotations

from socket import MSG_PEEK
from typing import TYPE_CHECKING

import pytest
from servers.tcp_proxy import TcpProxy

from mailblast.executors.queue.commands import Command
from mailblast.executors.queue.engine import NAMESPACE, Engine, EngineTurns
from mailblast.executors.queue.leases import End, Leases
from mailblast.executors.queue.runs import runs_of
from mailblast.executors.queue.store import PREFIX, QueueAwayError, QueueError, Store
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from servers.redis_server import RedisServer

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"


class Listening(TcpProxy):
    """Counts how often the server is waited for, and can lose an answer."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.turns = 0
        #: What is in the command whose answer is lost, once; empty for none.
        self.losing = b""
        self._server_spoke = True

    def _pass_on(self, source: socket.socket) -> None:
        is_client = source.getsockname()[1] == self.port
        self.turns += is_client and self._server_spoke
        self._server_spoke = not is_client
        # What is sent at once is here at once, as short as it is.
        lost = bool(is_client and self.losing and self.losing in source.recv(1 << 16, MSG_PEEK))
        server = self._pairs[source]
        super()._pass_on(source)
        if lost:
            self.losing = b""
            # It has run when it has answered.
            server.recv(1 << 16)
            self._drop(source)


@pytest.fixture
def network(redis: RedisServer) -> Iterator[Listening]:
    proxy = Listening(redis.port)
    yield proxy
    proxy.close()


@pytest.fixture
def store(network: Listening) -> Iterator[Store]:
    url = f"redis://127.0.0.1:{network.port}"
    store = Store(url, url)
    for token in (TOKEN, OTHER):
        # Numbers of batches begin with the time of day.
        store.client.set(f"{PREFIX}{token}:sequence", 0)
    yield store
    store.close()


@pytest.fixture
def engine(store: Store) -> Engine:
    return Engine(store, 20.0)


@pytest.fixture
def leases(store: Store, engine: Engine) -> Leases:
    async def nothing_to_tell() -> None: ...

    return Leases(store, EngineTurns(engine), nothing_to_tell)


def claims(*ids: int) -> list[Claim]:
    return [Claim(each, Recipient(each, f"k{each}", f"a{each}@example.org", {}, {}), 7) for each in ids]


def put(store: Store, engine: Engine, *ids: int, token: str = TOKEN, priority: int = 1) -> None:
    """Put each of them as a batch of its own."""
    sequences = [each.sequence for each in store.put(token, [claims(each) for each in ids])]
    engine.put_all(token, sequences, priority)


async def taken(leases: Leases, limit: int) -> list[tuple[str, int]]:
    """Lease batches, have them done, and return their campaigns and the first recipient of each."""
    found = await leases.exchange(limit)
    for lease, _ in found:
        await leases.end(lease, End.DONE)
    return [(lease.token, batch.queued[0].id) for lease, batch in found if batch is not None]


async def test_exchange_waits_for_the_server_three_times_and_once_where_nothing_is_there(
    store: Store, engine: Engine, leases: Leases, network: Listening
) -> None:
    put(store, engine, *range(1, 9))
    put(store, engine, 1, 2, token=OTHER, priority=0)
    assert [(OTHER, 1), (OTHER, 2), (TOKEN, 1), (TOKEN, 2)] == await taken(leases, 4)
    before = network.turns
    assert [(TOKEN, each) for each in (3, 4, 5, 6)] == await taken(leases, 4)
    assert 3 == network.turns - before
    assert [0, 6] == [store.open_batches(token) for token in (OTHER, TOKEN)]
    assert [(TOKEN, 7), (TOKEN, 8)] == await taken(leases, 4)
    before = network.turns
    assert [] == await taken(leases, 4)
    assert [] == await taken(leases, 4)
    assert [] == await taken(leases, 0)
    assert 2 == network.turns - before
    assert 0 == store.open_batches(TOKEN)
    assert [0, 0] == [store.client.hlen(f"{NAMESPACE}:{queue}.msgs") for queue in ("high", "normal")]


async def test_urgent_batches_that_come_later_go_first(store: Store, engine: Engine, leases: Leases) -> None:
    put(store, engine, 1, 2, priority=2)
    put(store, engine, 3, 4, 5, priority=1)
    assert [(TOKEN, 3), (TOKEN, 4)] == await taken(leases, 2)
    put(store, engine, 6, 7, 8, priority=0)
    assert [(TOKEN, 6), (TOKEN, 7)] == await taken(leases, 2)
    assert [(TOKEN, each) for each in (8, 5, 1, 2)] == await taken(leases, 9)


def test_batches_are_put_once_by_a_server_that_has_lost_its_scripts(store: Store) -> None:
    assert [1, 2] == [each.sequence for each in store.put(TOKEN, [claims(1), claims(2)])]
    store.client.script_flush()
    assert [3, 4] == [each.sequence for each in store.put(TOKEN, [claims(3), claims(4)])]
    store.client.script_flush()
    store.put_later(TOKEN, claims(5), 0.0, 1)
    store.client.script_flush()
    assert [(TOKEN, 5, 1)] == store.take_due()
    assert ([], 5) == (store.take_due(), store.open_batches(TOKEN))


def test_only_what_has_not_run_is_repeated_where_scripts_are_lost_meanwhile(store: Store) -> None:
    script, keys = (
        store._scripts["put"],
        [f"{PREFIX}{TOKEN}:{name}" for name in ("ledger", "batches", "unput", "sequence")],
    )
    calls = [script.call(keys, [runs_of([each]), "[]"]) for each in (1, 2, 3, 4)]
    flush = Command(("SCRIPT", "FLUSH"))
    store.send(calls[:1])
    answers = store.send([calls[1], flush, calls[2], Command(("PING",)), calls[3]])
    assert [[2], b"OK", [3], b"PONG", [4]] == answers
    assert 4 == store.open_batches(TOKEN)


def test_engine_goes_on_at_a_server_that_has_lost_its_scripts(store: Store, engine: Engine) -> None:
    engine.put_all(TOKEN, [1, 2, 3], 1)
    store.client.script_flush()
    engine.put(TOKEN, 4, 1)
    store.client.script_flush()
    leases = engine.lease(3)
    assert [1, 2, 3] == [lease.sequence for lease in leases]
    store.client.script_flush()
    assert [0, 1, 0] == engine.acknowledge_all(leases[1:])
    store.client.script_flush()
    engine.keep_alive()
    store.client.script_flush()
    engine.give_back(leases[0])
    assert [4, 1] == [lease.sequence for lease in engine.lease(9)]
    assert 2 == store.client.hlen(f"{NAMESPACE}:normal.msgs")


async def test_exchange_goes_on_at_a_server_that_was_restarted(
    store: Store, engine: Engine, leases: Leases, redis: RedisServer
) -> None:
    put(store, engine, 1, 2, 3)
    assert [(TOKEN, 1)] == await taken(leases, 1)
    redis.stop()
    with pytest.raises(QueueAwayError):
        await taken(leases, 1)
    redis.start()
    assert [(TOKEN, 2), (TOKEN, 3)] == await taken(leases, 9)
    assert [] == await taken(leases, 9)
    assert 0 == store.open_batches(TOKEN)


def test_server_that_takes_no_scripts_refuses_and_is_not_away(store: Store) -> None:
    store.client.script_flush()
    store.client.execute_command("ACL", "SETUSER", "default", "-script")
    try:
        with pytest.raises(QueueError, match="refuses the login.*script") as caught:
            store.take_due()
    finally:
        store.client.execute_command("ACL", "SETUSER", "default", "+script")
    assert not isinstance(caught.value, QueueAwayError)


async def test_batches_whose_answer_was_lost_come_again(
    store: Store, engine: Engine, leases: Leases, network: Listening
) -> None:
    put(store, engine, 1, 2, 3)
    network.losing = b"fetch"
    with pytest.raises(QueueAwayError):
        await taken(leases, 2)
    assert [(TOKEN, 3)] == await taken(leases, 9)
    engine.keep_alive()
    assert [1, 2] == sorted(each for _, each in await taken(leases, 9))
    assert [] == await taken(leases, 9)


async def test_batches_that_could_not_be_read_are_leased_and_read_later(
    store: Store, engine: Engine, leases: Leases, network: Listening
) -> None:
    put(store, engine, 1, 2)
    network.losing = store._scripts["read"].sha.encode()
    (lease, nothing), (_, too) = await leases.exchange(2)
    assert (None, None) == (nothing, too)
    assert claims(1) == leases.read(lease).queued
    engine.keep_alive()
    assert [] == await taken(leases, 9)


async def test_acknowledgements_whose_answer_was_lost_are_repeated(
    store: Store, engine: Engine, leases: Leases, network: Listening
) -> None:
    put(store, engine, 1, 2, 3)
    assert [(TOKEN, 1), (TOKEN, 2)] == await taken(leases, 2)
    network.losing = b"HDEL"
    with pytest.raises(QueueAwayError):
        await taken(leases, 2)
    assert 1 == store.client.hlen(f"{NAMESPACE}:normal.msgs")
    assert [(TOKEN, 3)] == await taken(leases, 2)
    assert [] == await taken(leases, 2)
    assert (0, []) == (store.open_batches(TOKEN), leases._done)


async def test_message_that_is_gone_from_the_engine_is_passed_over(
    store: Store, engine: Engine, leases: Leases
) -> None:
    put(store, engine, 1, 2)
    gone = store.client.lindex(f"{NAMESPACE}:normal", 0)
    store.client.hdel(f"{NAMESPACE}:normal.msgs", gone)
    assert [(TOKEN, 2)] == await taken(leases, 9)

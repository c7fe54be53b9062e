"""Turns whose answers do not come, come late, or are errors, at a real Redis."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
from typing import TYPE_CHECKING, cast

import pytest

from mailblast.executors.queue import scripts
from mailblast.executors.queue.carrier import Carrier
from mailblast.executors.queue.keys import key_of
from mailblast.executors.queue.lanes import Lanes
from mailblast.executors.queue.ledger import Ledger
from mailblast.executors.queue.spool import Spool
from mailblast.executors.queue.states import ACCEPTED, FIRST_SLOT, QUEUED
from mailblast.executors.queue.store import QueueAwayError, Store
from mailblast.executors.queue.wire import Wire
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from servers.redis_server import RedisServer

    from mailblast.delivery.pipeline import Pipeline
    from mailblast.errors import MailblastError
    from mailblast.executors.queue.carriers import Carriers
    from mailblast.executors.queue.lane import Lane
    from mailblast.executors.queue.opening import Opening

TOKEN, OTHER = "0123456789abcdef", "fedcba9876543210"
WAIT_S = 10.0
ACCEPTS = Outcome(1, "", "", 0, State.ACCEPTED, 1.5, "smtp:x", 250, "2.0.0", "ok", 1)


@pytest.fixture
def store(redis: RedisServer) -> Iterator[Store]:
    store = Store(redis.url, redis.url, 1.0)
    for token in (TOKEN, OTHER):
        claims = [Claim(each, Recipient(each, f"k{each}", f"a{each}@x.example", {}, {}), 7) for each in range(1, 9)]
        store.put(token, [claims])
    yield store
    store.close()


@pytest.fixture
async def wire(store: Store) -> AsyncIterator[Wire]:
    wire = Wire(store)
    await wire.open()
    yield wire
    wire.close()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool", "first")


def a_ledger(wire: Wire, spool: Spool, token: str = TOKEN, numbers: Iterator[int] | None = None) -> Ledger:
    return Ledger(wire, spool, token, "first", FIRST_SLOT, lambda _: False, numbers or itertools.count(1))


@pytest.fixture
def ledger(wire: Wire, spool: Spool) -> Ledger:
    return a_ledger(wire, spool)


def states(store: Store, *ids: int, token: str = TOKEN) -> list[int]:
    ledger = store.client.get(key_of(token, "ledger"))
    return [ledger[each] for each in ids]


def marks(ledger: Ledger, *ids: int) -> asyncio.Future[None]:
    for each in ids:
        ledger.begin(each, 0, 0.0)
    written = ledger.commit()
    assert written is not None
    return written


async def told_again(wire: Wire, *ledgers: Ledger) -> None:
    await wire.open()
    for ledger in ledgers:
        ledger.tell_again()
    async with asyncio.timeout(WAIT_S):
        for ledger in ledgers:
            await ledger.barrier()


async def test_who_waits_is_told_when_the_wire_is_opened_anew(
    store: Store, redis: RedisServer, wire: Wire, ledger: Ledger
) -> None:
    await marks(ledger, 2)
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        written = marks(ledger, 1)
        ledger.finish(ACCEPTS._replace(id=2))
        ledger.commit()
        opening = asyncio.create_task(wire.open())
        with pytest.raises(QueueAwayError):
            async with asyncio.timeout(WAIT_S):
                await written
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    await opening
    ledger.tell_again()
    async with asyncio.timeout(WAIT_S):
        await ledger.barrier()
        await marks(ledger, 3)
    assert [ACCEPTED, FIRST_SLOT] == states(store, 2, 3)


async def test_server_that_does_not_answer_is_away(redis: RedisServer, wire: Wire, ledger: Ledger) -> None:
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        with pytest.raises(QueueAwayError, match="does not answer"):
            async with asyncio.timeout(WAIT_S):
                await marks(ledger, 1)
        with pytest.raises(QueueAwayError):
            wire.insist()
    finally:
        os.kill(redis.pid, signal.SIGCONT)


async def test_old_connection_does_not_end_the_new_one(
    store: Store, redis: RedisServer, wire: Wire, ledger: Ledger
) -> None:
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        for each in range(1, 9):
            # More than the system takes.
            ledger.finish(ACCEPTS._replace(id=each, text="x" * 1_000_000))
            ledger.commit()
        with pytest.raises(QueueAwayError):
            async with asyncio.timeout(WAIT_S):
                await ledger.barrier()
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    await told_again(wire, ledger)
    link = wire.insist()
    await asyncio.sleep(0.1)
    assert link is wire.insist()
    assert [ACCEPTED] * 8 == states(store, *range(1, 9))
    assert 8 == store.client.xlen(key_of(TOKEN, "outcomes"))


@pytest.mark.parametrize("cause", ["memory", "scripts"])
async def test_group_behind_one_that_was_refused_is_told_again_with_it(
    store: Store, wire: Wire, ledger: Ledger, cause: str
) -> None:
    await marks(ledger, 1, 2)
    if cause == "memory":
        store.client.config_set("maxmemory", "1")
    else:
        store.client.script_flush()
    ledger.finish(ACCEPTS)
    ledger.commit()
    # Nobody takes the answer meanwhile; the server is asked on another connection, behind it.
    await asyncio.sleep(0)
    await asyncio.to_thread(store.client.dbsize)
    if cause == "memory":
        store.client.config_set("maxmemory", "0")
    else:
        store.client.script_load(scripts.TURN)
    ledger.finish(ACCEPTS._replace(id=2))
    with pytest.raises(QueueAwayError):
        await ledger.barrier()
    assert [1, 2] == list(ledger.unanswered)
    await told_again(wire, ledger)
    assert {} == ledger.unanswered
    assert [ACCEPTED, ACCEPTED] == states(store, 1, 2)


async def test_campaign_that_is_opened_again_goes_on_with_its_numbers(store: Store, wire: Wire, spool: Spool) -> None:
    numbers = itertools.count(1)
    for each in (1, 2):
        ledger = a_ledger(wire, spool, numbers=numbers)
        await marks(ledger, each)
        ledger.finish(ACCEPTS._replace(id=each))
        await ledger.barrier()
    assert [ACCEPTED, ACCEPTED] == states(store, 1, 2)


async def test_outcomes_of_all_campaigns_are_kept_where_the_server_is_away(
    redis: RedisServer, wire: Wire, spool: Spool
) -> None:
    class Open:
        def __init__(self, ledger: Ledger) -> None:
            self.ledger = ledger

    lanes = Lanes(cast("Opening", None), cast("Carriers", None))
    ledgers = [a_ledger(wire, spool, token) for token in (TOKEN, OTHER)]
    lanes._open = {str(index): cast("Lane", Open(ledger)) for index, ledger in enumerate(ledgers)}
    redis.stop()
    await asyncio.sleep(0.05)
    for ledger in ledgers:
        ledger.finish(ACCEPTS)
    with pytest.raises(QueueAwayError):
        await lanes.barrier()
    kept = spool.path.read_text(encoding="utf-8")
    assert all(token in kept for token in (TOKEN, OTHER))
    redis.start()


async def test_marks_that_were_not_told_are_not_set_behind_their_end(store: Store, wire: Wire, spool: Spool) -> None:
    class One:
        """A pipeline, as far as it is asked to commit."""

        def __init__(self, ledger: Ledger) -> None:
            self.commit = ledger.commit
            self.stopped: list[MailblastError] = []
            self.stop = self.stopped.append

    first, second = a_ledger(wire, spool), a_ledger(wire, spool, OTHER)
    pipelines = [One(first), One(second)]
    carrier = Carrier.__new__(Carrier)
    carrier._begun = cast("set[Pipeline]", set(pipelines))
    wire.cut(QueueAwayError("It is gone."))
    for ledger in (first, second):
        ledger.begin(1, 0, 0.0)
    with pytest.raises(QueueAwayError):
        carrier.commit()
    assert [1, 1] == [len(each.stopped) for each in pipelines]
    # One that began, and had no commit at all.
    first.begin(2, 0, 0.0)
    for ledger in (first, second):
        for each in (1, 2):
            ledger.finish(ACCEPTS._replace(id=each, state=State.UNSENT))
    await told_again(wire, first, second)
    for token in (TOKEN, OTHER):
        assert [QUEUED, QUEUED] == states(store, 1, 2, token=token)

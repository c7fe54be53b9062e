"""Steps of the ledger and of the engine, one by one, at a real Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from mailblast.executors.queue.coordinator import settle, take_home
from mailblast.executors.queue.engine import Engine
from mailblast.executors.queue.ledger import LeaseLostError, Ledger, Spool, Wire, tell_group
from mailblast.executors.queue.states import ACCEPTED, CODES, FIRST_SLOT, QUEUED
from mailblast.executors.queue.store import PREFIX, QueueAwayError, QueueError, Store
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.redis_server import RedisServer

TOKEN = "0123456789abcdef"


@pytest.fixture
def store(redis: RedisServer) -> Iterator[Store]:
    store = Store(redis.url, redis.url)
    yield store
    store.close()


class AWorker:
    """A worker's wire and ledger."""

    def __init__(self, store: Store, folder: Path, name: str, slot: int) -> None:
        self.wire = Wire(store)
        self.wire.open()
        self.spool = Spool(folder, name)
        self.ledger = Ledger(self.wire, self.spool, TOKEN, name, slot, lambda outcome: outcome.attempts < 2)

    def begin(self, *ids: int) -> None:
        for each in ids:
            self.ledger.begin(each, 0, 0.0)
        self.ledger.commit()


@pytest.fixture
def first(store: Store, tmp_path: Path) -> Iterator[AWorker]:
    worker = AWorker(store, tmp_path / "spool", "first", FIRST_SLOT)
    yield worker
    worker.wire.close()


@pytest.fixture
def second(store: Store, tmp_path: Path) -> Iterator[AWorker]:
    worker = AWorker(store, tmp_path / "spool", "second", FIRST_SLOT + 1)
    yield worker
    worker.wire.close()


def an_outcome(claim_id: int, state: State = State.ACCEPTED, attempts: int = 1) -> Outcome:
    return Outcome(claim_id, "", "", 0, state, 1.5, "smtp:x", 250, "2.0.0", "ok é", attempts)


def rows(*ids: int) -> list[tuple[int, str]]:
    return [(each, f'[{each},"x"]') for each in ids]


def byte(store: Store, claim_id: int) -> int:
    return int(store.client.getrange(f"{PREFIX}{TOKEN}:ledger", claim_id, claim_id)[0])


def home(store: Store) -> dict[int, State]:
    found: dict[int, State] = {}
    take_home(store, TOKEN, lambda outcomes: found.update((each.id, each.state) for each in outcomes))
    return found


def test_put_leaves_out_who_is_queued_sent_to_or_served(store: Store, first: AWorker) -> None:
    assert (1, {}) == store.put(TOKEN, rows(1, 2, 3))
    first.begin(1)
    first.ledger.finish(an_outcome(2))
    first.ledger.barrier()
    assert (2, {1: FIRST_SLOT, 2: ACCEPTED, 3: QUEUED}) == store.put(TOKEN, rows(1, 2, 3, 4))
    assert ([[4, "x"]], bytes([QUEUED])) == store.read_batch(TOKEN, 2)
    assert ([[1, "x"], [2, "x"], [3, "x"]], bytes([FIRST_SLOT, ACCEPTED, QUEUED])) == store.read_batch(TOKEN, 1)
    assert (0, {4: QUEUED}) == store.put(TOKEN, rows(4))
    assert {1, 2} == store.unput(TOKEN)
    store.put_was_heard(TOKEN, 1)
    assert {2} == store.unput(TOKEN)


def test_marks_of_a_turn_are_set_all_or_none(store: Store, first: AWorker, second: AWorker) -> None:
    store.put(TOKEN, rows(1, 2, 3))
    first.begin(1, 2)
    with pytest.raises(LeaseLostError):
        second.begin(2, 3)
    assert [FIRST_SLOT, FIRST_SLOT, QUEUED] == [byte(store, each) for each in (1, 2, 3)]
    # Its own, again: the answer was lost, or a second attempt.
    first.begin(1)
    second.begin(3)


def test_group_told_twice_counts_once(store: Store, first: AWorker) -> None:
    store.put(TOKEN, rows(1))
    first.begin(1)
    first.ledger.finish(an_outcome(1))
    (group,) = [first.ledger._group()]
    assert group is not None
    tell_group(store, group)
    tell_group(store, group)
    assert 1 == len(store.read_outcomes(TOKEN))
    assert {1: State.ACCEPTED} == home(store)
    assert [] == store.read_outcomes(TOKEN)


def test_states_of_outcomes(store: Store, first: AWorker) -> None:
    store.put(TOKEN, rows(*range(1, 7)))
    first.begin(*range(1, 7))
    ends = [State.ACCEPTED, State.FAILED, State.IN_DOUBT, State.UNSENT, State.DEFERRED, State.DEFERRED]
    for claim_id, state in enumerate(ends, start=1):
        first.ledger.finish(an_outcome(claim_id, state, attempts=claim_id - 4))
    first.ledger.barrier()
    wanted = [ACCEPTED, CODES[State.FAILED], CODES[State.IN_DOUBT], QUEUED, QUEUED, CODES[State.DEFERRED]]
    assert wanted == [byte(store, each) for each in range(1, 7)]
    found = home(store)
    assert 4 not in found
    assert State.DEFERRED is found[5] is found[6]


def test_what_becomes_of_those_never_begun_is_noted_once(store: Store, first: AWorker) -> None:
    store.put(TOKEN, rows(1, 2))
    invalid = an_outcome(1, State.INVALID)
    first.ledger.note(invalid)
    first.ledger.note(an_outcome(2, State.UNSENT))
    first.begin(2)
    accepted = an_outcome(2)
    first.ledger.finish(accepted)
    first.ledger.note(accepted)
    first.ledger.barrier()
    assert {1: State.INVALID, 2: State.ACCEPTED} == home(store)


def test_dead_workers_messages_are_in_doubt_and_a_late_answer_settles_them(store: Store, first: AWorker) -> None:
    store.put(TOKEN, rows(1, 2))
    first.begin(1)
    store.seen("first", {"slot": FIRST_SLOT, "concurrency": 1, "lease_s": 20.0})
    assert 0 == settle(store, TOKEN, 2.0)
    store.gone("first")
    assert 1 == settle(store, TOKEN, 2.0)
    assert {1: State.IN_DOUBT} == home(store)
    first.ledger.finish(an_outcome(1))
    first.ledger.barrier()
    assert {1: State.ACCEPTED} == home(store)
    assert ACCEPTED == byte(store, 1)


def test_server_that_has_lost_its_ledger_is_told_and_accepted_wins(store: Store) -> None:
    store.put(TOKEN, rows(1, 2, 3))
    codes = [(1, ACCEPTED), (2, CODES[State.IN_DOUBT]), (9, CODES[State.FAILED])]
    assert 2 == store.restore(TOKEN, codes)
    # Whoever is queued once more is so because it was asked for.
    assert [ACCEPTED, QUEUED, QUEUED, CODES[State.FAILED]] == [byte(store, each) for each in (1, 2, 3, 9)]
    assert 0 == store.restore(TOKEN, codes)


def test_batch_for_later_comes_when_it_is_due(store: Store) -> None:
    store.put(TOKEN, rows(1, 2))
    store.put_later(TOKEN, rows(1, 7), 0.2, 2)
    assert [] == store.take_due()
    time.sleep(0.3)
    assert [(TOKEN, 2, 2)] == store.take_due()
    assert [] == store.take_due()
    assert ([[1, "x"]], bytes([QUEUED])) == store.read_batch(TOKEN, 2)
    assert {1, 2} == store.unput(TOKEN)


def test_cancelled_batch_lets_go_of_its_recipients(store: Store, first: AWorker) -> None:
    store.put(TOKEN, rows(1, 2))
    first.begin(1)
    store.drop_batch(TOKEN, 1)
    assert [FIRST_SLOT, 0] == [byte(store, each) for each in (1, 2)]
    assert store.read_batch(TOKEN, 1) is None
    assert 0 == store.open_batches(TOKEN)


def test_outcomes_are_kept_while_the_server_is_away_and_told_by_the_next(
    store: Store, first: AWorker, second: AWorker, redis: RedisServer
) -> None:
    store.put(TOKEN, rows(1, 2))
    first.begin(1, 2)
    redis.stop()
    first.ledger.finish(an_outcome(1))
    with pytest.raises(QueueAwayError):
        first.ledger.barrier()
    first.ledger.finish(an_outcome(2))
    with pytest.raises(QueueAwayError):
        first.ledger.commit()
    assert first.spool.path.exists()
    redis.start()
    ((path, groups),) = second.spool.left_by_others()
    assert first.spool.path == path
    for group in groups:
        tell_group(store, group)
    first.wire.open()
    first.ledger.tell_again()
    assert not first.spool.path.exists()
    assert {1: State.ACCEPTED, 2: State.ACCEPTED} == home(store)


def test_batches_of_the_urgent_queue_come_first_and_can_be_given_back(store: Store) -> None:
    engine = Engine(store, 20.0)
    for sequence, priority in ((1, 2), (2, 1), (3, 0), (4, 1)):
        engine.put(TOKEN, sequence, priority)
    leases = engine.lease(3)
    assert [3, 2, 4] == [lease.sequence for lease in leases]
    engine.give_back(leases[0])
    engine.acknowledge(leases[1])
    assert [3, 1] == [lease.sequence for lease in engine.lease(5)]
    assert [] == engine.lease(5)


def test_batches_of_a_silent_worker_go_to_another_and_those_of_a_living_one_do_not(store: Store) -> None:
    silent, living, third = (Engine(store, 0.8) for _ in range(3))
    for sequence in (1, 2):
        silent.put(TOKEN, sequence, 1)
    assert [1] == [lease.sequence for lease in silent.lease(1)]
    assert [2] == [lease.sequence for lease in living.lease(1)]
    for _ in range(5):
        time.sleep(0.2)
        living.keep_alive()
        third.keep_alive()
    assert [1] == [lease.sequence for lease in third.lease(5)]


def test_batch_whose_answer_was_lost_comes_again(store: Store) -> None:
    engine = Engine(store, 20.0)
    engine.put(TOKEN, 1, 1)
    # Leased to this worker, as far as the server knows.
    engine._broker.do_fetch("normal", 1)
    engine._forget_consumers()
    engine.keep_alive()
    assert [1] == [lease.sequence for lease in engine.lease(1)]
    engine.keep_alive()
    assert [] == engine.lease(1)


def test_refusal_is_told_and_is_no_absence(store: Store) -> None:
    store.client.set(f"{PREFIX}{TOKEN}:batches", "no hash")
    with pytest.raises(QueueError, match="cannot be used") as caught:
        store.open_batches(TOKEN)
    assert not isinstance(caught.value, QueueAwayError)

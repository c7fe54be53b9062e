"""Steps of the ledger and of the engine, one by one, at a real Redis."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest

from mailblast.executors.queue.engine import NAMESPACE, Engine, EngineTurns
from mailblast.executors.queue.home import settle, take_home
from mailblast.executors.queue.leases import End, Leases
from mailblast.executors.queue.ledger import Ledger
from mailblast.executors.queue.outcomes import from_text
from mailblast.executors.queue.spool import Spool, tell_group
from mailblast.executors.queue.states import ACCEPTED, CODES, FIRST_SLOT, QUEUED
from mailblast.executors.queue.store import PREFIX, Found, Put, QueueAwayError, QueueError, Store
from mailblast.executors.queue.wire import LeaseLostError, Wire
from mailblast.executors.queue.workers import Workers
from mailblast.journal.records import outcome_json
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence
    from pathlib import Path

    from servers.redis_server import RedisServer

TOKEN = "0123456789abcdef"


@pytest.fixture
def store(redis: RedisServer) -> Iterator[Store]:
    store = Store(redis.url, redis.url)
    # Numbers of batches begin with the time of day.
    store.client.set(f"{PREFIX}{TOKEN}:sequence", 0)
    yield store
    store.close()


class AWorker:
    """A worker's wire and ledger."""

    def __init__(self, store: Store, folder: Path, name: str, slot: int) -> None:
        self.wire = Wire(store)
        self.spool = Spool(folder, name)
        self.ledger = Ledger(
            self.wire, self.spool, TOKEN, name, slot, lambda outcome: outcome.attempts < 2, itertools.count(1)
        )

    async def begin(self, *ids: int) -> None:
        for each in ids:
            self.ledger.begin(each, 0, 0.0)
        written = self.ledger.commit()
        assert written is not None
        await written


@pytest.fixture
async def first(store: Store, tmp_path: Path) -> AsyncIterator[AWorker]:
    worker = AWorker(store, tmp_path / "spool", "first", FIRST_SLOT)
    await worker.wire.open()
    yield worker
    worker.wire.close()


@pytest.fixture
async def second(store: Store, tmp_path: Path) -> AsyncIterator[AWorker]:
    worker = AWorker(store, tmp_path / "spool", "second", FIRST_SLOT + 1)
    await worker.wire.open()
    yield worker
    worker.wire.close()


def an_outcome(claim_id: int, state: State = State.ACCEPTED, attempts: int = 1) -> Outcome:
    return Outcome(claim_id, "", "", 0, state, 1.5, "smtp:x", 250, "2.0.0", "ok é", attempts)


def claims(*ids: int) -> list[Claim]:
    return [
        Claim(each, Recipient(each, f"k{each}", f"a{each}@example.org", {"name": "x"}, {"name": "x"}), 7)
        for each in ids
    ]


def put(store: Store, *ids: int) -> Put:
    (done,) = store.put(TOKEN, [claims(*ids)])
    return done


def read(store: Store, sequence: int) -> Found:
    (found,) = store.read_batches([(TOKEN, sequence)])
    return found


def byte(store: Store, claim_id: int) -> int:
    return int(store.client.getrange(f"{PREFIX}{TOKEN}:ledger", claim_id, claim_id)[0])


def home(store: Store) -> dict[int, State]:
    found: dict[int, State] = {}
    take_home(store, TOKEN, lambda outcomes: found.update((each.id, each.state) for each in outcomes))
    return found


async def test_put_leaves_out_who_is_queued_sent_to_or_served(store: Store, first: AWorker) -> None:
    assert (1, {}) == put(store, 1, 2, 3)
    await first.begin(1)
    first.ledger.finish(an_outcome(2))
    await first.ledger.barrier()
    assert (2, {1: FIRST_SLOT, 2: ACCEPTED, 3: QUEUED}) == put(store, 1, 2, 3, 4)
    assert ("", claims(4), bytes([QUEUED])) == read(store, 2)
    assert ("", claims(1, 2, 3), bytes([FIRST_SLOT, ACCEPTED, QUEUED])) == read(store, 1)
    assert claims(3) == read(store, 1).queued
    assert (0, {4: QUEUED}) == put(store, 4)
    assert {1, 2} == store.unput(TOKEN)
    store.put_was_heard(TOKEN, 1)
    assert {2} == store.unput(TOKEN)


def test_batches_that_are_put_together_know_of_each_other(store: Store) -> None:
    first, second, third = store.put(TOKEN, [claims(1, 2), claims(2, 3, 9), claims(1, 3)])
    assert [(1, {}), (2, {2: QUEUED}), (0, {1: QUEUED, 3: QUEUED})] == [first, second, third]
    found = store.read_batches([(TOKEN, sequence) for sequence in (1, 2, 3)])
    assert [claims(1, 2), claims(3, 9), []] == [each.queued for each in found]
    store.send(store.finishing([(TOKEN, 1), (TOKEN, 3)]))
    assert 1 == store.open_batches(TOKEN)


def test_numbers_of_batches_are_not_used_again_by_a_server_that_has_lost_them(store: Store) -> None:
    store.client.flushall()
    before = put(store, 1).sequence
    time.sleep(0.01)
    store.client.flushall()
    assert put(store, 1).sequence > before + 1
    store.put_later(TOKEN, claims(1), 0.0, 1)
    ((_, later, _),) = store.take_due()
    assert later > before + 2


async def test_ids_far_apart_and_out_of_order_are_one_batch(store: Store, first: AWorker) -> None:
    put(store, 70_000, 3, 4, 5, 1)
    await first.begin(4, 70_000)
    assert bytes([FIRST_SLOT, QUEUED, FIRST_SLOT, QUEUED, QUEUED]) == read(store, 1).states
    assert [3, 5, 1] == [claim.id for claim in read(store, 1).queued]


async def test_marks_of_a_turn_are_set_all_or_none(store: Store, first: AWorker, second: AWorker) -> None:
    put(store, 1, 2, 3)
    await first.begin(1, 2)
    with pytest.raises(LeaseLostError):
        await second.begin(2, 3)
    assert [FIRST_SLOT, FIRST_SLOT, QUEUED] == [byte(store, each) for each in (1, 2, 3)]
    # Its own, again: the answer was lost, or a second attempt.
    await first.begin(1)
    await second.begin(3)


async def test_group_told_twice_counts_once(store: Store, first: AWorker) -> None:
    put(store, 1)
    await first.begin(1)
    first.ledger.finish(an_outcome(1))
    (group,) = [first.ledger._group()]
    assert group is not None
    tell_group(store, group)
    tell_group(store, group)
    assert 1 == store.client.xlen(f"{PREFIX}{TOKEN}:outcomes")
    assert {1: State.ACCEPTED} == home(store)
    assert not store.has_outcomes(TOKEN)


async def test_states_of_outcomes(store: Store, first: AWorker) -> None:
    put(store, *range(1, 7))
    await first.begin(*range(1, 7))
    ends = [State.ACCEPTED, State.FAILED, State.IN_DOUBT, State.UNSENT, State.DEFERRED, State.DEFERRED]
    for claim_id, state in enumerate(ends, start=1):
        first.ledger.finish(an_outcome(claim_id, state, attempts=claim_id - 4))
    await first.ledger.barrier()
    wanted = [ACCEPTED, CODES[State.FAILED], CODES[State.IN_DOUBT], QUEUED, QUEUED, CODES[State.DEFERRED]]
    assert wanted == [byte(store, each) for each in range(1, 7)]
    found = home(store)
    assert 4 not in found
    assert State.DEFERRED is found[5] is found[6]


async def test_outcomes_stay_until_they_are_said_to_be_at_home(store: Store, first: AWorker) -> None:
    put(store, 1, 2, 3)
    for each in (1, 2):
        await first.begin(each)
        first.ledger.finish(an_outcome(each))
        await first.ledger.barrier()
    taken = store.take_outcomes(TOKEN, limit=1)
    assert taken is not None
    assert taken == store.take_outcomes(TOKEN, limit=1)
    await first.begin(3)
    first.ledger.finish(an_outcome(3, State.DEFERRED))
    await first.ledger.barrier()
    later = store.take_outcomes(TOKEN, taken.last)
    assert later is not None
    assert [[1], [2], [3]] == [
        [outcome.id for outcome in from_text(text, {})] for text in (taken.final, later.final, later.again)
    ]
    assert store.take_outcomes(TOKEN, later.last, 0) is None
    assert not store.has_outcomes(TOKEN)


async def test_who_has_a_final_state_is_not_tried_again(store: Store, first: AWorker, second: AWorker) -> None:
    put(store, 1)
    for worker, state in ((second, State.FAILED), (first, State.DEFERRED)):
        worker.ledger.finish(an_outcome(1, state))
        await worker.ledger.barrier()
    assert {1: State.FAILED} == home(store)


async def test_what_becomes_of_those_never_begun_is_noted_once(store: Store, first: AWorker) -> None:
    put(store, 1, 2)
    invalid = an_outcome(1, State.INVALID)
    first.ledger.note(invalid)
    first.ledger.note(an_outcome(2, State.UNSENT))
    await first.begin(2)
    accepted = an_outcome(2)
    first.ledger.finish(accepted)
    first.ledger.note(accepted)
    await first.ledger.barrier()
    assert {1: State.INVALID, 2: State.ACCEPTED} == home(store)


async def test_dead_workers_messages_are_in_doubt_and_a_late_answer_settles_them(store: Store, first: AWorker) -> None:
    put(store, 1, 2)
    await first.begin(1)
    Workers(store).seen("first", {"slot": FIRST_SLOT, "concurrency": 1, "lease_s": 20.0})
    assert 0 == settle(store, TOKEN, 2.0)
    Workers(store).gone("first")
    assert 1 == settle(store, TOKEN, 2.0)
    assert {1: State.IN_DOUBT} == home(store)
    first.ledger.finish(an_outcome(1))
    await first.ledger.barrier()
    assert {1: State.ACCEPTED} == home(store)
    assert ACCEPTED == byte(store, 1)


async def test_worker_that_was_only_slow_has_the_last_word_about_what_it_sent(store: Store, first: AWorker) -> None:
    put(store, 1, 2)
    await first.begin(1)

    def payload(ids: Sequence[int]) -> str:
        # Told between the look at the ledger and the step that settles.
        first.ledger.finish(an_outcome(1))
        group = first.ledger._group()
        assert group is not None
        tell_group(store, group)
        return ",".join(outcome_json(an_outcome(each, State.IN_DOUBT)) for each in ids)

    assert 0 == store.settle(TOKEN, [FIRST_SLOT], payload)
    assert {1: State.ACCEPTED} == home(store)


def test_ended_campaign_is_not_brought_back_by_resuming_it(store: Store) -> None:
    assert not store.set_state(TOKEN, "paused")
    store.begin_campaign(TOKEN, {"name": "c"})
    assert store.set_state(TOKEN, "paused")
    assert store.set_state(TOKEN, "cancelled")
    assert store.set_state(TOKEN, "cancelled")
    assert not store.set_state(TOKEN, "active")
    assert {TOKEN: "cancelled"} == store.states([TOKEN])


def test_server_that_has_lost_its_ledger_is_told_and_accepted_wins(store: Store) -> None:
    put(store, 1, 2, 3)
    codes = [(1, ACCEPTED), (2, CODES[State.IN_DOUBT]), (9, CODES[State.FAILED])]
    assert 2 == store.restore(TOKEN, codes)
    # Whoever is queued once more is so because it was asked for.
    assert [ACCEPTED, QUEUED, QUEUED, CODES[State.FAILED]] == [byte(store, each) for each in (1, 2, 3, 9)]
    assert 0 == store.restore(TOKEN, codes)


def test_batch_for_later_comes_when_it_is_due(store: Store) -> None:
    put(store, 1, 2)
    store.put_later(TOKEN, claims(1, 7), 0.2, 2)
    assert [] == store.take_due()
    time.sleep(0.3)
    assert [(TOKEN, 2, 2)] == store.take_due()
    assert [] == store.take_due()
    assert claims(1) == read(store, 2).queued
    assert {1, 2} == store.unput(TOKEN)


async def test_cancelled_batch_lets_go_of_its_recipients(store: Store, first: AWorker) -> None:
    put(store, 1, 2)
    await first.begin(1)
    store.drop_batch(TOKEN, 1)
    assert [FIRST_SLOT, 0] == [byte(store, each) for each in (1, 2)]
    assert [] == read(store, 1).claims
    assert 0 == store.open_batches(TOKEN)


async def test_outcomes_are_kept_while_the_server_is_away_and_told_by_the_next(
    store: Store, first: AWorker, second: AWorker, redis: RedisServer
) -> None:
    put(store, 1, 2)
    await first.begin(1, 2)
    redis.stop()
    first.ledger.finish(an_outcome(1))
    with pytest.raises(QueueAwayError):
        await first.ledger.barrier()
    first.ledger.finish(an_outcome(2))
    with pytest.raises(QueueAwayError):
        first.ledger.commit()
    assert first.spool.path.exists()
    redis.start()
    ((path, groups),) = second.spool.left_by_others()
    assert first.spool.path == path
    for group in groups:
        tell_group(store, group)
    await first.wire.open()
    first.ledger.tell_again()
    await first.ledger.barrier()
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


def test_batches_are_put_and_acknowledged_together(store: Store) -> None:
    engine = Engine(store, 20.0)
    engine.put_all(TOKEN, [1, 2, 3], 1)
    leases = engine.lease(2)
    assert [1, 2] == [lease.sequence for lease in leases]
    engine.acknowledge_all(leases)
    assert [3] == [lease.sequence for lease in engine.lease(5)]
    # Nothing of them is left to be redelivered.
    assert 1 == store.client.hlen(f"{NAMESPACE}:normal.msgs")


async def test_batch_that_was_put_twice_is_not_delivered_by_one_worker_at_once(store: Store) -> None:
    engine = Engine(store, 20.0)
    put(store, 1)
    engine.put_all(TOKEN, [1, 1], 1)
    before: list[int] = []

    async def note_batches() -> None:
        before.append(store.open_batches(TOKEN))

    leases = Leases(store, EngineTurns(engine), note_batches)
    ((lease, found),) = await leases.exchange(4)
    assert found is not None
    assert (1, claims(1)) == (lease.sequence, found.queued)
    # The other one is looked at later, when the first is done.
    assert [] == await leases.exchange(4)
    assert 1 == store.client.zcard(f"{PREFIX}delayed")
    assert [] == before
    await leases.end(lease, End.DONE)
    assert [] == await leases.exchange(4)
    # Its outcomes were told while the batch was still known.
    assert ([1], 0) == (before, store.open_batches(TOKEN))


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
    engine._may_have_orphans = True
    engine.keep_alive()
    assert [1] == [lease.sequence for lease in engine.lease(1)]
    engine.keep_alive()
    assert [] == engine.lease(1)


def test_refusal_is_told_and_is_no_absence(store: Store) -> None:
    store.client.set(f"{PREFIX}{TOKEN}:batches", "no hash")
    with pytest.raises(QueueError, match="cannot be used") as caught:
        store.open_batches(TOKEN)
    assert not isinstance(caught.value, QueueAwayError)

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from fakes_mailing import (
    GONE,
    GREY,
    Mailing,
    a_row,
    answer_by_try,
    counts,
    rows,
    sent_to,
)

from mailblast.delivery.intake import Selection
from mailblast.executors.run import RunSettings
from mailblast.journal.journal import ClaimPolicy
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import Attempt, Disposition, State
from mailblast.model.reply import Scope
from mailblast.model.row import BadRow
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.model.message import Message


@pytest.fixture
def mailing(tmp_path: Path) -> Mailing:
    return Mailing(tmp_path)


@pytest.mark.parametrize("may_block", [False, True])
@pytest.mark.parametrize("count", [0, 1, 4, 8, 9, 30])
async def test_run_sends_the_whole_list_once(mailing: Mailing, *, count: int, may_block: bool) -> None:
    provider = MemoryProvider()
    result = await mailing.run(rows(count), provider, may_block=may_block)
    assert [f"r{number}@example.com" for number in range(1, count + 1)] == sent_to(provider)
    assert (count, 0, None) == (result.rows, result.skipped, result.stopped)
    assert ({State.ACCEPTED: count} if count else {}) == counts(result)
    assert count == mailing.count(State.ACCEPTED)


async def test_run_again_sends_none_and_then_only_newcomers_wherever_they_stand(mailing: Mailing) -> None:
    await mailing.run(rows(10), MemoryProvider())
    again = MemoryProvider()
    result = await mailing.run(rows(10), again)
    assert ([], 10, 10, {}) == (sent_to(again), result.rows, result.skipped, counts(result))
    newcomers = MemoryProvider()
    result = await mailing.run([*rows(2, first=11), *reversed(rows(5))], newcomers)
    assert ["r11@example.com", "r12@example.com"] == sent_to(newcomers)
    assert (7, 5, {State.ACCEPTED: 2}) == (result.rows, result.skipped, counts(result))


async def test_rows_of_all_kinds_add_up(mailing: Mailing) -> None:
    def answer(message: Message) -> Attempt:
        return GONE if message.recipient.startswith("r3@") else ACCEPTED

    source = [*rows(4), BadRow(5, "bad"), a_row(1)._replace(row=6), a_row(7, plan=False), *rows(3, first=8)]
    result = await mailing.run(source, MemoryProvider(answer))
    assert {State.ACCEPTED: 6, State.FAILED: 1, State.INVALID: 2, State.DUPLICATE: 1} == counts(result)
    assert result.rows == 10
    result = await mailing.run(source, MemoryProvider(answer))
    assert {State.INVALID: 2, State.DUPLICATE: 1} == counts(result)
    assert result.skipped == 7


async def test_deferred_are_tried_again_in_the_same_run_and_counted_once(mailing: Mailing) -> None:
    provider = MemoryProvider(answer_by_try(GREY, GREY, ACCEPTED))
    started_s = mailing.clock.now()
    result = await mailing.run(rows(9), provider)
    assert {State.ACCEPTED: 9} == counts(result)
    assert len(provider.messages) == 27
    assert mailing.clock.now() - started_s == pytest.approx(900, rel=0.25)
    with JournalReader(mailing.home, "news") as reader:
        assert {3} == {outcome.attempts for outcome in reader.outcomes([State.ACCEPTED])}
    first = [message.parts for message in provider.messages if message.recipient == "r1@example.com"]
    assert len(first) == 3
    assert len(set(first)) == 1


async def test_deferred_for_longer_than_patience_stay_for_the_next_run(mailing: Mailing) -> None:
    settings = RunSettings(batch_size=4, retry_for_s=1000)
    provider = MemoryProvider(answer_by_try(GREY))
    result = await mailing.run(rows(3), provider, settings)
    assert {State.DEFERRED: 3} == counts(result)
    assert result.stopped is None
    assert 6 <= len(provider.messages) <= 9
    assert mailing.clock.now() <= FakeClock().now() + 1000
    later = MemoryProvider()
    assert {State.ACCEPTED: 3} == counts(await mailing.run(rows(3), later))


async def test_without_patience_nobody_is_tried_twice(mailing: Mailing) -> None:
    provider = MemoryProvider(answer_by_try(GREY))
    result = await mailing.run(rows(3), provider, RunSettings(batch_size=2, retry_for_s=0))
    assert ({State.DEFERRED: 3}, 3) == (counts(result), len(provider.messages))


async def test_limit_sends_so_many_and_each_run_the_next_ones(mailing: Mailing) -> None:
    settings = RunSettings(batch_size=4, selection=Selection(limit=6))
    seen = []
    for expected in (6, 6, 3, 0):
        provider = MemoryProvider()
        result = await mailing.run(rows(15), provider, settings)
        assert expected == result.counts[State.ACCEPTED]
        seen += sent_to(provider)
    assert [f"r{number}@example.com" for number in range(1, 16)] == seen


async def test_sample_sends_nobody_twice_and_the_full_run_the_rest(mailing: Mailing) -> None:
    settings = RunSettings(batch_size=16, selection=Selection(sample=0.2))
    provider = MemoryProvider()
    first = await mailing.run(rows(200), provider, settings)
    assert 10 < first.counts[State.ACCEPTED] < 80
    assert (200, 200 - first.counts[State.ACCEPTED]) == (first.rows, first.skipped)
    assert {} == counts(await mailing.run(rows(200), provider, settings))
    await mailing.run(rows(200), provider)
    assert len(provider.messages) == len(set(sent_to(provider))) == 200


async def test_in_doubt_are_held_and_sent_again_byte_for_byte_on_demand(mailing: Mailing) -> None:
    lost = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)
    first = MemoryProvider(answer_by_try(lost))
    assert {State.IN_DOUBT: 2} == counts(await mailing.run(rows(2), first))
    mailing.clock.advance(5000)
    result = await mailing.run(rows(2), MemoryProvider())
    assert (2, 2, {}) == (result.skipped, result.held, counts(result))
    again = MemoryProvider()
    settings = RunSettings(policy=ClaimPolicy(resend_in_doubt=True))
    assert {State.ACCEPTED: 2} == counts(await mailing.run(rows(2), again, settings))
    assert [message.parts for message in first.messages] == [message.parts for message in again.messages]


async def test_in_doubt_whose_row_has_changed_is_not_sent_again(mailing: Mailing) -> None:
    lost = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)
    await mailing.run(rows(1), MemoryProvider(answer_by_try(lost)))
    changed = a_row(1)._replace(variables={"name": "Ann", "plan": "tin"})
    provider = MemoryProvider()
    result = await mailing.run([changed], provider, RunSettings(policy=ClaimPolicy(resend_in_doubt=True)))
    assert ([], {State.IN_DOUBT: 1}) == (provider.messages, counts(result))

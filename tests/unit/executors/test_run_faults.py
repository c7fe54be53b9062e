from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fakes_mailing import (
    GREY,
    QUOTA,
    Mailing,
    answer_by_try,
    counts,
    rows,
    sent_to,
)
from fakes_provider import FailingProvider

from mailblast.errors import (
    AccountError,
    JournalError,
    ListError,
    ProviderUnavailableError,
)
from mailblast.journal.segment import Segment
from mailblast.journal.table import RecipientTable
from mailblast.model.outcome import Attempt, State
from mailblast.model.row import BadRow
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailblast.model.message import Message
    from mailblast.model.recipient import Recipient


@pytest.fixture
def mailing(tmp_path: Path) -> Mailing:
    return Mailing(tmp_path)


async def test_refused_account_leaves_the_rest_unsent_and_the_next_run_sends_it(mailing: Mailing) -> None:
    def answer(message: Message) -> Attempt:
        return QUOTA if message.recipient.startswith("r7@") else ACCEPTED

    result = await mailing.run(rows(30), MemoryProvider(answer))
    assert isinstance(result.stopped, AccountError)
    assert counts(result)[State.ACCEPTED] == 6
    assert counts(result)[State.UNSENT] == result.rows - 6
    later = MemoryProvider()
    result = await mailing.run(rows(30), later)
    assert {State.ACCEPTED: 24} == counts(result)
    assert "r7@example.com" in sent_to(later)


@pytest.mark.parametrize("failures", [1, 2, 6])
async def test_provider_that_comes_back_costs_nobody_anything(mailing: Mailing, failures: int) -> None:
    provider = FailingProvider(*[ProviderUnavailableError("away")] * failures)
    result = await mailing.run(rows(9), provider)
    assert ({State.ACCEPTED: 9}, None) == (counts(result), result.stopped)
    assert [0.5 * 2**number for number in range(failures)] == mailing.clock.slept


async def test_provider_that_stays_away_stops_the_run(mailing: Mailing) -> None:
    provider = FailingProvider(*[ProviderUnavailableError("away")] * 7)
    result = await mailing.run(rows(30), provider)
    assert isinstance(result.stopped, ProviderUnavailableError)
    assert {State.UNSENT} == set(counts(result))
    assert sum(mailing.clock.slept) == pytest.approx(31.5)
    assert {State.ACCEPTED: 30} == counts(await mailing.run(rows(30), MemoryProvider()))


async def test_provider_that_fails_with_messages_in_hand_repeats_them(mailing: Mailing) -> None:
    failed: list[str] = []

    def answer(message: Message) -> Attempt:
        if message.recipient not in failed and len(failed) < 9:
            failed.append(message.recipient)
            raise ProviderUnavailableError("reset")
        return ACCEPTED

    provider = MemoryProvider(answer)
    result = await mailing.run(rows(20), provider)
    assert ({State.ACCEPTED: 20}, None) == (counts(result), result.stopped)
    assert len(provider.messages) == len(set(sent_to(provider))) == 20


async def test_provider_that_never_answers_a_message_stops_before_it_defers_anybody(mailing: Mailing) -> None:
    def answer(_: Message) -> Attempt:
        raise ProviderUnavailableError("reset")

    result = await mailing.run(rows(3), MemoryProvider(answer))
    assert isinstance(result.stopped, ProviderUnavailableError)
    assert {State.UNSENT: 3} == counts(result)
    assert mailing.count(State.UNSENT) == 3


async def test_defect_in_a_provider_is_told_and_leaves_nobody_waiting(mailing: Mailing) -> None:
    def answer(message: Message) -> Attempt:
        if message.recipient.startswith("r6@"):
            raise ZeroDivisionError
        return ACCEPTED

    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(mailing.run(rows(30), MemoryProvider(answer)), 10)
    assert mailing.count(State.ACCEPTED) == 5
    assert mailing.count(State.IN_DOUBT) == 0
    assert {State.ACCEPTED: 25} == counts(await mailing.run(rows(30), MemoryProvider()))


@pytest.mark.parametrize("may_block", [False, True])
async def test_broken_list_sends_everything_before_the_break(mailing: Mailing, *, may_block: bool) -> None:
    def source() -> Iterator[Recipient | BadRow]:
        yield from rows(10)
        raise ListError("list.csv, row 12: unclosed quote")

    provider = MemoryProvider(answer_by_try(ACCEPTED))
    result = await mailing.run(source(), provider, may_block=may_block)
    assert ({State.ACCEPTED: 10}, 10) == (counts(result), result.rows)
    assert isinstance(result.stopped, ListError)
    assert not result.whole_list


async def test_defect_while_reading_records_what_was_sent(mailing: Mailing) -> None:
    def source() -> Iterator[Recipient | BadRow]:
        yield from rows(10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await mailing.run(source(), MemoryProvider())
    states = mailing.states()
    assert len(states) == 10
    assert set(states.values()) <= {State.ACCEPTED, State.UNSENT}
    await mailing.run(rows(10), MemoryProvider())
    assert mailing.count(State.ACCEPTED) == 10


@pytest.mark.parametrize("where", ["claim", "fold", "record_faults"])
async def test_table_that_cannot_be_written_stops_the_run_and_counts_add_up(
    mailing: Mailing, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    original = getattr(RecipientTable, where)

    def fails_once(*arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise JournalError("disk full")
        return original(*arguments, **named)

    monkeypatch.setattr(RecipientTable, where, fails_once)
    monkeypatch.setattr("mailblast.executors.run.READ_ROWS", 1)
    source = [row for number in range(1, 30, 3) for row in (*rows(2, first=number), BadRow(number + 2, "bad"))]
    provider = MemoryProvider()
    result = await mailing.run(source, provider)
    assert isinstance(result.stopped, JournalError)
    assert result.counts[State.ACCEPTED] == len(provider.messages) == mailing.count(State.ACCEPTED)
    await mailing.run(source, provider)
    assert len(provider.messages) == len(set(sent_to(provider))) == 20


@pytest.mark.parametrize("where", ["next_due_s", "take_due"])
async def test_second_tries_that_cannot_be_claimed_stop_the_run(
    mailing: Mailing, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(RecipientTable, where, fails)
    result = await mailing.run(rows(3), MemoryProvider(answer_by_try(GREY, ACCEPTED)))
    assert isinstance(result.stopped, JournalError)
    assert {State.DEFERRED: 3} == counts(result)
    assert mailing.count(State.DEFERRED) == 3


async def test_segment_that_cannot_be_written_lets_nothing_leave(
    mailing: Mailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = MemoryProvider()
    write = Segment._write

    def fails_for_a_while(self: Segment, data: bytes) -> None:
        if len(provider.messages) == 3 and not broken:
            broken.append(data)
            raise JournalError("disk full")
        write(self, data)

    broken: list[bytes] = []
    monkeypatch.setattr(Segment, "_write", fails_for_a_while)
    result = await mailing.run(rows(30), provider)
    assert isinstance(result.stopped, JournalError)
    assert len(provider.messages) == 3
    assert {State.ACCEPTED: 3, State.UNSENT: result.rows - 3} == counts(result)
    assert mailing.count(State.IN_DOUBT) == 0
    await mailing.run(rows(30), provider)
    assert len(provider.messages) == len(set(sent_to(provider))) == 30

from __future__ import annotations

import asyncio
import os
import queue
import signal
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from fakes_provider import FailingProvider, HoldingProvider

from mailblast.delivery.composer import Composer
from mailblast.delivery.intake import Selection
from mailblast.delivery.pipeline import Pipeline
from mailblast.delivery.throttle import Rate, Throttle
from mailblast.errors import (
    AccountError,
    JournalError,
    ListError,
    MailblastError,
    ProviderUnavailableError,
    RunInterruptedError,
)
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.journal.reading import JournalReader
from mailblast.journal.segment import Segment
from mailblast.journal.table import RecipientTable
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.outcome import Attempt, Disposition, State
from mailblast.model.recipient import Recipient
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.model.row import BadRow
from mailblast.monitor.metrics import Monitor
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from mailblast.model.message import Message
    from mailblast.providers.provider import Provider

TEMPLATE = Template("t.txt", "", "Hello", "Hi {{ name }}, {{ plan }}\n", None)
GREY = Attempt(Disposition.TEMPORARY, Reply(451, "4.7.1", "greylisted", Stage.RCPT), Scope.RECIPIENT)
GONE = Attempt(Disposition.PERMANENT, Reply(550, "5.1.1", "no such user", Stage.RCPT), Scope.RECIPIENT)
QUOTA = Attempt(Disposition.PERMANENT, Reply(550, "5.4.5", "daily quota", Stage.MAIL), Scope.ACCOUNT)
SMALL = RunSettings(batch_size=4, batches_in_flight=2)


def a_row(number: int, *, plan: bool = True) -> Recipient:
    address = f"r{number}@example.com"
    fields = {"email": address, "plan": "gold"} if plan else {"email": address}
    return Recipient(number, address, address, {**fields, "name": "there"}, fields)


def rows(count: int, first: int = 1) -> list[Recipient | BadRow]:
    return [a_row(number) for number in range(first, first + count)]


class StandingClock(FakeClock):
    """A clock whose sleepers never wake, though the test may end them."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await asyncio.Event().wait()


class Mailing:
    """One campaign on one disk; each ``run()`` is a run of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()

    async def run(
        self,
        source: Iterable[Recipient | BadRow],
        provider: Provider,
        settings: RunSettings = SMALL,
        *,
        rates: tuple[Rate, ...] = (),
        may_block: bool = False,
    ) -> RunResult:
        earlier = asyncio.all_tasks()
        with Journal.open(self.home, "news", clock=self.clock) as journal:
            journal.begin_run(provider=provider.name, template_fingerprint="1")
            campaign = Campaign("news", journal.token, TEMPLATE, Mailbox("News", "news@example.com"))

            def make_pipeline(on_outcome: Callable[..., None]) -> Pipeline:
                return Pipeline(
                    Composer(campaign),
                    journal.segment(),
                    Throttle(rates),
                    provider_name=provider.name,
                    clock=self.clock,
                    on_outcome=on_outcome,
                )

            run = CampaignRun(
                journal,
                make_pipeline,
                provider,
                Source(iter(source), may_block, lambda: 0),
                settings,
                clock=self.clock,
                monitor=Monitor(self.clock),
            )
            result = await run.run()
        assert result.rows == result.skipped + sum(result.counts.values())
        await asyncio.sleep(0)
        assert set() == asyncio.all_tasks() - earlier
        return result

    def states(self) -> dict[str, State]:
        with JournalReader(self.home, "news") as reader:
            return {outcome.key: outcome.state for outcome in reader.outcomes(tuple(State))}

    def count(self, state: State) -> int:
        return sum(each is state for each in self.states().values())


@pytest.fixture
def mailing(tmp_path: Path) -> Mailing:
    return Mailing(tmp_path)


def counts(result: RunResult) -> dict[State, int]:
    return {state: count for state, count in result.counts.items() if count}


def sent_to(provider: MemoryProvider) -> list[str]:
    return [message.recipient for message in provider.messages]


def answer_by_try(*attempts: Attempt) -> Callable[[Message], Attempt]:
    """Answer each recipient's first message with the first attempt, and so on; the last one stays."""
    tries: dict[str, int] = {}

    def answer(message: Message) -> Attempt:
        number = tries[message.recipient] = tries.get(message.recipient, -1) + 1
        return attempts[min(number, len(attempts) - 1)]

    return answer


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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_first_signal_finishes_what_is_in_flight_and_leaves_the_rest(
    mailing: Mailing, number: signal.Signals
) -> None:
    provider = HoldingProvider()
    running = asyncio.create_task(mailing.run(rows(30), provider))
    await provider.holding.wait()
    os.kill(os.getpid(), number)
    await asyncio.sleep(0.05)
    assert not running.done()
    provider.answering.set()
    result = await ended(running)
    assert isinstance(result.stopped, RunInterruptedError)
    assert number == result.stopped.signal_number
    assert {State.ACCEPTED: 3, State.UNSENT: result.rows - 3} == counts(result)
    assert mailing.count(State.ACCEPTED) == 3
    assert mailing.count(State.IN_DOUBT) == 0
    assert {State.ACCEPTED: 27} == counts(await mailing.run(rows(30), MemoryProvider()))


async def test_second_signal_cuts_and_leaves_those_begun_in_doubt(mailing: Mailing) -> None:
    provider = HoldingProvider()
    running = asyncio.create_task(mailing.run(rows(30), provider))
    await provider.holding.wait()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.02)
    os.kill(os.getpid(), signal.SIGINT)
    result = await ended(running)
    assert isinstance(result.stopped, RunInterruptedError)
    assert {State.IN_DOUBT: 3, State.UNSENT: result.rows - 3} == counts(result)
    assert mailing.count(State.IN_DOUBT) == 3
    assert {State.ACCEPTED: 27} == counts(await mailing.run(rows(30), MemoryProvider()))


async def test_signal_while_an_account_stop_drains_cuts_only_the_second_time(mailing: Mailing) -> None:
    provider = HoldingProvider(refuse_first=QUOTA)
    running = asyncio.create_task(mailing.run(rows(30), provider))
    await provider.holding.wait()
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.sleep(0.02)
    assert not running.done()
    os.kill(os.getpid(), signal.SIGINT)
    result = await ended(running)
    assert isinstance(result.stopped, AccountError)
    assert {State.IN_DOUBT: 2, State.UNSENT: result.rows - 2} == counts(result)


async def test_signal_while_the_list_waits_for_its_pipe_ends_at_once(mailing: Mailing) -> None:
    items: queue.Queue[Recipient | BadRow | None] = queue.Queue()
    for row in rows(4):
        items.put(row)
    provider = MemoryProvider()
    running = asyncio.create_task(mailing.run(iter(items.get, None), provider, may_block=True))
    while len(provider.messages) < 4:  # noqa: ASYNC110 - the provider has no event for that
        await asyncio.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
    result = await ended(running)
    items.put(None)
    assert isinstance(result.stopped, RunInterruptedError)
    assert {State.ACCEPTED: 4} == counts(result)


@pytest.mark.parametrize("wait", ["throttled", "second tries", "connecting again"])
async def test_signal_during_a_long_wait_ends_at_once(mailing: Mailing, wait: str) -> None:
    clock = mailing.clock = StandingClock()
    provider: Provider = MemoryProvider(answer_by_try(GREY if wait == "second tries" else ACCEPTED))
    if wait == "connecting again":
        provider = FailingProvider(ProviderUnavailableError("away"))
    rates = (Rate(1, 3600),) if wait == "throttled" else ()
    running = asyncio.create_task(mailing.run(rows(6), provider, rates=rates))
    await asyncio.wait_for(clock.asleep.wait(), 10)
    os.kill(os.getpid(), signal.SIGINT)
    result = await ended(running)
    assert isinstance(result.stopped, RunInterruptedError)
    expected = {
        "throttled": {State.ACCEPTED: 1, State.UNSENT: 5},
        "second tries": {State.DEFERRED: 6},
        "connecting again": {State.UNSENT: 6},
    }
    assert expected[wait] == counts(result)


async def test_signals_are_as_before_after_a_run(mailing: Mailing) -> None:
    await mailing.run(rows(1), MemoryProvider())
    loop = asyncio.get_running_loop()
    assert not loop.remove_signal_handler(signal.SIGINT)
    assert not loop.remove_signal_handler(signal.SIGTERM)


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
    source = [row for number in range(1, 30, 3) for row in (*rows(2, first=number), BadRow(number + 2, "bad"))]
    provider = MemoryProvider()
    result = await mailing.run(source, provider)
    assert isinstance(result.stopped, JournalError)
    assert result.counts[State.ACCEPTED] == len(provider.messages) == mailing.count(State.ACCEPTED)
    await mailing.run(source, provider)
    assert len(provider.messages) == len(set(sent_to(provider))) == 20


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


async def ended(running: asyncio.Task[RunResult]) -> RunResult:
    result = await asyncio.wait_for(running, 5)
    assert isinstance(result.stopped, MailblastError)
    return result

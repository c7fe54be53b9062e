from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from fakes_mailing import QUOTA, SMALL, TEMPLATE, a_row, counts, rows
from fakes_provider import HoldingProvider

from mailblast.delivery.composer import Composer
from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.errors import AccountError, JournalError, MailblastError, ProviderUnavailableError, RunInterruptedError
from mailblast.executors.inline_route import InlineRoute
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.executors.transports import TransportsExecutor
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.campaign import Campaign, Mailbox
from mailblast.model.outcome import State
from mailblast.model.recipient import Batch
from mailblast.monitor.metrics import Monitor
from mailblast.providers.memory import ACCEPTED, MemoryProvider
from mailblast.providers.transport_cache import MAX_AGE_S, MAXIMUM, Key, TransportCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mailblast.executors.executor import OnDone, OnOutcome
    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt, Outcome
    from mailblast.model.recipient import Claim


class Counted(MemoryProvider):
    """Counts how often it was opened and closed."""

    def __init__(self, answer: Callable[[Message], Attempt] = lambda _: ACCEPTED) -> None:
        super().__init__(answer)
        self.opened = 0
        self.closed = 0

    async def open(self) -> None:
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1


class Runner:
    """Runs of one campaign whose rows take turns in their transports."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        self.journal = Journal.open(home, "news", clock=self.clock)
        self.journal.begin_run(provider="several", template_fingerprint="1")
        self.composer = Composer(Campaign("news", self.journal.token, TEMPLATE, Mailbox("", "news@example.com")))
        self.made: list[tuple[int | None, MemoryProvider]] = []
        self.special: dict[int, MemoryProvider] = {}
        self.transports = 2
        self.cache = TransportCache(self.make, self.clock)

    def make(self, key: Key) -> MemoryProvider:
        number = key.port or 0
        provider = self.special.get(number) or Counted()
        provider.name = f"p{number}"
        self.made.append((key.port, provider))
        return provider

    def key_of(self, claim: Claim) -> Key:
        return Key("memory", "host", 1 + claim.recipient.row % self.transports, "")

    def executor(self, on_outcome: OnOutcome, on_done: OnDone) -> TransportsExecutor:
        return TransportsExecutor(
            self.cache,
            self.key_of,
            lambda _key, provider: InlineRoute(
                provider,
                lambda: Pace(PaceSettings(), self.clock),
                lambda _composition: self.composer,
                self.journal.segment(),
                self.clock,
                batches_in_flight=2,
            ),
            self.clock,
            maximum=MAXIMUM,
            on_outcome=on_outcome,
            on_done=on_done,
        )

    async def run(self, count: int, settings: RunSettings = SMALL) -> RunResult:
        run = CampaignRun(
            self.journal,
            self.executor,
            Source(iter(rows(count)), may_block=False, position_bytes=lambda: 0),
            settings,
            clock=self.clock,
            monitor=Monitor(self.clock),
        )
        result = await run.run()
        assert result.rows == sum(result.counts.values())
        return result

    @property
    def sent(self) -> Counter[str]:
        return Counter(message.recipient for _, provider in self.made for message in provider.messages)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path)
    yield made
    made.journal.close()


async def test_two_senders_over_1000_rows_open_two_transports(runner: Runner) -> None:
    result = await runner.run(1000, RunSettings())
    assert {State.ACCEPTED: 1000} == counts(result)
    assert [500, 500] == [len(provider.messages) for _, provider in runner.made]
    statistics = runner.cache.statistics()
    assert (2, 10, 998, 2, 0, 0) == (
        statistics.size,
        statistics.maximum,
        statistics.hits,
        statistics.misses,
        statistics.evictions,
        statistics.expirations,
    )
    assert statistics.hit_rate == pytest.approx(0.998)
    assert 0 < statistics.memory_bytes
    await runner.cache.close()
    assert [(1, 1), (1, 1)] == [(each.opened, each.closed) for _, each in runner.made if isinstance(each, Counted)]


async def test_eleven_transports_the_one_not_used_for_longest_makes_room(runner: Runner) -> None:
    runner.transports = 11
    result = await runner.run(110, RunSettings(batch_size=11))
    assert {State.ACCEPTED: 110} == counts(result)
    assert {1} == set(runner.sent.values())
    statistics = runner.cache.statistics()
    assert MAXIMUM == statistics.size
    assert statistics.evictions == len(runner.made) - MAXIMUM > 0
    made = [each for _, each in runner.made if isinstance(each, Counted)]
    assert MAXIMUM == sum(each.opened - each.closed for each in made)


async def test_transport_that_is_too_old_is_finished_closed_and_replaced(runner: Runner) -> None:
    def age(_message: Message) -> Attempt:
        runner.clock.advance(MAX_AGE_S / 20)
        return ACCEPTED

    made: list[Counted] = []

    def make(_key: Key) -> Counted:
        made.append(Counted(age))
        return made[-1]

    runner.transports = 1
    runner.cache = TransportCache(make, runner.clock)
    result = await runner.run(100)
    assert {State.ACCEPTED: 100} == counts(result)
    assert 100 == sum(len(each.messages) for each in made)
    statistics = runner.cache.statistics()
    assert statistics.expirations == len(made) - 1 > 1
    assert [1] * (len(made) - 1) + [0] == [each.closed for each in made]


async def test_one_that_stops_stops_the_run_and_the_rest_is_unsent(runner: Runner) -> None:
    runner.special[1] = MemoryProvider(lambda message: QUOTA if message.recipient == "r10@example.com" else ACCEPTED)
    result = await runner.run(200)
    assert isinstance(result.stopped, AccountError)
    assert {State.ACCEPTED, State.UNSENT} == counts(result).keys()
    assert runner.journal.counts()[State.UNSENT] == counts(result)[State.UNSENT] > 100


async def test_one_that_cannot_be_opened_stops_the_run(runner: Runner) -> None:
    class Shut(MemoryProvider):
        async def open(self) -> None:
            raise ProviderUnavailableError("refused")

    runner.special[2] = Shut()
    result = await runner.run(20)
    assert "refused" == str(result.stopped)
    assert State.UNSENT in counts(result)
    assert {1} >= set(runner.sent.values())


async def test_told_to_end_and_cut_in_flight_is_in_doubt(runner: Runner) -> None:
    holding = runner.special[1] = HoldingProvider(3)
    outcomes: list[Outcome] = []

    def done(finished: Sequence[Outcome]) -> None:
        runner.journal.fold(finished)
        outcomes.extend(finished)

    executor = runner.executor(lambda _: None, done)
    claims = runner.journal.claim([a_row(number) for number in range(20)], ClaimPolicy()).claims
    async with executor:
        await executor.submit(Batch(0, claims[:12]))
        await holding.holding.wait()
        assert executor.stopped is None
        assert "" == executor.limiting()
        executor.stop(RunInterruptedError("Interrupted by SIGINT."))
        executor.stop(RunInterruptedError("Again."))
        executor.abort()
        await executor.submit(Batch(1, claims[12:]))
        await executor.drain()
    assert "Interrupted by SIGINT." == str(executor.stopped)
    assert 20 == len(outcomes)
    assert 3 == sum(outcome.state is State.IN_DOUBT for outcome in outcomes)


async def test_error_in_the_block_ends_in_good_order(runner: Runner) -> None:
    executor = runner.executor(lambda _: None, runner.journal.fold)
    with pytest.raises(ZeroDivisionError):
        async with executor:
            raise ZeroDivisionError
    assert isinstance(executor.stopped, MailblastError)
    assert executor.stopping.is_set()


async def test_outcomes_that_cannot_be_recorded_stop_the_run(runner: Runner) -> None:
    def done(_: Sequence[Outcome]) -> None:
        raise JournalError("full")

    executor = runner.executor(lambda _: None, done)
    claims = runner.journal.claim([a_row(number) for number in range(8)], ClaimPolicy()).claims
    async with executor:
        await executor.submit(Batch(0, claims[:4]))
        await executor.drain()
        await asyncio.sleep(0)
        assert isinstance(executor.stopped, JournalError)
        await executor.submit(Batch(1, claims[4:]))
    assert "full" == str(executor.stopped)

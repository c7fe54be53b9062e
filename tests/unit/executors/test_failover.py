from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from fakes_mailing import GREY, QUOTA, SMALL, TEMPLATE, a_row, answer_by_try, counts, rows, sent_to
from fakes_provider import FailingProvider, HoldingProvider

from mailblast.delivery.composer import Composer
from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.errors import (
    AccountError,
    JournalError,
    MailblastError,
    ProviderUnavailableError,
    RunInterruptedError,
    UsageError,
)
from mailblast.executors.failover import FailoverExecutor, Switch, open_first
from mailblast.executors.inline_route import InlineRoute
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.campaign import Campaign, Mailbox
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Batch
from mailblast.monitor.metrics import Monitor
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt
    from mailblast.providers.provider import Deliveries, Provider

ROWS = 40


class Shut(MemoryProvider):
    """A provider that cannot be opened."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.closed = 0

    async def open(self) -> None:
        raise self.error

    async def close(self) -> None:
        self.closed += 1


class Slow(MemoryProvider):
    """A provider that takes for ever to open."""

    def __init__(self) -> None:
        super().__init__()
        self.opening = asyncio.Event()

    async def open(self) -> None:
        self.opening.set()
        await asyncio.Event().wait()


class Losing(MemoryProvider):
    """Loses the answers to what it has begun, and the connection for ever."""

    async def deliver(self, deliveries: Deliveries) -> None:
        await deliveries.wait()
        for _ in range(3):
            message = deliveries.take()
            if message is not None:
                deliveries.begin(message)
                deliveries.commit()
                self.messages.append(message)
        raise AccountError("It is closed.")


def after(count: int, then: Attempt) -> Callable[[Message], Attempt]:
    """Accept so many, then answer otherwise."""
    seen: list[Message] = []

    def answer(message: Message) -> Attempt:
        seen.append(message)
        return ACCEPTED if len(seen) <= count else then

    return answer


class Runner:
    """Runs of one campaign by several providers."""

    def __init__(self, home: Path, *, pace: PaceSettings | None = None) -> None:
        self.clock = FakeClock()
        self.journal = Journal.open(home, "news", clock=self.clock)
        self.journal.begin_run(provider="several", template_fingerprint="1")
        self.campaign = Campaign("news", self.journal.token, TEMPLATE, Mailbox("", "news@example.com"))
        self.switches: list[Switch] = []
        self.outcomes: list[Outcome] = []
        self.executor: FailoverExecutor
        self.pace = pace or PaceSettings()

    def routes(self, *providers: Provider) -> list[InlineRoute]:
        routes = []
        for number, provider in enumerate(providers):
            provider.name = f"p{number}"
            routes.append(
                InlineRoute(
                    provider,
                    lambda: Pace(self.pace, self.clock),
                    lambda composition: Composer(self.campaign, composition=composition),
                    self.journal.segment(),
                    self.clock,
                    batches_in_flight=2,
                )
            )
        return routes

    async def run(self, *providers: Provider, count: int = ROWS, settings: RunSettings = SMALL) -> RunResult:
        opened = await open_first(self.routes(*providers), self.switches.append)

        def make(on_outcome: OnOutcome, on_done: OnDone) -> Executor:
            def noted(outcome: Outcome) -> None:
                self.outcomes.append(outcome)
                on_outcome(outcome)

            self.executor = FailoverExecutor(
                opened, self.clock, on_outcome=noted, on_done=on_done, on_switch=self.switches.append
            )
            return self.executor

        run = CampaignRun(
            self.journal,
            make,
            Source(iter(rows(count)), may_block=False, position_bytes=lambda: 0),
            settings,
            clock=self.clock,
            monitor=Monitor(self.clock),
        )
        result = await run.run()
        assert result.rows == result.skipped + sum(result.counts.values())
        assert sum(self.journal.counts().values()) == result.rows
        assert not any(state is State.SENDING and count for state, count in self.journal.counts().items())
        return result


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    made = Runner(tmp_path)
    yield made
    made.journal.close()


async def test_account_refused_after_ten_the_rest_goes_by_the_next_and_nobody_twice(runner: Runner) -> None:
    first, second = MemoryProvider(after(10, QUOTA)), MemoryProvider()
    result = await runner.run(first, second)
    assert {State.ACCEPTED: ROWS} == counts(result)
    assert result.stopped is None
    assert ["p0 p1"] == [f"{each.before} {each.after}" for each in runner.switches]
    assert "5.4.5" in str(runner.switches[0])
    # What the first one answered with a refusal is among its messages, too.
    assert ROWS == len({*sent_to(first)[:10], *sent_to(second)}) == 10 + len(sent_to(second))
    by_whom = {outcome.address: outcome.provider for outcome in runner.outcomes}
    assert {"p0": 10, "p1": ROWS - 10} == {name: list(by_whom.values()).count(name) for name in ("p0", "p1")}


async def test_what_was_begun_without_an_answer_is_in_doubt_and_stays(runner: Runner) -> None:
    first, second = Losing(), MemoryProvider()
    result = await runner.run(first, second)
    assert {State.ACCEPTED: ROWS - 3, State.IN_DOUBT: 3} == counts(result)
    assert set() == set(sent_to(first)) & set(sent_to(second))


async def test_what_is_in_flight_is_answered_before_the_next_one_begins(runner: Runner) -> None:
    first, second = HoldingProvider(3, refuse_first=QUOTA), MemoryProvider()
    running = asyncio.create_task(runner.run(first, second))
    await first.holding.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert [] == second.messages
    assert [] == runner.switches
    first.answering.set()
    result = await running
    assert {State.ACCEPTED: ROWS} == counts(result)
    assert ROWS - 2 == len(second.messages)


async def test_provider_that_stays_away_is_left(runner: Runner) -> None:
    first, second = FailingProvider(*[ProviderUnavailableError("away")] * 9), MemoryProvider()
    result = await runner.run(first, second)
    assert {State.ACCEPTED: ROWS} == counts(result)
    assert "provider p0 stopped: away; going on with p1" == str(runner.switches[0])


@pytest.mark.parametrize(
    "error", [ProviderUnavailableError("refused"), AccountError("who?"), UsageError("Attachments are too large.")]
)
async def test_next_one_that_cannot_be_used_is_passed_over(runner: Runner, error: MailblastError) -> None:
    shut, third = Shut(error), MemoryProvider()
    result = await runner.run(MemoryProvider(after(5, QUOTA)), shut, third)
    assert {State.ACCEPTED: ROWS} == counts(result)
    assert ["p1", "p2"] == [each.after for each in runner.switches]
    assert error.message.rstrip(".") in str(runner.switches[1])
    assert shut.closed


@pytest.mark.parametrize(
    ("last", "what"),
    [
        (MemoryProvider(after(5, QUOTA)), "p1 refused the account"),
        (Shut(ProviderUnavailableError("gone")), "gone"),
        (Shut(UsageError("too large")), "p1 cannot go on: too large"),
    ],
)
async def test_all_have_failed_the_run_stops_with_the_last_reason(
    runner: Runner, last: MemoryProvider, what: str
) -> None:
    result = await runner.run(MemoryProvider(after(5, QUOTA)), last)
    assert isinstance(result.stopped, AccountError | ProviderUnavailableError)
    assert what in str(result.stopped)
    assert {State.ACCEPTED, State.UNSENT} == counts(result).keys()
    assert counts(result)[State.ACCEPTED] == 5 + (len(last.messages) - 1 if last.messages else 0)
    assert runner.executor.stopped is result.stopped
    assert runner.executor.stopping.is_set()


async def test_limit_that_is_reached_is_kept_and_not_got_round(tmp_path: Path) -> None:
    runner = Runner(tmp_path, pace=PaceSettings(daily_cap=7))
    second = MemoryProvider()
    result = await runner.run(MemoryProvider(), second)
    runner.journal.close()
    assert {State.ACCEPTED: 7, State.UNSENT: counts(result)[State.UNSENT]} == counts(result)
    assert [] == second.messages
    assert [] == runner.switches


async def test_deferred_ones_are_tried_again_by_the_next(runner: Runner) -> None:
    def answer(message: Message) -> Attempt:
        return GREY if message.recipient == "r1@example.com" else first_answer(message)

    first_answer = after(10, QUOTA)
    second = MemoryProvider(answer_by_try(ACCEPTED))
    result = await runner.run(MemoryProvider(answer), second)
    assert {State.ACCEPTED: ROWS} == counts(result)
    assert "r1@example.com" in sent_to(second)


async def test_told_to_end_while_the_next_one_opens_leaves_the_rest_unsent(runner: Runner) -> None:
    slow = Slow()
    running = asyncio.create_task(runner.run(MemoryProvider(after(5, QUOTA)), slow))
    await slow.opening.wait()
    assert runner.executor.stopped is None
    runner.executor.stop(RunInterruptedError("Interrupted by SIGINT."))
    runner.executor.abort()
    result = await asyncio.wait_for(running, 5)
    assert isinstance(result.stopped, RunInterruptedError)
    assert 5 == counts(result)[State.ACCEPTED]
    assert {State.ACCEPTED, State.UNSENT} == counts(result).keys()


async def test_told_to_end_before_the_provider_stops_does_not_go_on(runner: Runner) -> None:
    first, second = HoldingProvider(3), MemoryProvider()
    running = asyncio.create_task(runner.run(first, second))
    await first.holding.wait()
    runner.executor.stop(RunInterruptedError("Interrupted by SIGINT."))
    runner.executor.stop(RunInterruptedError("Again."))
    runner.executor.abort()
    result = await running
    assert "Interrupted by SIGINT." == str(result.stopped)
    assert {State.IN_DOUBT: 3, State.UNSENT: counts(result)[State.UNSENT]} == counts(result)
    assert [] == second.messages


async def test_defect_in_a_provider_reaches_the_caller(runner: Runner) -> None:
    first = FailingProvider(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(runner.run(first, MemoryProvider()), 5)


async def test_outcomes_that_cannot_be_recorded_at_the_end_stop_the_run(runner: Runner) -> None:
    def done(_: Sequence[Outcome]) -> None:
        raise JournalError("full")

    routes = runner.routes(MemoryProvider(after(0, QUOTA)), Shut(AccountError("no")))
    await routes[0].open()
    executor = FailoverExecutor(
        routes, runner.clock, on_outcome=lambda _: None, on_done=done, on_switch=runner.switches.append
    )
    claims = runner.journal.claim([a_row(number) for number in range(3)], ClaimPolicy()).claims
    async with executor:
        await executor.submit(Batch(0, claims))
        await executor.drain()
        # There is no provider left.
        await executor.submit(Batch(1, claims))
    assert isinstance(executor.stopped, MailblastError)
    assert "" == executor.limiting()


@pytest.mark.parametrize("error", [ProviderUnavailableError("away"), AccountError("who?")])
async def test_open_first_passes_over_who_is_away(runner: Runner, error: MailblastError) -> None:
    shut = Shut(error)
    opened = await open_first(runner.routes(shut, MemoryProvider(), MemoryProvider()), runner.switches.append)
    assert ["p1", "p2"] == [route.name for route in opened]
    assert [f"provider p0 stopped: {error.message}; going on with p1"] == [str(each) for each in runner.switches]
    assert 1 == shut.closed


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ((ProviderUnavailableError("a"), AccountError("b")), AccountError),
        ((UsageError("too large"), AccountError("b")), UsageError),
        ((OSError("defect"),), OSError),
    ],
)
async def test_open_first_raises_what_cannot_be_passed_over(
    runner: Runner, errors: tuple[Exception, ...], expected: type[Exception]
) -> None:
    with pytest.raises(expected):
        await open_first(runner.routes(*map(Shut, errors)), runner.switches.append)

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

import pytest
from fakes import FakeClock
from fakes_provider import FailingProvider, HoldingProvider

from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import AccountError, JournalError, ProviderUnavailableError, RunInterruptedError
from mailblast.executors.inline import MAX_RECONNECTS, InlineExecutor
from mailblast.model.message import Message
from mailblast.model.outcome import Attempt, Disposition, Outcome, State
from mailblast.model.recipient import Batch, Claim, Recipient
from mailblast.model.reply import Scope
from mailblast.providers.memory import MemoryProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.delivery.composer import Composer
    from mailblast.providers.provider import Deliveries


class OneLineComposer:
    def compose(self, claim: Claim) -> Message:
        address = claim.recipient.address
        return Message(claim.id, "s@x.test", address, f"<{claim.id}@x.test>", (address.encode(),), claim.id)


class NoLog:
    is_remote = False

    def begin(self, claim_id: int, digest: int, time_s: float) -> None:
        pass

    def finish(self, outcome: Outcome) -> None:
        pass

    def commit(self) -> None:
        pass


class Bench:
    """An executor with what it reported; ``fold_error`` is raised by the next report."""

    def __init__(self, provider: MemoryProvider, batches_in_flight: int = 2) -> None:
        self.clock = FakeClock()
        self.done: list[State] = []
        self.fold_error: Exception | None = None
        self.pipeline = Pipeline(
            cast("Composer", OneLineComposer()),
            NoLog(),
            Pace(PaceSettings(), self.clock),
            provider_name="memory",
            clock=self.clock,
            on_outcome=lambda _: None,
        )
        self.executor = InlineExecutor(
            self.pipeline, provider, self.clock, batches_in_flight=batches_in_flight, on_done=self._fold
        )
        self._next = 1

    def batch(self, size: int = 2) -> Batch:
        numbers = range(self._next, self._next + size)
        self._next += size
        claims = [
            Claim(number, Recipient(number, str(number), f"r{number}@x.test", {}, {}), dated_s=0) for number in numbers
        ]
        return Batch(0, tuple(claims))

    def _fold(self, outcomes: Sequence[Outcome]) -> None:
        error, self.fold_error = self.fold_error, None
        if error is not None:
            raise error
        self.done += [outcome.state for outcome in outcomes]


class LeavingProvider(MemoryProvider):
    """Ends after its first message although more will come."""

    async def deliver(self, deliveries: Deliveries) -> None:
        await deliveries.wait()
        message = deliveries.take()
        assert message is not None
        await self._handle(message, deliveries)


class IdleFailingProvider(MemoryProvider):
    """Sends what there is, then loses its connections while it has nothing to do."""

    async def deliver(self, deliveries: Deliveries) -> None:
        await deliveries.wait()
        while (message := deliveries.take()) is not None:
            await self._handle(message, deliveries)
        raise ProviderUnavailableError("idle time-out")


class CrowdedProvider(MemoryProvider):
    """Takes all there is for connections that then cannot be made, so many times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self._failures = failures

    async def deliver(self, deliveries: Deliveries) -> None:
        if await deliveries.wait() and self._failures:
            self._failures -= 1
            held = []
            while (message := deliveries.take()) is not None:
                held.append(message)
            for message in held:
                deliveries.finish(message, Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION))
            raise ProviderUnavailableError("away")
        await super().deliver(deliveries)


async def test_submit_waits_while_enough_batches_are_under_way() -> None:
    provider = HoldingProvider(concurrency=10)
    bench = Bench(provider, batches_in_flight=2)
    async with bench.executor as executor:
        for _ in range(2):
            await asyncio.wait_for(executor.submit(bench.batch()), 1)
        third = asyncio.create_task(executor.submit(bench.batch()))
        await provider.holding.wait()
        await asyncio.sleep(0)
        assert not third.done()
        provider.answering.set()
        await third
        await executor.drain()
    assert [State.ACCEPTED] * 6 == bench.done


async def test_leaving_the_block_waits_for_what_is_under_way() -> None:
    bench = Bench(MemoryProvider())
    async with bench.executor as executor:
        await executor.submit(bench.batch())
    assert [State.ACCEPTED] * 2 == bench.done
    assert bench.pipeline.stopped is None


async def test_outcomes_that_cannot_be_recorded_stop_the_run() -> None:
    bench = Bench(MemoryProvider())
    bench.fold_error = JournalError("disk full")
    async with bench.executor as executor:
        await executor.submit(bench.batch())
        await executor.drain()
        await executor.submit(bench.batch())
        await executor.drain()
    assert isinstance(bench.pipeline.stopped, JournalError)
    assert [State.UNSENT] * 2 == bench.done


async def test_defect_while_recording_is_told() -> None:
    bench = Bench(MemoryProvider())
    bench.fold_error = ZeroDivisionError()

    async def work() -> None:
        async with bench.executor as executor:
            await executor.submit(bench.batch())

    with pytest.raises(ZeroDivisionError):
        await work()


@pytest.mark.parametrize(
    ("error", "reason"), [(ZeroDivisionError(), RunInterruptedError), (AccountError("no"), AccountError)]
)
async def test_error_in_the_block_hands_out_nothing_more_and_records_what_is_in_flight(
    error: Exception, reason: type[Exception]
) -> None:
    provider = HoldingProvider(concurrency=1)
    bench = Bench(provider)

    async def fail() -> None:
        async with bench.executor as executor:
            await executor.submit(bench.batch())
            await provider.holding.wait()
            asyncio.get_running_loop().call_later(0.01, provider.answering.set)
            raise error

    with pytest.raises(type(error)):
        await fail()
    assert [State.ACCEPTED, State.UNSENT] == bench.done
    assert isinstance(bench.pipeline.stopped, reason)


async def test_cancelled_block_ends_and_records() -> None:
    provider = HoldingProvider(concurrency=1)
    bench = Bench(provider)

    async def work() -> None:
        async with bench.executor as executor:
            await executor.submit(bench.batch())
            await executor.drain()

    task = asyncio.create_task(work())
    await provider.holding.wait()
    task.cancel()
    await asyncio.sleep(0)
    provider.answering.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 1)
    assert [State.ACCEPTED, State.UNSENT] == bench.done


async def test_abort_cuts_and_nobody_is_left_waiting() -> None:
    provider = HoldingProvider(concurrency=1)
    bench = Bench(provider)
    async with bench.executor as executor:
        await executor.submit(bench.batch())
        await provider.holding.wait()
        executor.abort()
        await asyncio.wait_for(executor.drain(), 1)
    assert [State.IN_DOUBT, State.UNSENT] == bench.done


async def test_provider_that_leaves_too_early_stops_the_run() -> None:
    bench = Bench(LeavingProvider())
    async with bench.executor as executor:
        await executor.submit(bench.batch(1))
        await executor.drain()
        await asyncio.wait_for(executor.submit(bench.batch(2)), 1)
        await asyncio.wait_for(executor.drain(), 1)
    assert [State.ACCEPTED, State.UNSENT, State.UNSENT] == bench.done
    assert isinstance(bench.pipeline.stopped, ProviderUnavailableError)


async def test_connections_lost_when_all_is_done_are_not_asked_for_again() -> None:
    bench = Bench(IdleFailingProvider())
    async with bench.executor as executor:
        await executor.submit(bench.batch())
        await executor.drain()
    assert [State.ACCEPTED] * 2 == bench.done
    assert bench.pipeline.stopped is None
    assert [] == bench.clock.slept


async def test_connections_lost_while_idle_are_asked_for_with_the_next_batch() -> None:
    bench = Bench(IdleFailingProvider())
    async with bench.executor as executor:
        for _ in range(2 * MAX_RECONNECTS):
            await executor.submit(bench.batch())
            await executor.drain()
    assert {State.ACCEPTED} == set(bench.done)
    assert bench.pipeline.stopped is None
    assert {0.5} == set(bench.clock.slept)


async def test_login_refused_while_connecting_again_stops_at_once() -> None:
    provider = FailingProvider(ProviderUnavailableError("away"), AccountError("535"))
    bench = Bench(provider)
    async with bench.executor as executor:
        await executor.submit(bench.batch())
        await executor.drain()
    assert [State.UNSENT] * 2 == bench.done
    assert isinstance(bench.pipeline.stopped, AccountError)


async def test_many_messages_in_hand_at_each_attempt_to_connect_do_not_use_up_patience() -> None:
    bench = Bench(CrowdedProvider(failures=MAX_RECONNECTS))
    async with bench.executor as executor:
        await executor.submit(bench.batch(30))
        await executor.drain()
    assert [State.ACCEPTED] * 30 == bench.done
    assert bench.pipeline.stopped is None

from __future__ import annotations

import asyncio
import os
import queue
import signal
from typing import TYPE_CHECKING

import pytest
from fakes_mailing import (
    GREY,
    QUOTA,
    Mailing,
    StandingClock,
    answer_by_try,
    counts,
    ended,
    rows,
)
from fakes_provider import FailingProvider, HoldingProvider

from mailblast.delivery.throttle import Rate
from mailblast.errors import (
    AccountError,
    ProviderUnavailableError,
    RunInterruptedError,
)
from mailblast.model.outcome import State
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow
    from mailblast.providers.provider import Provider


@pytest.fixture
def mailing(tmp_path: Path) -> Mailing:
    return Mailing(tmp_path)


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

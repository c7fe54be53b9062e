from __future__ import annotations

import asyncio
import contextlib

import pytest
from fakes import FakeClock

from mailblast.delivery.schedule import LOOK_S, wait_until


async def test_wait_until_comes_back_at_the_time() -> None:
    clock = FakeClock(1000.0)
    assert await wait_until(1100.0, clock)
    assert 1100.0 == clock.now()
    assert [LOOK_S, LOOK_S, LOOK_S, 10.0] == clock.slept


async def test_wait_until_past_does_not_wait() -> None:
    clock = FakeClock(1000.0)
    assert await wait_until(999.0, clock)
    assert [] == clock.slept


async def test_wait_until_clock_set_forward_comes_back_early() -> None:
    class Jumping(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            self.advance(5000.0)

    clock = Jumping(1000.0)
    assert await wait_until(5000.0, clock)
    assert [LOOK_S] == clock.slept


async def test_wait_until_with_stopping_unset_waits_to_the_end() -> None:
    clock = FakeClock(1000.0)
    assert await wait_until(1045.0, clock, stopping=asyncio.Event())
    assert [LOOK_S, 15.0] == clock.slept


async def test_wait_until_stopping_is_set_ends_at_once() -> None:
    stopping = asyncio.Event()
    stopping.set()
    assert not await wait_until(2000.0, FakeClock(1000.0), stopping=stopping)


class Stuck(FakeClock):
    """A clock whose sleepers are never woken."""

    def __init__(self, start_s: float) -> None:
        super().__init__(start_s)
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.asleep.set()
        await asyncio.Event().wait()


async def test_wait_until_stopped_meanwhile_ends_early() -> None:
    clock, stopping = Stuck(1000.0), asyncio.Event()
    waiting = asyncio.create_task(wait_until(2000.0, clock, stopping=stopping))
    await clock.asleep.wait()
    stopping.set()
    assert not await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("stopping", [None, asyncio.Event()])
async def test_wait_until_cancelled_ends(stopping: asyncio.Event | None) -> None:
    clock = Stuck(1000.0)
    waiting = asyncio.create_task(wait_until(2000.0, clock, stopping=stopping))
    await clock.asleep.wait()
    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()

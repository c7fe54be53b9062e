"""Rates, domains and days that several workers keep together, against a real Redis and a recording server."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

import pytest
import redis as client
from servers.mailblast_process import a_list, a_template
from servers.queue_workers import queue_here

from mailblast.clock import SystemClock
from mailblast.delivery.day_limits import Ramp
from mailblast.delivery.pace import LimitReachedError, PaceSettings
from mailblast.delivery.throttle import Rate
from mailblast.executors.queue.limits import SharedPace
from mailblast.executors.queue.shared_days import STEP
from mailblast.executors.queue.shared_rates import AWAY_S
from mailblast.executors.queue.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.fault_server import FaultServer
    from servers.queue_workers import Workers
    from servers.redis_server import RedisServer


class SkewedClock(SystemClock):
    """A clock that is 2 s ahead."""

    def now(self) -> float:
        return time.time() + 2


@pytest.fixture
def store(redis: RedisServer) -> Iterator[Store]:
    store = Store(redis.url, redis.url)
    yield store
    store.close()


def most_in_a_second(times: list[float]) -> int:
    """Return the largest number of these within any second."""
    first, most = 0, 0
    for last, time_s in enumerate(times):
        while times[first] <= time_s - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


async def take(pace: SharedPace, until_s: float, taken: list[float]) -> None:
    """Take permits as a line does."""
    limits = pace.general()
    while time.monotonic() < until_s:
        wait_s = pace.wait_s(limits)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        elif pace.take(limits):
            taken.append(time.monotonic())


@pytest.mark.parametrize(("per_s", "seconds"), [(14, 2.0), (200, 1.5)])
async def test_rate_of_three_one_with_a_wrong_clock_is_kept_and_used(store: Store, per_s: int, seconds: float) -> None:
    settings = PaceSettings((Rate(per_s, 1.0),))
    clocks = (SystemClock(), SkewedClock(), SystemClock())
    used = 0.0
    # One moment may be missed.
    wanted = 0.95 - 1 / (per_s * seconds)
    # Never above the limit; how much of it is used depends on when a shared machine wakes whom, so the best counts.
    for attempt in range(3):
        paces = [SharedPace(settings, clock, store, f"account {attempt}") for clock in clocks]
        taken: list[float] = []
        until_s = time.monotonic() + seconds
        await asyncio.gather(*(take(pace, until_s, taken) for pace in paces))
        taken.sort()
        assert most_in_a_second(taken) <= per_s
        used = max(used, (len(taken) - 1) / (taken[-1] - taken[0]) / per_s)
        if used >= wanted:
            break
    assert used >= wanted


def test_rate_of_three_workers_is_kept_at_the_server_and_used(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    a_template()
    workers.start(3)
    with client.Redis(port=redis.port) as connection:
        workers.until_known(connection)
    for rows, rate in ((24, 14), (300, 200)):
        a_list(rows)
        before = len(server.taken)
        words = ("--wait", "--batch-size", "5", "--rate", f"{rate}/s", "--campaign", f"at{rate}")
        assert {"accepted": rows} == queue_here(server, redis.url, *words).counts
        times = [message.time_s for message in server.taken[before:]]
        # By the receiver's clock: where the machine is busy, some may have been held up on their way.
        assert most_in_a_second(sorted(times)) <= rate + rate // 100
        # In two seconds each moment that was missed shows.
        assert (rows - 1) / (max(times) - min(times)) >= 0.8 * rate


def test_day_is_shared_and_given_back(store: Store) -> None:
    paces = [SharedPace(PaceSettings(daily_cap=3), SystemClock(), store, "account") for _ in range(2)]
    took = [pace.take(pace.general()) for pace in (paces[0], paces[1], paces[0], paces[1])]
    assert [True, True, True, False] == took
    over = paces[1].day_is_over()
    assert isinstance(over, LimitReachedError)
    assert "Daily cap: all 3" in str(over)
    assert "It goes on from" in str(over)
    paces[0].give_back()
    assert paces[0].take(paces[0].general())
    assert paces[0].day_is_over() is None


def test_provider_that_says_what_is_left_is_believed(store: Store) -> None:
    first = SharedPace(PaceSettings(per_day=100), SystemClock(), store, "account")
    assert first.take(first.general())
    second = SharedPace(PaceSettings(per_day=100, left_today=1), SystemClock(), store, "account")
    assert [True, False] == [second.take(second.general()) for _ in range(2)]


def test_warm_up_takes_as_many_as_its_day_allows(store: Store) -> None:
    pace = SharedPace(PaceSettings(ramp=(2, 5)), SystemClock(), store, "account")
    assert [True, True, False] == [pace.take(pace.general()) for _ in range(3)]
    assert "warm-up, day 1 of 2" == pace.general()[0].words


def test_step_of_a_warm_up_is_the_same_at_the_server_and_here(store: Store) -> None:
    found = [store.client.eval(STEP, 1, "ramp", 9, Ramp.PAUSE_DAYS)]
    wanted = [Ramp((1, 2)).step(0, 9, 0)]
    for today in (9, 8, 10, 39, 40, 99, 999):
        store.client.hset("ramp", mapping={"day": 9, "step": 3})
        found.append(store.client.eval(STEP, 1, "ramp", today, Ramp.PAUSE_DAYS))
        wanted.append(Ramp((1, 2)).step(9, today, 3))
    assert wanted == found
    assert [0, 3, 3, 4, 4, 2, 0, 0] == found


def test_domain_has_its_own_rate_beside_that_of_all(store: Store) -> None:
    settings = PaceSettings((Rate(1000, 1.0),), {"example.org": Rate(1, 1.0)})
    paces = [SharedPace(settings, SystemClock(), store, "account") for _ in range(2)]
    assert () == paces[0].of_domain("example.com")

    def tried(pace: SharedPace) -> bool:
        limits = (*pace.of_domain("example.org"), *pace.general())
        time.sleep(max(0.0, pace.wait_s(pace.general())))
        return pace.wait_s(limits) <= 0 and pace.take(limits)

    assert [True, False, False] == [tried(pace) for pace in (paces[0], paces[1], paces[0])]


def test_nothing_is_allowed_while_the_server_is_away(store: Store, redis: RedisServer) -> None:
    settings = PaceSettings((Rate(1000, 1.0),), {"example.org": Rate(5, 1.0)}, daily_cap=10)
    pace = SharedPace(settings, SystemClock(), store, "account")
    limits = (*pace.of_domain("example.org"), *pace.general())
    redis.stop()
    for limit in limits:
        assert not pace.take([limit])
    assert pace.wait_s(limits) > 0
    redis.start()
    ends_s = time.monotonic() + 5
    for _ in itertools.count():
        if pace.wait_s(limits) <= 0 and pace.take(limits):
            break
        assert time.monotonic() < ends_s
        time.sleep(AWAY_S / 10)

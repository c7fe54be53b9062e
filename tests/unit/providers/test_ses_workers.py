from __future__ import annotations

import asyncio
import threading

import pytest

from mailblast.providers.ses.workers import Workers


async def test_results_come_back_on_the_loop_in_groups() -> None:
    got: list[tuple[int, int]] = []
    threads: set[int] = set()
    done = asyncio.Event()

    def results(batch: list[tuple[int, int]]) -> None:
        threads.add(threading.get_ident())
        got.extend(batch)
        if len(got) == 20:
            done.set()

    workers: Workers[int, int] = Workers(20, lambda number: number * 2, results)
    for number in range(20):
        workers.submit(number)
    await asyncio.wait_for(done.wait(), 5)
    assert {number: number * 2 for number in range(20)} == dict(got)
    assert {threading.get_ident()} == threads
    assert (0, 20) == (workers.busy, workers.free)
    assert [] == workers.end()


async def test_no_more_jobs_run_at_once_than_there_are_threads() -> None:
    gate, begun = threading.Semaphore(0), threading.Semaphore(0)
    running = 0
    most = 0
    lock = threading.Lock()

    def work(_: int) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        begun.release()
        gate.acquire()
        with lock:
            running -= 1

    done = asyncio.Event()
    count = 0

    def results(batch: list[tuple[int, None]]) -> None:
        nonlocal count
        count += len(batch)
        if count == 6:
            done.set()

    workers: Workers[int, None] = Workers(2, work, results)
    for number in range(6):
        workers.submit(number)
    assert -4 == workers.free
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    gate.release(6)
    await asyncio.wait_for(done.wait(), 5)
    assert 2 == most
    workers.end()


async def test_end_takes_back_what_no_thread_has_begun() -> None:
    begun, gate = threading.Event(), threading.Event()
    results: list[object] = []

    def work(_: int) -> None:
        begun.set()
        gate.wait()

    workers: Workers[int, None] = Workers(1, work, results.extend)
    for number in range(3):
        workers.submit(number)
    await asyncio.to_thread(begun.wait)
    assert [1, 2] == workers.end()
    gate.set()
    await asyncio.sleep(0.01)
    workers.collect()
    assert [] == results


def test_result_after_the_end_of_the_loop_is_dropped() -> None:
    gate = threading.Event()

    async def start() -> None:
        workers: Workers[int, bool] = Workers(1, lambda _: gate.wait(), lambda _: pytest.fail("nobody waits"))
        workers.submit(1)

    asyncio.run(start())
    before = threading.active_count()
    gate.set()
    for thread in threading.enumerate():
        if thread.name.startswith("ses-"):
            thread.join(5)
    assert threading.active_count() < before

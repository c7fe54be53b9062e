from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import ListError
from mailblast.executors.reading import chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

BOTH = pytest.mark.parametrize("may_block", [False, True])


class Pipe:
    """Items that come when the test says so; reading waits for them."""

    def __init__(self) -> None:
        self.items: queue.Queue[int | None] = queue.Queue()
        self.threads: set[str] = set()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.threads.add(threading.current_thread().name)
        item = self.items.get()
        if item is None:
            raise StopIteration
        return item


def broken_after(count: int) -> Iterator[int]:
    yield from range(count)
    raise ListError("row 8: broken")


async def read_all(items: Iterator[int], size: int, *, may_block: bool) -> list[list[int]]:
    return [chunk async for chunk in chunks(items, size, may_block=may_block, until=asyncio.Event())]


@BOTH
@pytest.mark.parametrize(
    ("count", "expected"), [(0, []), (1, [[0]]), (3, [[0, 1, 2]]), (4, [[0, 1, 2], [3]]), (6, [[0, 1, 2], [3, 4, 5]])]
)
async def test_chunks_hold_at_most_their_size(*, may_block: bool, count: int, expected: list[list[int]]) -> None:
    read = await read_all(iter(range(count)), 3, may_block=may_block)
    assert max(map(len, read), default=0) <= 3
    assert list(range(count)) == [item for chunk in read for item in chunk]
    assert may_block or expected == read


@BOTH
@pytest.mark.parametrize("count", [0, 2, 3, 7])
async def test_error_comes_after_what_was_read_before(*, may_block: bool, count: int) -> None:
    read: list[int] = []

    async def read_on() -> None:
        async for chunk in chunks(broken_after(count), 3, may_block=may_block, until=asyncio.Event()):
            read.extend(chunk)

    with pytest.raises(ListError, match="row 8"):
        await read_on()
    assert list(range(count)) == read


async def test_nothing_of_a_file_is_read_ahead_of_what_is_asked_for() -> None:
    items = iter(range(100))
    async with contextlib.aclosing(chunks(items, 3, may_block=False, until=asyncio.Event())) as reading:
        assert [0, 1, 2] == await anext(reading)
        await asyncio.sleep(0.01)
        assert next(items) == 3


async def test_pipe_is_read_ahead_by_one_chunk_at_most() -> None:
    items = iter(range(100))
    async with contextlib.aclosing(chunks(items, 3, may_block=True, until=asyncio.Event())) as reading:
        first = await anext(reading)
        await asyncio.sleep(0.05)
        assert next(items) <= len(first) + 3


@BOTH
async def test_until_set_before_yields_nothing(*, may_block: bool) -> None:
    until, items = asyncio.Event(), iter(range(9))
    until.set()
    assert [] == [chunk async for chunk in chunks(items, 3, may_block=may_block, until=until)]


@BOTH
async def test_until_set_between_chunks_ends_reading(*, may_block: bool) -> None:
    until = asyncio.Event()
    read = []
    async for chunk in chunks(iter(range(9)), 3, may_block=may_block, until=until):
        read.append(chunk)
        until.set()
    assert len(read) == 1


async def test_pipe_that_pauses_holds_nothing_back() -> None:
    pipe = Pipe()
    async with contextlib.aclosing(chunks(pipe, 100, may_block=True, until=asyncio.Event())) as reading:
        for item in (1, 2):
            pipe.items.put(item)
            assert [item] == await asyncio.wait_for(anext(reading), 5)
        pipe.items.put(None)
        assert [] == [chunk async for chunk in reading]


async def test_pipe_is_read_on_a_thread_while_the_loop_goes_on() -> None:
    pipe = Pipe()
    reading = asyncio.create_task(read_all(pipe, 2, may_block=True))
    await asyncio.sleep(0.01)
    assert not reading.done()
    for item in (1, 2, 3, None):
        pipe.items.put(item)
    assert [1, 2, 3] == [item for chunk in await asyncio.wait_for(reading, 5) for item in chunk]
    assert {"list reader"} == pipe.threads


async def test_until_ends_a_blocked_read_at_once() -> None:
    pipe, until = Pipe(), asyncio.Event()

    async def read() -> list[list[int]]:
        return [chunk async for chunk in chunks(pipe, 2, may_block=True, until=until)]

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    started = time.monotonic()
    until.set()
    assert [] == await asyncio.wait_for(reading, 5)
    assert time.monotonic() - started < 1
    pipe.items.put(None)


async def test_cancelled_reader_leaves_no_task_behind() -> None:
    pipe = Pipe()
    reading = asyncio.create_task(read_all(pipe, 2, may_block=True))
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.sleep(0)
    assert {asyncio.current_task()} == asyncio.all_tasks()
    pipe.items.put(None)


def test_read_that_ends_after_its_loop_is_gone_is_harmless() -> None:
    pipe = Pipe()
    earlier = set(threading.enumerate())

    async def read() -> list[threading.Thread]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(read_all(pipe, 2, may_block=True), 0.01)
        return [thread for thread in threading.enumerate() if thread not in earlier and thread.name == "list reader"]

    (reader,) = asyncio.run(read())
    assert reader.is_alive()
    pipe.items.put(None)
    reader.join(5)
    assert not reader.is_alive()


async def test_thread_ends_with_the_reading() -> None:
    readers: list[threading.Thread] = []
    async with contextlib.aclosing(chunks(iter(range(9)), 3, may_block=True, until=asyncio.Event())) as reading:
        await anext(reading)
        readers += [thread for thread in threading.enumerate() if thread.name == "list reader"]
    assert readers
    for reader in readers:
        await asyncio.to_thread(reader.join, 5)
    assert not any(reader.is_alive() for reader in readers)

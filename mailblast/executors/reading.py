"""The list in chunks, without ever stopping the event loop for a slow pipe."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from mailblast.lists.chunks import read_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
    from contextlib import AbstractContextManager

    from mailblast.lists.chunks import Chunk

T = TypeVar("T")


async def chunks(
    items: Iterator[T], size: int, *, may_block: bool, until: asyncio.Event
) -> AsyncGenerator[list[T], None]:
    """Yield lists of at most ``size`` items.

    Args:
        items: Read only as far as asked for.
        size: At least 1.
        until: Once set, nothing more is read, and what is being read is not waited for.
        may_block: True for pipes: reading happens on a thread, so that what is in flight goes on meanwhile. A file
            is read in place, which is faster.

    Raises:
        MailblastError: Whatever reading raises, after everything before it was yielded.
    """
    with _thread_reader(items, size, until) if may_block else _place_reader(items, size) as read:
        while not until.is_set():
            chunk, error = await read()
            if chunk:
                yield chunk
            if error is not None:
                raise error
            if not chunk:
                return


def _place_reader(items: Iterator[T], size: int) -> AbstractContextManager[Callable[[], Awaitable[Chunk[T]]]]:
    async def read() -> Chunk[T]:
        await asyncio.sleep(0)
        return read_chunk(items, size)

    return contextlib.nullcontext(read)


class _End(NamedTuple):
    """The end of the items, and the error that made it."""

    error: Exception | None


@contextlib.contextmanager
def _thread_reader(items: Iterator[T], size: int, until: asyncio.Event) -> Iterator[Callable[[], Awaitable[Chunk[T]]]]:
    """Give what there is: a pipe that pauses must not hold back what it gave. Reads ahead by ``size`` at most."""
    loop = asyncio.get_running_loop()
    came: deque[T | _End] = deque()
    arrived = asyncio.Event()
    room = threading.Semaphore(size)
    left = threading.Event()

    def work() -> None:
        item: T | _End | None = None
        while not isinstance(item, _End):
            room.acquire()
            if left.is_set():
                return
            chunk, error = read_chunk(items, 1)
            item = chunk[0] if chunk else _End(error)
            came.append(item)
            # The loop may be gone: the run ended while this read was still waiting for its pipe.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(arrived.set)

    # A daemon: a read that never returns must not hold the end of the program.
    threading.Thread(target=work, name="list reader", daemon=True).start()

    async def read() -> Chunk[T]:
        while not came and not until.is_set():
            await _first_of(arrived, until)
            arrived.clear()
        chunk: list[T] = []
        while came and len(chunk) < size:
            item = came[0]
            if isinstance(item, _End):
                return chunk, None if chunk else item.error
            chunk.append(item)
            came.popleft()
            room.release()
        return chunk, None

    try:
        yield read
    finally:
        left.set()
        room.release()


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()

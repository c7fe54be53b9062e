"""The list in chunks, without ever stopping the event loop for a slow pipe."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, TypeVar

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
            if len(chunk) < size:
                return


def _place_reader(items: Iterator[T], size: int) -> AbstractContextManager[Callable[[], Awaitable[Chunk[T]]]]:
    async def read() -> Chunk[T]:
        await asyncio.sleep(0)
        return read_chunk(items, size)

    return contextlib.nullcontext(read)


@contextlib.contextmanager
def _thread_reader(items: Iterator[T], size: int, until: asyncio.Event) -> Iterator[Callable[[], Awaitable[Chunk[T]]]]:
    loop = asyncio.get_running_loop()
    #: True for one more chunk, False for the end.
    wanted: queue.SimpleQueue[bool] = queue.SimpleQueue()
    came: asyncio.Queue[Chunk[T]] = asyncio.Queue()

    def work() -> None:
        while wanted.get():
            chunk = read_chunk(items, size)
            # The loop may be gone: the run ended while this read was still waiting for its pipe.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(came.put_nowait, chunk)

    # A daemon: a read that never returns must not hold the end of the program.
    threading.Thread(target=work, name="list reader", daemon=True).start()

    async def read() -> Chunk[T]:
        wanted.put(True)
        coming, ended = asyncio.ensure_future(came.get()), asyncio.ensure_future(until.wait())
        try:
            await asyncio.wait({coming, ended}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else ([], None)
        finally:
            coming.cancel()
            ended.cancel()

    try:
        yield read
    finally:
        wanted.put(False)

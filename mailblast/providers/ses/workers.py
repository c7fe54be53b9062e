"""Threads for calls that block, and their results back on the event loop, many at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

J = TypeVar("J")
R = TypeVar("R")


class Workers(Generic[J, R]):
    """At most so many jobs at once, each in a thread.

    Threads are daemons: one that waits for an answer that nobody wants any more does not hold up the program's end.

    Args:
        count: Threads at most; they start as they are needed.
        work: Does one job, in a thread; must not raise.
        on_results: Called on the event loop with what is done since the last call.
    """

    def __init__(self, count: int, work: Callable[[J], R], on_results: Callable[[list[tuple[J, R]]], None]) -> None:
        self._count = count
        self._work = work
        self._on_results = on_results
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[tuple[J] | None] = SimpleQueue()
        self._results: deque[tuple[J, R]] = deque()
        self._threads: list[Thread] = []
        self._woken = False
        #: Jobs handed in, whose results have not been handed out.
        self.busy = 0

    @property
    def free(self) -> int:
        """Jobs that could start at once."""
        return self._count - self.busy

    def submit(self, job: J) -> None:
        """Have a job done; on the event loop only, and while ``free`` is over zero."""
        self.busy += 1
        if len(self._threads) < min(self.busy, self._count):
            thread = Thread(target=self._run, name=f"ses-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._jobs.put((job,))

    def collect(self) -> None:
        """Hand out the results that are there."""
        self._woken = False
        results = []
        while self._results:
            results.append(self._results.popleft())
        self.busy -= len(results)
        if results:
            self._on_results(results)

    def end(self) -> list[J]:
        """Take back and return the jobs that no thread has begun; results of the others are dropped from now on."""
        waiting: list[J] = []
        with contextlib.suppress(Empty):
            while True:
                waiting += self._jobs.get_nowait() or ()
        for _ in self._threads:
            self._jobs.put(None)
        self._on_results = _drop
        return waiting

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            result = self._work(item[0])
            self._results.append((item[0], result))
            # One wake for all results until the loop comes to them; it says that it does before it takes them.
            if not self._woken and not self._wake():
                return

    def _wake(self) -> bool:
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self.collect)
        except RuntimeError:
            # The loop is closed: nobody waits for this any more.
            return False
        return True


def _drop(_results: object) -> None:
    pass

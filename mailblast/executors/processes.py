"""Batches on several local processes, each with its own event loop and connections.

The parent reads, claims and folds; a child renders, sends and keeps its own segment. A child that dies is replaced: its
segment tells what became of its batches, and what it had not begun goes to another one.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Self

from mailblast.errors import MailblastError, ProviderUnavailableError, RunInterruptedError
from mailblast.executors.frames import Channel
from mailblast.executors.gathering import Gathering
from mailblast.model.outcome import Outcome, State, unsent
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.executors.child import ChildWork
    from mailblast.executors.executor import OnDone, OnOutcome
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Claim

#: Deaths of children without a batch finished in between, after which the run stops.
MAX_DEATHS_IN_ROW = 3
#: Batches that a child should have beside the one it works on.
BATCHES_AHEAD = 2


class Child:
    """One process as the parent sees it."""

    def __init__(self, index: int, process: subprocess.Popen[bytes], channel: Channel) -> None:
        #: Which share of connections and rate it has.
        self.index = index
        self.process = process
        self.channel = channel
        #: Batches under way, by the id of their first claim.
        self.batches: dict[int, Batch] = {}
        #: Ids that it still carries in its segment.
        self.carried: list[int] = []


class ProcessesExecutor:
    """Run batches in child processes; see ``Executor``.

    Args:
        command: Returns the command that starts child number n, given n and the descriptor that it is to serve.
        work: Sent to each child at its start.
        journal: Open; its lock is inherited by the children, so that the campaign stays held while one may still send.
        clock: Times of outcomes that are made here.
        count: How many children.
        batches_in_flight: ``submit()`` waits while so many are under way; raised so that no child is left waiting.
        on_outcome: Called for each outcome, when its batch is done.
        on_done: Called with the outcomes of finished batches, several at a time, to fold them.
    """

    def __init__(
        self,
        command: Callable[[int, int], list[str]],
        work: ChildWork,
        journal: Journal,
        clock: Clock,
        *,
        count: int,
        batches_in_flight: int,
        on_outcome: OnOutcome,
        on_done: OnDone,
    ) -> None:
        self.stopping = asyncio.Event()
        self.stopped: MailblastError | None = None
        self._command = command
        self._work = work
        self._journal = journal
        self._clock = clock
        self._count = count
        self._limit = max(batches_in_flight, count * BATCHES_AHEAD)
        self._on_outcome = on_outcome
        self._gathering = Gathering(on_done, clock)
        self._children: set[Child] = set()
        self._watching: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._sequence = 0
        self._deaths = 0
        self._ending = False
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        for index in range(self._count):
            await self._start(index)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            stop = error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off.")
            self.stop(stop)
        try:
            await self.drain()
        finally:
            self._ending = True
            for child in self._children:
                child.channel.send("end")
            await asyncio.gather(*self._watching, return_exceptions=True)

    async def submit(self, batch: Batch) -> None:
        """Give a batch to the child that has the fewest; wait first while too many are under way."""
        while self._under_way() >= self._limit and self._failure is None:
            await self._change()
        self._give(batch.claims)

    async def drain(self) -> None:
        """Wait until every batch has its outcomes."""
        while self._under_way() and self._failure is None:
            await self._change()
        if self._failure is not None:
            raise self._failure
        try:
            self._gathering.flush()
            self._tell_settled()
        except MailblastError as error:
            self.stop(error)

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more; what is in flight finishes, all else is unsent. The first reason stays."""
        if self.stopped is not None:
            return
        self.stopped = reason
        self.stopping.set()
        for child in self._children:
            child.channel.send("stop", reason)

    def abort(self) -> None:
        """Have every child cut its connections."""
        for child in self._children:
            child.channel.send("abort")

    def _under_way(self) -> int:
        return sum(len(child.batches) for child in self._children)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _start(self, index: int) -> None:
        process, ours = self._spawn(index)
        child = Child(index, process, Channel(*await asyncio.open_connection(sock=ours)))
        child.channel.send("work", self._work)
        self._children.add(child)
        self._watching.add(asyncio.create_task(self._watch(child)))

    def _spawn(self, index: int) -> tuple[subprocess.Popen[bytes], socket.socket]:
        """Start a process in a session of its own: Ctrl-C is the parent's to hear."""
        ours, theirs = socket.socketpair()
        lock = self._journal.lock_descriptor()
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                self._command(index, theirs.fileno()),
                pass_fds=[theirs.fileno()] if lock is None else [theirs.fileno(), lock],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return process, ours

    def _give(self, claims: Sequence[Claim]) -> None:
        if self.stopped is not None or not self._children:
            self._finish([unsent(claim, self._clock.now()) for claim in claims])
            return
        child = min(self._children, key=lambda each: len(each.batches))
        self._sequence += 1
        batch = Batch(self._sequence, tuple(claims))
        child.batches[claims[0].id] = batch
        child.channel.send("batch", batch)

    async def _watch(self, child: Child) -> None:
        try:
            while (message := await child.channel.receive()) is not None:
                self._take(child, *message)
            await self._bury(child)
        except BaseException as error:
            # A defect: whoever waits for a batch must not wait for ever.
            self._failure = error
            raise
        finally:
            self._changed.set()

    def _take(self, child: Child, kind: str, value: Any) -> None:
        if kind == "stopped":
            self.stop(value)
        elif kind == "done":
            del child.batches[value[0].id]
            self._deaths = 0
            child.carried += [outcome.id for outcome in value]
            self._finish(value)
            self._changed.set()

    def _finish(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._on_outcome(outcome)
        try:
            if self._gathering.add(outcomes):
                self._tell_settled()
        except MailblastError as error:
            self.stop(error)

    def _tell_settled(self) -> None:
        """Let the children forget what is in the keyed table now; never before it is."""
        for child in self._children:
            child.channel.send("settled", child.carried)
            child.carried = []

    async def _bury(self, child: Child) -> None:
        """Settle what a child that is gone has left, and replace it."""
        self._children.discard(child)
        await asyncio.to_thread(child.process.wait)
        await child.channel.close()
        if self._ending and not child.batches:
            return
        self._deaths += 1
        left: list[Claim] = []
        for batch in child.batches.values():
            outcomes = self._journal.outcomes_of(child.process.pid, batch.claims)
            settled = [outcome for outcome in outcomes if outcome.state is not State.UNSENT]
            if settled:
                self._finish(settled)
            known = {outcome.id for outcome in settled}
            left += [claim for claim in batch.claims if claim.id not in known]
        child.batches.clear()
        if self._deaths > MAX_DEATHS_IN_ROW:
            self.stop(
                ProviderUnavailableError(
                    f"Processes died {self._deaths} times in a row, the last with code {child.process.returncode}.",
                    fix="Look for what killed them (memory?), or run with --processes 1.",
                )
            )
        elif self.stopped is None and not self._ending:
            await self._start(child.index)
        if left:
            self._give(left)

"""Batches on several local processes, each with its own event loop and connections.

The parent reads, claims and folds; a child renders, sends and keeps its own segment. A child that dies is replaced: its
segment tells what became of its batches, and what it had not begun goes to another one.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
from typing import TYPE_CHECKING, Any, Self

from mailblast.delivery.pipeline import MAX_PARKED
from mailblast.errors import MailblastError, ProviderUnavailableError, RunInterruptedError
from mailblast.executors.frames import Channel
from mailblast.executors.gathering import Gathering
from mailblast.executors.spares import not_started
from mailblast.model.outcome import Outcome, State, unsent
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.executors.child import ChildWork
    from mailblast.executors.executor import OnDone, OnOutcome
    from mailblast.executors.spares import Process, Spare
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Claim

#: Deaths of one child without a batch finished in between, after which the run stops.
MAX_DEATHS_IN_ROW = 3
#: Batches that each child should have: the one it works on, and the next.
BATCHES_EACH = 6
#: Claims that waited for slow domains in a process that is gone, and go to another one in one batch.
LATE_AT_ONCE = 100
#: Children that are told to abort and have not ended by then are killed; their segments tell what they did.
ABORT_S = 5.0


class Child:
    """One process as the parent sees it, and the one that takes its place when it dies."""

    process: Process
    channel: Channel

    def __init__(self, index: int) -> None:
        #: Which share of the connections it has.
        self.index = index
        #: Batches under way, by the id of their first claim; also while it is dead and not replaced yet.
        self.batches: dict[int, Batch] = {}
        #: Claims of batches whose rest waits for slow domains, by their ids; they hold up nobody.
        self.late: dict[int, Claim] = {}
        #: What it waits for.
        self.limiting = ""
        #: Ids that it still carries in its segment.
        self.carried: list[int] = []
        #: Deaths since it finished a batch.
        self.deaths = 0


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
        spares: Processes made ahead, which are told the last word of the command. Whoever made them ends those that are
            not needed.
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
        spares: Sequence[Spare] = (),
    ) -> None:
        self.stopping = asyncio.Event()
        self.stopped: MailblastError | None = None
        self._command = command
        self._work = work
        self._journal = journal
        self._clock = clock
        self._count = count
        self._limit = max(batches_in_flight, count * BATCHES_EACH)
        self._on_outcome = on_outcome
        self._gathering = Gathering(on_done, clock)
        self._spares = list(spares)
        self._children: list[Child] = []
        self._watching: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._sequence = 0
        self._ending = False
        self._failure: BaseException | None = None

    async def __aenter__(self) -> Self:
        try:
            for index in range(self._count):
                child = Child(index)
                await self._start(child)
                self._children.append(child)
                self._watching.append(asyncio.create_task(self._watch(child)))
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop(_reason(error))
        try:
            await self.drain()
        finally:
            await self._end()

    async def submit(self, batch: Batch) -> None:
        """Give a batch to the child that has the fewest; wait first while too many are under way."""
        while self._failure is None and (
            self._under_way() >= self._limit or (batch.sequence < 0 and self._late() >= MAX_PARKED)
        ):
            await self._change()
        self._give(batch.claims, again=batch.sequence < 0)

    async def drain(self) -> None:
        """Wait until every batch has its outcomes."""
        while (self._under_way() or self._late()) and self._failure is None:
            await self._change()
        if self._failure is not None:
            raise self._failure
        try:
            self._gathering.flush()
            self._tell_settled()
        except MailblastError as error:
            self._keep_carrying()
            self.stop(error)

    def limiting(self) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it."""
        return ", ".join(sorted({child.limiting for child in self._children} - {""}))

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more; what is in flight finishes, all else is unsent. The first reason stays."""
        if self.stopped is not None:
            return
        self.stopped = reason
        self.stopping.set()
        for child in self._children:
            child.channel.send("stop", reason)

    def abort(self) -> None:
        """Have every child cut its connections, and soon kill those that do not hear."""
        for child in self._children:
            child.channel.send("abort")
        asyncio.get_running_loop().call_later(ABORT_S, self._kill)

    def _kill(self) -> None:
        for child in self._children:
            child.process.kill()

    async def _end(self) -> None:
        """Let all children end; none is left when this returns."""
        self._ending = True
        for child in self._children:
            child.channel.send("end")
        await asyncio.gather(*self._watching, return_exceptions=True)

    def _under_way(self) -> int:
        return sum(len(child.batches) for child in self._children)

    def _late(self) -> int:
        return sum(len(child.late) for child in self._children)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    async def _start(self, child: Child) -> None:
        ours = self._spawn(child)
        channel = Channel(*await asyncio.open_connection(sock=ours))
        channel.send("work", self._work)
        # What it was not there to hear.
        if self.stopped is not None:
            channel.send("stop", self.stopped)
        for batch in child.batches.values():
            channel.send("batch", batch)
        if self._ending:
            channel.send("end")
        child.channel = channel

    def _spawn(self, child: Child) -> socket.socket:
        """Start a process in a session of its own: Ctrl-C is the parent's to hear."""
        lock = self._journal.lock_descriptor()
        if self._spares:
            child.process = spare = self._spares.pop()
            try:
                return spare.begin(self._command(child.index, 0), lock)
            except OSError:
                # It was killed while it waited; nothing is lost with it.
                spare.wait()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                child.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    self._command(child.index, theirs.fileno()),
                    pass_fds=[theirs.fileno()] if lock is None else [theirs.fileno(), lock],
                    stdin=subprocess.DEVNULL,
                    # The run's own, which may be a pipe that must not stay open behind it.
                    stdout=subprocess.DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise not_started(error) from error
        return ours

    def _give(self, claims: Sequence[Claim], *, again: bool = False) -> None:
        if self.stopped is not None:
            self._finish([unsent(claim, self._clock.now()) for claim in claims])
            return
        # One that is being replaced may be given some too: they go to the new process.
        child = min(self._children, key=lambda each: len(each.batches))
        self._sequence += 1
        batch = Batch(-1 if again else self._sequence, tuple(claims))
        child.batches[claims[0].id] = batch
        child.channel.send("batch", batch)

    async def _watch(self, child: Child) -> None:
        """Follow one process after the other until the run ends."""
        try:
            while True:
                while (message := await child.channel.receive()) is not None:
                    self._take(child, *message)
                await asyncio.to_thread(child.process.wait)
                await child.channel.close()
                if child.batches or child.late or not self._ending:
                    self._bury(child)
                if self.stopped is not None or self._ending:
                    return
                await self._start(child)
        except BaseException as error:
            # Whoever waits for a batch must not wait for ever, and nobody may send unwatched.
            self._failure = error
            self.stop(_reason(error))
            child.process.kill()
            child.process.wait()
            raise
        finally:
            self._changed.set()

    def _take(self, child: Child, kind: str, value: Any) -> None:
        if kind == "stopped":
            self.stop(value)
        elif kind == "late":
            child.late.update((claim.id, claim) for claim in child.batches.pop(value).claims)
            self._changed.set()
        elif kind == "limiting":
            child.limiting = value
        elif kind == "done":
            if child.batches.pop(value[0].id, None) is None:
                for outcome in value:
                    child.late.pop(outcome.id, None)
            child.deaths = 0
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
            self._keep_carrying()
            self.stop(error)

    def _tell_settled(self) -> None:
        """Let the children forget what is in the keyed table now; never before it is."""
        for child in self._children:
            if child.carried:
                child.channel.send("settled", child.carried)
                child.carried = []

    def _keep_carrying(self) -> None:
        """Never tell about outcomes that were to be folded and are not: the segments alone have them."""
        for child in self._children:
            child.carried = []

    def _bury(self, child: Child) -> None:
        """Settle what a process that is gone has left; what it had not begun is begun anew."""
        child.deaths += 1
        child.carried = []
        if child.deaths > MAX_DEATHS_IN_ROW:
            self.stop(
                ProviderUnavailableError(
                    f"A process died {child.deaths} times in a row, at last with code {child.process.returncode}.",
                    fix="Look for what killed it (memory?), or run with --processes 1.",
                )
            )
        claims = [claim for batch in child.batches.values() for claim in batch.claims]
        claims += child.late.values()
        outcomes = self._journal.outcomes_of(child.process.pid, claims)
        settled = [outcome for outcome in outcomes if outcome.state is not State.UNSENT]
        known = {outcome.id for outcome in settled}
        batches = [batch.claims for batch in child.batches.values()]
        late = tuple(child.late.values())
        batches += [late[start : start + LATE_AT_ONCE] for start in range(0, len(late), LATE_AT_ONCE)]
        child.batches.clear()
        child.late.clear()
        child.limiting = ""
        if settled:
            self._finish(settled)
        for batch in batches:
            if left := [claim for claim in batch if claim.id not in known]:
                # Not numbered: none of them is to come back unsent.
                self._give(left, again=True)
        self._changed.set()


def _reason(error: BaseException) -> MailblastError:
    return error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off.")

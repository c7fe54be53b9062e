"""From ``Deliveries`` to calls and back: takes what there is, has a few calls made at once, settles each message."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import ProviderUnavailableError
from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.ses.calls import Broken, Result, perform
from mailblast.providers.ses.settling import IN_DOUBT, NOT_SENT, Settling
from mailblast.providers.ses.workers import Workers

if TYPE_CHECKING:
    from mailblast.clock import Clock
    from mailblast.model.message import Message
    from mailblast.providers.provider import Deliveries
    from mailblast.providers.ses.grouping import Grouping
    from mailblast.providers.ses.requests import Entry, RequestWriter

#: Calls in a row that found nobody to talk to, before SES counts as gone.
MAX_UNREACHED_IN_ROW = 5
#: Calls in a row whose answer was lost, before SES counts as gone.
MAX_LOST_IN_ROW = 5
#: Messages taken between two turns of the event loop for others.
MESSAGES_A_TURN = 50

SMTPUTF8 = Attempt(
    Disposition.PERMANENT,
    Reply(0, "5.6.7", "Amazon SES takes no address with letters outside ASCII in front of the @", Stage.REQUEST),
    Scope.RECIPIENT,
)


class Unreadable(NamedTuple):
    """A message that could not be put together: a file that goes with it cannot be read."""

    text: str


class Call(NamedTuple):
    """One call to be made."""

    messages: tuple[Message, ...]
    #: Empty for a message that goes as it is.
    entries: tuple[Entry, ...] = ()


class Memory:
    """What a provider keeps between two ``deliver()``."""

    def __init__(self) -> None:
        #: Messages that were in a call of many which failed, and come alone the next time.
        self.alone: set[int] = set()
        #: An answer was lost, and none has come since: one recipient a call until then.
        self.careful = False


class Sending:
    """One ``deliver()``.

    Args:
        deliveries: Where messages come from.
        client: Shared by all threads.
        writer: Writes requests.
        grouping: Gathers messages for calls of many; None where each goes by itself.
        calls_at_once: Threads.
        memory: Of the provider.
        clock: Durations.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        client: Any,
        writer: RequestWriter,
        grouping: Grouping | None,
        calls_at_once: int,
        memory: Memory,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._client = client
        self._writer = writer
        self._grouping = grouping
        self._memory = memory
        self._clock = clock
        self._settling = Settling(clock)
        self._workers: Workers[Call, Result | Unreadable] = Workers(calls_at_once, self._make, self._answered)
        #: To be made, oldest first.
        self._ready: deque[Call] = deque()
        #: Taken, not finished: when.
        self._held: dict[int, tuple[Message, float]] = {}
        #: Of these, those whose marks are on file. What comes back from a call of many keeps its mark.
        self._begun: set[int] = set()
        #: Of these, those in a call that the threads have: they may be complete at SES.
        self._called: set[int] = set()
        #: Calls that wait for their marks.
        self._being_marked = 0
        self._freed = asyncio.Event()
        self._waiting: asyncio.Future[bool] | None = None
        self._failure: BaseException | None = None
        self._ended = False
        self._failed: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._unreached = self._lost = 0

    async def run(self) -> None:
        """Send until there is nothing more; see ``Provider.deliver``."""
        try:
            await self._send()
        except asyncio.CancelledError:
            self._ended = True
            self._workers.collect()
            raise
        finally:
            # Marks may come on file later, for messages that are given back now.
            self._ended = True
            # Whatever is still held is over: what a thread has begun may be complete at SES.
            self._release(self._workers.end())
            if self._waiting is not None:
                self._waiting.cancel()
        if self._failure is not None:
            raise self._failure

    @property
    def _is_over(self) -> bool:
        """Whether no further call may start."""
        return self._ended or self._failure is not None

    @property
    def _free(self) -> int:
        """How many more calls may start."""
        return self._workers.free - self._being_marked

    async def _send(self) -> None:
        while await self._may_take():
            if not self._take() and not await self._more():
                break
            # Others have their turn, too.
            await asyncio.sleep(0)
        if self._grouping is not None:
            # Taken, and stopped before it was sent.
            for entry in self._grouping.drop():
                self._finish(entry.message, NOT_SENT)
        while self._workers.busy or self._being_marked or (self._ready and self._failure is None):
            self._start()
            if self._workers.busy or self._being_marked:
                await self._some_freed()

    async def _may_take(self) -> bool:
        """Wait until a call could start at once; False where nothing more may start."""
        while self._failure is None and (self._ready or not self._free):
            self._start()
            if self._ready or not self._free:
                await self._some_freed()
        return self._failure is None

    async def _some_freed(self) -> None:
        self._freed.clear()
        await self._freed.wait()

    async def _more(self) -> bool:
        """Wait for messages, a group that has waited long enough, or a failure; False where none will come any more."""
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._deliveries.wait())
        until: set[asyncio.Future[Any]] = {self._waiting, self._failed}
        linger_s = self._grouping.linger_s(self._clock.monotonic()) if self._grouping is not None else None
        if linger_s is not None:
            lingering = asyncio.ensure_future(self._clock.sleep(linger_s))
            until.add(lingering)
        try:
            await asyncio.wait(until, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if linger_s is not None:
                lingering.cancel()
        if not self._waiting.done():
            return True
        waiting, self._waiting = self._waiting, None
        return waiting.result()

    def _take(self) -> bool:
        """Take what there is and start what can start; return whether there was anything."""
        taken = 0
        free = self._free
        while taken < MESSAGES_A_TURN and len(self._ready) < free:
            message = self._deliveries.take()
            if message is None:
                break
            taken += 1
            now = self._clock.monotonic()
            self._held[message.id] = message, now
            if message.needs_smtputf8:
                self._finish(message, SMTPUTF8)
            else:
                self._ready += self._calls_for(message, now)
        if self._grouping is not None:
            self._ready += map(_many, self._grouping.due(self._clock.monotonic()))
        is_something = taken > 0 or bool(self._ready)
        self._start()
        return is_something

    def _calls_for(self, message: Message, now: float) -> list[Call]:
        grouping = self._grouping
        if grouping is None or self._memory.careful or message.id in self._memory.alone:
            return [Call((message,))]
        entry = self._writer.entry(message)
        if entry is None:
            return [Call((message,))]
        return [_many(entries) for entries in grouping.add(entry, now)]

    def _start(self) -> None:
        """Hand calls to the threads, with a mark on file for each message first."""
        marked: list[Call] = []
        fresh: list[Call] = []
        while self._ready and not self._is_over and len(marked) + len(fresh) < self._free:
            call = self._ready.popleft()
            # What comes again does so alone: no call is marked by half.
            (marked if self._begun.issuperset(message.id for message in call.messages) else fresh).append(call)
        written = None
        try:
            if fresh:
                for call in fresh:
                    for message in call.messages:
                        self._deliveries.begin(message)
                written = self._deliveries.commit()
        except Exception as error:  # noqa: BLE001 - nothing of this turn may leave, whatever went wrong
            self._fail(error)
            self._give_back([*marked, *fresh])
            return
        self._submit(marked)
        if written is None:
            self._submit(fresh)
        else:
            self._being_marked += len(fresh)
            written.add_done_callback(functools.partial(self._marked, fresh))

    def _marked(self, calls: list[Call], written: asyncio.Future[Any]) -> None:
        """Make calls whose marks are on file by now, or else none of them."""
        self._being_marked -= len(calls)
        error = asyncio.CancelledError() if written.cancelled() else written.exception()
        if error is not None:
            self._fail(error)
        if not self._is_over:
            self._submit(calls)
        else:
            self._give_back(calls)
        self._freed.set()

    def _submit(self, calls: list[Call]) -> None:
        for call in calls:
            ids = [message.id for message in call.messages]
            self._begun.update(ids)
            self._called.update(ids)
            self._workers.submit(call)

    def _give_back(self, calls: list[Call]) -> None:
        for call in calls:
            for message in call.messages:
                # Else it was given back when the run ended.
                if message.id in self._held:
                    self._finish(message, NOT_SENT)

    def _make(self, call: Call) -> Result | Unreadable:
        """Make one call; in a thread."""
        if call.entries:
            return perform(self._client.send_bulk_email, self._writer.many(list(call.entries)))
        try:
            request = self._writer.single(call.messages[0])
        except OSError as error:
            return Unreadable(str(error))
        return perform(self._client.send_email, request)

    def _answered(self, results: list[tuple[Call, Result | Unreadable]]) -> None:
        for call, result in results:
            self._count(result)
            self._settle(call, result)
        # Whoever takes messages may be waiting for some, and what came back from a call of many must not wait for that.
        self._start()
        self._freed.set()

    def _settle(self, call: Call, result: Result | Unreadable) -> None:
        if isinstance(result, Unreadable):
            self._finish(call.messages[0], NOT_SENT._replace(scope=Scope.MESSAGE))
            return
        held = [self._held[message.id] for message in call.messages]
        settled = self._settling.of(held, result, many=bool(call.entries))
        if settled.alone_next_time:
            self._memory.alone.update(message.id for message, _ in settled.attempts)
        for message, attempt in settled.attempts:
            self._finish(message, attempt)
        for message in settled.again_alone:
            self._called.discard(message.id)
            if not self._is_over:
                self._ready.append(Call((message,)))
            else:
                self._finish(message, NOT_SENT)

    def _count(self, result: Result | Unreadable) -> None:
        """Notice when there is nobody to talk to."""
        if isinstance(result, Unreadable):
            return
        if not isinstance(result, Broken):
            self._unreached = self._lost = 0
            self._memory.careful = False
            return
        if result.written:
            self._lost += 1
            self._memory.careful = True
        else:
            self._unreached += 1
        if result.fatal is not None:
            self._fail(result.fatal)
        elif self._unreached >= MAX_UNREACHED_IN_ROW or self._lost >= MAX_LOST_IN_ROW:
            what = "does not answer" if result.written else "cannot be reached"
            fix = "Check the network, then run the same command again."
            self._fail(ProviderUnavailableError(f"Amazon SES {what}: {result.text.rstrip('.')}.", fix=fix))

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        if not self._failed.done():
            self._failed.set_result(True)

    def _finish(self, message: Message, attempt: Attempt) -> None:
        _, since = self._held.pop(message.id)
        self._begun.discard(message.id)
        self._called.discard(message.id)
        if attempt.disposition is not Disposition.TEMPORARY:
            self._memory.alone.discard(message.id)
        if not attempt.duration_s:
            attempt = attempt._replace(duration_s=self._clock.monotonic() - since)
        self._deliveries.finish(message, attempt)

    def _release(self, unstarted: list[Call]) -> None:
        for call in unstarted:
            self._called.difference_update(message.id for message in call.messages)
        for message, _ in list(self._held.values()):
            self._finish(message, IN_DOUBT if message.id in self._called else NOT_SENT)


def _many(entries: tuple[Entry, ...]) -> Call:
    return Call(tuple(entry.message for entry in entries), entries)

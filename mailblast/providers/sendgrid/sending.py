"""From ``Deliveries`` to requests and back: takes what there is, sends a few requests at once, settles each message."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING, Any

from mailblast.errors import AccountError, MailblastError, ProviderUnavailableError
from mailblast.model.outcome import Advice, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.sendgrid.answers import Answer, read_answer
from mailblast.providers.sendgrid.grouping import Grouping
from mailblast.providers.sendgrid.payload import UnfitError
from mailblast.providers.sendgrid.settling import IN_DOUBT, NOT_SENT, Splitting, unfit
from mailblast.providers.sendgrid.wire import Call, Phase

if TYPE_CHECKING:
    from mailblast.clock import Clock
    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt
    from mailblast.providers.provider import Deliveries
    from mailblast.providers.sendgrid.answers import Reading
    from mailblast.providers.sendgrid.payload import Entry, PayloadWriter, Request
    from mailblast.providers.sendgrid.settings import SendgridSettings
    from mailblast.providers.sendgrid.settling import Settled
    from mailblast.providers.sendgrid.wire import Failure, Result, Wire

#: Messages taken between two turns of the event loop for others.
MESSAGES_A_TURN = 50
#: Requests in a row whose answer was lost, in one ``deliver()``, before the API counts as gone.
MAX_LOST_IN_ROW = 5


class Memory:
    """What a provider keeps between two ``deliver()``."""

    def __init__(self) -> None:
        #: Messages that were refused in a request of many, and come alone the next time.
        self.alone: set[int] = set()
        #: An answer was lost, and none has come since: one recipient a request until then.
        self.careful = False


class Sending:
    """One ``deliver()``.

    Args:
        deliveries: Where messages come from.
        wire: To the API.
        writer: Writes requests.
        settings: How many at once.
        memory: Of the provider.
        clock: Times.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        wire: Wire,
        writer: PayloadWriter,
        settings: SendgridSettings,
        memory: Memory,
        clock: Clock,
    ) -> None:
        self._deliveries = deliveries
        self._wire = wire
        self._settings = settings
        self._memory = memory
        self._clock = clock
        self._grouping = Grouping(writer)
        self._slots = asyncio.Semaphore(settings.concurrency)
        self._tasks: set[asyncio.Task[None]] = set()
        #: Taken, not finished.
        self._held: dict[int, tuple[Message, float]] = {}
        self._waiting: asyncio.Future[bool] | None = None
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._lost = 0
        #: Until when open requests wait for more, by the event loop's clock.
        self._until_s = 0.0

    async def run(self) -> None:
        """Send until the deliveries end; finish everything taken, also when cancelled.

        Raises:
            ProviderUnavailableError: The API cannot be reached, or answers no more.
            AccountError: The account was refused, or what all requests have in common.
            JournalError: A mark could not be written.
        """
        try:
            # Nothing is taken before there is a place for it: what an answer changes holds for all that follow.
            while self._failure is None and await self._slots.acquire():
                if not await self._fill():
                    break
                await self._dispatch_all(deque(self._ready()))
            if self._tasks:
                await asyncio.wait(self._tasks)
        finally:
            await self._end()
        if self._failure is not None:
            raise self._failure

    async def _fill(self) -> bool:
        """Take messages until a request can go; False when none will come any more."""
        loop = asyncio.get_running_loop()
        grouping, limit = self._grouping, self._limit
        while grouping.waiting < limit and not grouping.has_alone and self._failure is None:
            message = self._deliveries.take()
            if message is not None:
                if not grouping.waiting:
                    self._until_s = loop.time() + self._settings.linger_s
                self._accept(message, limit)
                if len(self._held) % MESSAGES_A_TURN == 0:
                    await asyncio.sleep(0)
                continue
            remaining_s = self._until_s - loop.time() if grouping.waiting else None
            if remaining_s is not None and remaining_s <= 0:
                break
            more = await self._more(remaining_s)
            if more is None:
                break
            if not more:
                return False
        return self._failure is None

    @property
    def _limit(self) -> int:
        return 1 if self._memory.careful else self._settings.batch

    def _accept(self, message: Message, limit: int) -> None:
        taken_s = self._clock.monotonic()
        self._held[message.id] = message, taken_s
        alone = message.id in self._memory.alone
        try:
            self._grouping.add(message, limit=limit, alone=alone, taken_s=taken_s)
        except UnfitError as error:
            self._finish(message, unfit(str(error)))

    async def _more(self, timeout_s: float | None) -> bool | None:
        """Return whether there may be more to take; None when the time is over or nothing may be sent any more."""
        if self._waiting is None:
            self._waiting = asyncio.ensure_future(self._deliveries.wait())
        failed: asyncio.Future[bool] = asyncio.ensure_future(self._failed.wait())
        try:
            await asyncio.wait({self._waiting, failed}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            failed.cancel()
        if not self._waiting.done():
            return None
        waited, self._waiting = self._waiting, None
        return waited.result()

    def _ready(self) -> list[Request]:
        grouping = self._grouping
        # Those that share a request may wait for more of them while others go alone.
        return grouping.pop_alone() if grouping.has_alone else grouping.pop_all()

    async def _dispatch_all(self, ready: deque[Request]) -> None:
        """Send requests one after the other; the place for the first is taken already."""
        while self._failure is None:
            request = ready.popleft()
            if self._memory.careful and len(request.entries) > 1:
                # An answer was lost meanwhile.
                ready.appendleft(request.of(request.entries[1:]))
                request = request.of(request.entries[:1])
            self._dispatch(request)
            if not ready:
                return
            await self._slots.acquire()

    def _dispatch(self, request: Request) -> None:
        """Mark everybody in a request and send it; its place is given back when it is done."""
        try:
            for entry in request.entries:
                self._deliveries.begin(entry.message)
            written = self._deliveries.commit()
        except MailblastError as error:
            self._slots.release()
            self._fail(error)
            return
        task = asyncio.create_task(self._send_marked(request, written))
        self._tasks.add(task)
        task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._slots.release()
        if not task.cancelled() and (defect := task.exception()) is not None:
            self._fail(defect)

    async def _send_marked(self, request: Request, written: asyncio.Future[Any] | None) -> None:
        """Send a request when its marks are on file."""
        if written is not None:
            try:
                await written
            except BaseException:
                self._give_back(request.entries)
                raise
            if self._failure is not None:
                self._give_back(request.entries)
                return
        await self._send(request)

    async def _send(self, request: Request) -> None:
        """Send a request and what becomes of it."""
        todo, splitting = [request], Splitting()
        while todo:
            request = todo.pop()
            call = Call()
            try:
                result: Result = await self._wire.post(request.body(), call)
            except BaseException:
                # Cancelled, or a defect; either way the phase tells what became of it.
                self._broken_off(request, call)
                raise
            settled = splitting.settle(request, self._read(result, len(request.entries)))
            self._settle(settled)
            todo += reversed(settled.again)
            if settled.halt or self._failure is not None:
                # What is left was marked, and was not sent.
                for left in todo:
                    self._give_back(left.entries)
                return

    def _read(self, result: Result, entries: int) -> Reading | Failure:
        """Read an answer, and note whether the API answers at all."""
        if isinstance(result, Answer):
            self._lost = 0
            self._memory.careful = False
            return read_answer(result, now_s=self._clock.now(), entries=entries)
        if result.phase is Phase.CONNECTING:
            self._fail(
                ProviderUnavailableError(
                    f"SendGrid cannot be reached at {self._wire.host}: {result.reason}.",
                    fix="Check the network, the proxy settings and status.sendgrid.com.",
                )
            )
        elif result.phase is Phase.WRITTEN:
            self._lost += 1
            self._memory.careful = True
            if self._lost >= max(MAX_LOST_IN_ROW, self._settings.concurrency + 1):
                self._fail(
                    ProviderUnavailableError(
                        f"SendGrid did not answer {self._lost} requests in a row ({result.reason}).",
                        fix="See status.sendgrid.com, and later 'mailblast failures --state in_doubt'.",
                    )
                )
        return result

    def _settle(self, settled: Settled) -> None:
        if settled.alone:
            self._memory.alone.update(entry.message.id for entry, _ in settled.attempts)
        else:
            self._memory.alone.difference_update(entry.message.id for entry, _ in settled.attempts)
        defect: Exception | None = None
        for entry, attempt in settled.attempts:
            try:
                self._finish(entry.message, attempt)
            except Exception as error:  # noqa: BLE001 - raised below; the others must not count as unsent for it
                defect = defect or error
            stops = attempt.disposition is Disposition.PERMANENT or attempt.advice is Advice.TOMORROW
            if attempt.scope is Scope.ACCOUNT and stops and attempt.reply is not None:
                self._fail(AccountError(f"SendGrid refused the account: {attempt.reply.code} {attempt.reply.text}."))
        if defect is not None:
            raise defect

    def _broken_off(self, request: Request, call: Call) -> None:
        if isinstance(call.result, Answer):
            reading = read_answer(call.result, now_s=self._clock.now(), entries=len(request.entries))
            # What would have gone again now stays behind.
            self._settle(Splitting().settle(request, reading))
            return
        attempt = IN_DOUBT if call.phase is Phase.WRITTEN else NOT_SENT
        for entry in request.entries:
            self._finish(entry.message, attempt)

    def _give_back(self, entries: tuple[Entry, ...]) -> None:
        for entry in entries:
            self._finish(entry.message, NOT_SENT)

    def _finish(self, message: Message, attempt: Attempt) -> None:
        _, taken_s = self._held.pop(message.id)
        self._deliveries.finish(message, attempt._replace(duration_s=self._clock.monotonic() - taken_s))

    def _fail(self, failure: BaseException) -> None:
        if self._failure is None:
            self._failure = failure
        self._failed.set()

    async def _end(self) -> None:
        """Break off what is still under way and give back what was not sent."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._waiting is not None:
            self._waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._waiting
        for message, _ in list(self._held.values()):
            self._finish(message, NOT_SENT)

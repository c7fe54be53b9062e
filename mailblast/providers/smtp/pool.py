"""The sessions of one provider: how many there are, and which of them sends next."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

from mailblast.errors import MailblastError, ProviderUnavailableError
from mailblast.model.outcome import Advice, Attempt, Disposition
from mailblast.model.reply import Scope
from mailblast.providers.smtp.connection import Connection
from mailblast.providers.smtp.load import Load
from mailblast.providers.smtp.opening import open_session, tls_context
from mailblast.providers.smtp.phases import Phase
from mailblast.providers.smtp.pool_size import LoginPace, PoolSize

if TYPE_CHECKING:
    import ssl

    from mailblast.clock import Clock
    from mailblast.model.message import Message
    from mailblast.providers.provider import Deliveries
    from mailblast.providers.smtp.settings import SmtpSettings

#: A connection that was idle for longer is asked whether it still works before it gets a message.
PROBE_AFTER_S = 30.0
#: How often idle connections are looked at, also between deliveries.
UPKEEP_EVERY_S = 30.0
#: Waits before a connection is asked for again that was refused within a second of another one's leaving: the server
#: may still have counted that one.
LEFT_WITHIN_S = 1.0
AGAIN_AFTER_S = (0.1, 0.4)
NOT_SENT = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)


class Pool:
    """Opens connections as there is work for them and hands out messages to them.

    A message is taken when a connection is free for it, or may be opened for it; the latter are held here, and
    whichever connection is free first sends them. So there are never more connections than messages.

    Args:
        settings: Where, how many, how long.
        clock: Ages, time-outs, durations.
    """

    def __init__(self, settings: SmtpSettings, clock: Clock) -> None:
        self._settings = settings
        self._monotonic = clock.monotonic
        self._sleep = clock.sleep
        self._context: ssl.SSLContext | None = None
        self._size = PoolSize(settings.connections, clock.monotonic)
        self._logins = LoginPace(settings.logins_per_s, clock.monotonic)
        #: When a connection last left in an orderly way.
        self._left_s = float("-inf")
        self._upkeep: asyncio.TimerHandle | None = None
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._held: deque[Message] = deque()
        self._scheduled: list[Connection] = []
        self._load = Load()
        #: Whether a commit is on its way.
        self._is_marking = False
        self._deliveries: Deliveries | None = None
        #: What stops the run.
        self._failure: BaseException | None = None
        self._failing: asyncio.Future[None] | None = None
        #: Messages that connections have.
        self._in_flight = 0
        #: Set whenever a connection comes, goes or becomes idle, or the run fails.
        self._changed = asyncio.Event()

    async def connect(self) -> Connection:
        """Open a connection beside all others and keep it.

        Raises:
            ProviderUnavailableError: It cannot be opened.
            AccountError: The login was refused.
        """
        wait_s = self._logins.turn_s()
        if wait_s > 0:
            await self._sleep(wait_s)
        settings = self._settings
        if self._context is None and settings.tls != "none":
            self._context = await asyncio.to_thread(tls_context, settings)
        opened = await open_session(settings, self._context)
        # What a server taught us about its sessions meanwhile counts for this one.
        connection = Connection(opened, self._settings, self, self._monotonic)
        self._connections.add(connection)
        if self._upkeep is None:
            self._upkeep = asyncio.get_running_loop().call_later(UPKEEP_EVERY_S, self._keep_up)
        return connection

    async def open(self) -> Connection:
        """Open the first connection, unless there is one."""
        if not self._connections:
            self._idle.append(await self.connect())
        return next(iter(self._connections))

    async def close(self) -> None:
        """Say QUIT on all connections and wait for them, for no longer than its time-out."""
        if self._upkeep is not None:
            self._upkeep.cancel()
            self._upkeep = None
        for connection in list(self._connections):
            if connection.session.is_empty and not connection.leaving:
                connection.quit()
            elif not connection.leaving:
                connection.abort()
        self._idle.clear()
        try:
            async with asyncio.timeout(self._settings.timeouts.quit):
                while self._connections:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        finally:
            self._abort(list(self._connections))

    async def deliver(self, deliveries: Deliveries) -> None:
        """Send until the deliveries end and everything taken is finished.

        Raises:
            MailblastError: What stopped the run; everything taken is finished.
        """
        self._deliveries, self._failure = deliveries, None
        self._is_marking = False
        self._failing = asyncio.get_running_loop().create_future()
        sweeping = asyncio.ensure_future(self._sweep())
        try:
            await self._pump(deliveries)
            await self._drain()
        except BaseException as error:
            self._stop(error)
            self._abort_work()
            raise
        finally:
            under_way = [sweeping, *self._opening]
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)
            self._deliveries = None
        if self._failure is not None:
            raise self._failure

    @property
    def open_connections(self) -> int:
        """Connections that are open right now."""
        return len(self._connections)

    # Connections call.

    def take(self) -> Message | None:
        """Return a message that is held, else the next one."""
        if self._failure is not None or self._deliveries is None:
            return None
        message = self._held.popleft() if self._held else self._deliveries.take()
        if message is not None:
            self._in_flight += 1
        return message

    def finish(self, message: Message, attempt: Attempt) -> None:
        """Pass on what came of a message."""
        assert self._deliveries is not None
        self._in_flight -= 1
        self._deliveries.finish(message, attempt)
        if self._failure is not None:
            self._changed.set()

    def schedule(self, connection: Connection) -> None:
        """Have a body written after one commit for all of this turn of the loop; one commit is under way at a time."""
        self._scheduled.append(connection)
        if len(self._scheduled) == 1 and not self._is_marking:
            self._flush_soon()

    def _flush_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if self._deliveries is not None and self._deliveries.commit_is_remote and self._load.is_high():
            loop.call_soon(self._gather, 0)
        else:
            loop.call_soon(self._flush)

    def _gather(self, known: int) -> None:
        """Have more bodies share a commit as long as there are more; what goes behind them is made before that."""
        scheduled = self._scheduled[known:]
        if not scheduled:
            self._flush()
            return
        try:
            for connection in scheduled:
                connection.look_ahead()
        except Exception as error:  # noqa: BLE001 - as in _flush()
            self.failed(error)
            self._flush()
            return
        asyncio.get_running_loop().call_soon(self._gather, known + len(scheduled))

    def idle(self, connection: Connection) -> None:
        """Keep a connection that has nothing to do, unless it leaves."""
        if not connection.leaving:
            if connection.messages != connection.messages_when_unused:
                connection.messages_when_unused = connection.messages
                connection.unused_since_s = self._monotonic()
            self._idle.append(connection)
        self._changed.set()

    def lost(self, connection: Connection) -> None:
        """Forget a connection; learn from what the server said at its end."""
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        session = connection.session
        if session.advice is Advice.SLOW_DOWN:
            self._size.settle(self._working())
        elif session.advice is Advice.ROTATE and session.refusals == 1 and connection.messages > 1:
            # It counts messages, and this one was too many: the next sessions leave before they are told to.
            share = min(connection.messages - 1, self._settings.messages_per_connection)
            self._settings = replace(self._settings, messages_per_connection=share)
        if connection.leaving or session.advice is Advice.ROTATE:
            self._left_s = self._monotonic()
        self._changed.set()

    def failed(self, error: Exception) -> None:
        """Stop handing out; the first error is the one that is told."""
        self._stop(error)

    # Inside.

    def _flush(self) -> None:
        scheduled, self._scheduled = self._scheduled, []
        deliveries = self._deliveries
        if deliveries is None:
            return
        if self._failure is not None:
            self._abort(scheduled)
            return
        try:
            ready = [connection for connection in scheduled if connection.mark(deliveries.begin)]
            written = deliveries.commit() if ready else None
            if written is not None:
                self._is_marking = True
                written.add_done_callback(functools.partial(self._marked, ready))
            for connection in ready:
                # While the marks are on their way, where they go far.
                connection.look_ahead()
        except Exception as error:  # noqa: BLE001 - nothing of this turn may leave, whatever went wrong
            self.failed(error)
            self._abort(scheduled)
            return
        if written is None:
            self._write(ready)

    def _marked(self, ready: list[Connection], written: asyncio.Future[Any]) -> None:
        """Write bodies whose marks are on file by now, or else nothing of them."""
        self._is_marking = False
        error = asyncio.CancelledError() if written.cancelled() else written.exception()
        # Those that broke meanwhile have told what they held; so has a whole run that has ended.
        ready = [connection for connection in ready if not connection.closed]
        if ready and error is not None:
            self._stop(error)
        if self._failure is None:
            self._write(ready)
        else:
            self._abort(ready)
        if self._scheduled:
            self._flush_soon()

    def _write(self, ready: list[Connection]) -> None:
        for connection in ready:
            try:
                connection.write_body()
            except Exception as error:  # noqa: BLE001 - the loop would swallow it; it must end the run
                connection.abort()
                self.failed(error)

    def _abort(self, connections: list[Connection]) -> None:
        for connection in connections:
            connection.abort()

    async def _pump(self, deliveries: Deliveries) -> None:
        """Start messages on connections that are idle or still to be opened; busy ones help themselves."""
        while self._failure is None:
            self._balance()
            if not self._has_room():
                self._changed.clear()
                await self._changed.wait()
            elif not await self._wait(deliveries):
                return
            elif self._has_room():
                # Not one that is held already: with a connection slow in opening, it would go round and round.
                message = deliveries.take()
                if message is None:
                    await asyncio.sleep(0)
                else:
                    self._held.append(message)

    async def _wait(self, deliveries: Deliveries) -> bool:
        """Wait for work; False when there will be none, or the run has failed."""
        assert self._failing is not None
        waiting = asyncio.ensure_future(deliveries.wait())
        try:
            either: set[asyncio.Future[Any]] = {waiting, self._failing}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not waiting.done():
                waiting.cancel()
        return self._failure is None and waiting.result()

    async def _drain(self) -> None:
        """Wait for what is under way. After a failure only for replies to messages that are complete."""
        while self._held or self._in_flight:
            if self._failure is not None:
                self._abort(
                    [
                        connection
                        for connection in self._connections
                        if connection.session.phase not in {Phase.READY, Phase.TERMINATOR_SENT}
                    ]
                )
            self._balance()
            if self._held or self._in_flight:
                self._changed.clear()
                await self._changed.wait()

    def _has_room(self) -> bool:
        return bool(self._idle) or len(self._connections) + len(self._opening) < self._size.limit

    def _working(self) -> int:
        return sum(not connection.leaving for connection in self._connections) + len(self._opening)

    def _balance(self) -> None:
        """Give what is held to idle connections; open further ones for the rest."""
        now = self._monotonic()
        if self._size.is_reduced:
            self._size.grow()
        while self._held and self._idle and self._failure is None:
            connection = self._idle.pop()
            if connection.is_worn(now):
                connection.quit()
            elif now - connection.since_s > PROBE_AFTER_S:
                connection.probe()
            else:
                message = self.take()
                assert message is not None
                connection.start(message)
        if self._held:
            expected = len(self._opening) + sum(connection.probing for connection in self._connections)
            room = self._size.limit - len(self._connections) - len(self._opening)
            for _ in range(min(len(self._held) - expected, room)):
                self._opening.add(asyncio.ensure_future(self._open_another()))

    async def _open_another(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            connection = await self._connect_patiently()
        except MailblastError as error:
            self._opening.discard(task)
            self._not_opened(error)
        except Exception as error:  # noqa: BLE001 - a defect: in a task of its own it would be lost
            self.failed(error)
        else:
            self._opening.discard(task)
            self._start(connection)
        finally:
            self._opening.discard(task)
            self._changed.set()

    async def _connect_patiently(self) -> Connection:
        for again_after_s in AGAIN_AFTER_S:
            try:
                return await self.connect()
            except ProviderUnavailableError:
                if self._monotonic() - self._left_s > LEFT_WITHIN_S:
                    raise
            await self._sleep(again_after_s)
        return await self.connect()

    def _start(self, connection: Connection) -> None:
        try:
            message = self.take()
            if message is None:
                self._idle.append(connection)
            else:
                connection.start(message)
        except Exception as error:  # noqa: BLE001 - in a task of its own it would be lost; it must end the run
            connection.abort()
            self.failed(error)

    def _not_opened(self, error: MailblastError) -> None:
        """Settle for the connections there are; without any, the run is over."""
        working = self._working()
        if working == 0:
            self.failed(error)
        else:
            self._size.settle(working)

    def _stop(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        if self._failing is not None and not self._failing.done():
            self._failing.set_result(None)
        while self._held:
            self._in_flight += 1
            self.finish(self._held.popleft(), NOT_SENT)
        self._changed.set()

    def _abort_work(self) -> None:
        """Cut every connection that has something to do."""
        self._abort([connection for connection in self._connections if not connection.session.is_empty])

    async def _sweep(self) -> None:
        """Cut connections whose time is over. One coarse timer for all: none is set or cancelled for a message."""
        interval = min(1.0, min(astuple(self._settings.timeouts)) / 4)
        while True:
            await asyncio.sleep(interval)
            now = self._monotonic()
            try:
                self._abort([connection for connection in self._connections if connection.is_overdue(now)])
            except Exception as error:  # noqa: BLE001 - in a task of its own it would be lost; it must end the run
                self.failed(error)
            if self._size.is_reduced:
                self._changed.set()

    def _keep_up(self) -> None:
        """Look after the connections, and again later, as long as there are any."""
        self._upkeep = None
        self.look_after()
        if self._connections:
            self._upkeep = asyncio.get_running_loop().call_later(UPKEEP_EVERY_S, self._keep_up)

    def look_after(self) -> None:
        """Close idle connections that are worn or long unused; ask the others now and then whether they still work.

        One that does not answer is gone without further ado: no message was on it.
        """
        now, settings = self._monotonic(), self._settings
        self._abort([connection for connection in self._connections if connection.is_overdue(now)])
        for connection in list(self._idle):
            if connection.is_worn(now) or now - connection.unused_since_s >= settings.idle_close_s:
                self._idle.remove(connection)
                connection.quit()
            elif now - connection.since_s >= settings.idle_check_s:
                self._idle.remove(connection)
                connection.probe()

"""The worker of a server's queue."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import socket
from typing import TYPE_CHECKING

from mailblast.cli import loop, outcome_text
from mailblast.cli.exit_codes import ExitCode, exit_code_of
from mailblast.cli.queue_home import Homecoming
from mailblast.cli.queue_run import lease_of
from mailblast.cli.queue_url import shown
from mailblast.cli.worker_options import keys_for, transport_for
from mailblast.clock import SystemClock
from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.executors.queue.engine import Engine
from mailblast.executors.queue.lane import Parts
from mailblast.executors.queue.limits import SharedPace
from mailblast.executors.queue.store import Store
from mailblast.executors.queue.worker import Worker, WorkerSettings
from mailblast.message.attachments.size import check_total_size
from mailblast.monitor.metrics import Monitor
from mailblast.providers.transport_cache import Key, TransportCache

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.cli.worker_options import WorkerOptions
    from mailblast.delivery.pace import Pace
    from mailblast.executors.queue.document import Delivery
    from mailblast.model.campaign import Campaign
    from mailblast.providers.provider import Provider

#: Folder under the journals' for what a worker keeps; no campaign can have such a name.
FOLDER = ".queue"


def work_at_server(url: str, options: WorkerOptions, settings: Settings, terminal: Terminal) -> int:
    """Deliver what is queued at a server; return the exit code."""
    store = Store(url, shown(url))
    with contextlib.closing(store):
        clock = SystemClock()
        for notice in store.check_server(clock.now()):
            terminal.warn(f"mailblast: {notice}")
        stopped = loop.run(ServerWorker(store, options, settings, terminal).run())
    if stopped is not None:
        terminal.warn(f"mailblast: {stopped}")
        return exit_code_of(stopped)
    return ExitCode.OK


class ServerWorker:
    """A worker with this machine's settings.

    Args:
        store: The server.
        options: As given.
        settings: Behind the options; keys and passwords are there.
        terminal: Where to tell.
    """

    def __init__(self, store: Store, options: WorkerOptions, settings: Settings, terminal: Terminal) -> None:
        self._store = store
        self._options = options
        self._settings = settings
        self._terminal = terminal
        self._clock = SystemClock()
        self._monitor = Monitor(self._clock)
        #: Make providers anew: one that has been closed is not opened again.
        self._makers: dict[Key, Callable[[], Provider]] = {}
        self._cache = TransportCache(lambda key: self._makers[key](), self._clock)
        self._signals = 0

    async def run(self) -> MailblastError | None:
        """Work until a signal, or until nothing is due; return what ended it."""
        lease_s = lease_of(self._settings)
        identity = f"{socket.gethostname()}-{os.getpid()}-{random.getrandbits(32):08x}"
        worker = Worker(
            self._store,
            Engine(self._store, lease_s),
            WorkerSettings(
                identity,
                self._options.concurrency,
                lease_s,
                self._settings.home / FOLDER,
                once=self._options.once,
            ),
            self._parts,
            self._clock,
            on_outcome=self._monitor.record,
            say=self._say,
            jitter=random.Random(),  # noqa: S311 - spreads waits
            on_idle=Homecoming(self._settings.home, self._store, self._clock, self._say),
        )
        event_loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            event_loop.add_signal_handler(number, self._interrupt, worker, number)
        try:
            async with outcome_text.shown(
                self._terminal,
                self._monitor,
                lambda: self._monitor.pace(None, worker.limiting()),
                title="worker",
                provider=self._store.shown,
                json_log=self._options.json_log,
                clock=self._clock,
                watching=self._options.watching,
            ) as watch:
                await worker.run()
                stopped = worker.stopped
                watch.ended(None if isinstance(stopped, RunInterruptedError) else stopped)
        finally:
            await self._cache.close()
        return worker.stopped

    def _say(self, text: str) -> None:
        self._terminal.warn(f"mailblast: {text}")

    def _interrupt(self, worker: Worker, number: int) -> None:
        self._signals += 1
        if self._signals > 1:
            worker.abort()
            return
        name = signal.Signals(number).name
        worker.stop(RunInterruptedError(f"Interrupted by {name}.", signal_number=number))

    def _parts(self, campaign: Campaign, delivery: Delivery) -> Parts:
        transport = transport_for(self._options, delivery, self._settings, self._clock)
        dsn = transport.dsn
        key = Key(transport.provider.name, dsn.host, dsn.port, dsn.user)
        self._makers[key] = lambda: transport_for(self._options, delivery, self._settings, self._clock).provider

        @contextlib.asynccontextmanager
        async def lease() -> AsyncIterator[Provider]:
            async with self._cache.lease(key) as provider:
                check_total_size(campaign.attachments, provider.limits.size_bytes, provider=provider.name)
                yield provider

        def make_pace(provider: Provider) -> Pace:
            from mailblast.cli.pacing import pace_settings

            limits = pace_settings(transport.asked, provider.limits, transport.limits_file)
            return SharedPace(limits, self._clock, self._store, transport.limits_file.stem)

        return Parts(key, lease, make_pace, keys_for(delivery, self._settings))

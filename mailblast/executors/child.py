"""One process of several: batches come over a channel, are delivered here, and their outcomes go back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.composer import Composer
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.executors.executor import DRAIN_S
from mailblast.executors.frames import Channel
from mailblast.executors.inline import InlineExecutor
from mailblast.journal.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mailblast.clock import Clock
    from mailblast.delivery.throttle import Throttle
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome
    from mailblast.providers.provider import Provider

#: Never reached, for the parent bounds what is under way; it bounds the finished tasks that are kept.
BATCHES_IN_FLIGHT = 1_000


class ChildWork(NamedTuple):
    """What a child delivers, and where it keeps its marks."""

    campaign: Campaign
    #: The campaign's folder; the child makes its own segment there.
    folder: Path
    durable: bool


async def serve(fd: int, make_transport: Callable[[], tuple[Provider, Throttle]], clock: Clock) -> None:
    """Deliver what comes over a socket until it is closed.

    A parent that is gone ends the work in good order: what is in flight is finished and is in the segment.

    Args:
        fd: This end of the socket pair; closed here.
        make_transport: Makes the provider, not open, for this process has its own connections, and its share of the
            limits. What it cannot honour ends the run, as a segment that cannot be made does.
        clock: Times and waits.
    """
    channel = Channel(*await asyncio.open_connection(sock=socket.socket(fileno=fd)))
    try:
        first = await channel.receive()
        if first is not None:
            _, work = first
            assert isinstance(work, ChildWork)
            await _deliver(channel, work, *make_transport(), clock)
    except MailblastError as error:
        channel.send("stopped", error)
    finally:
        await channel.close()


async def _deliver(channel: Channel, work: ChildWork, provider: Provider, throttle: Throttle, clock: Clock) -> None:
    segment = Segment(work.folder, durable=work.durable)

    def done(outcomes: Sequence[Outcome]) -> None:
        try:
            # On file first: if this process is killed now, the parent finds them there.
            segment.flush()
        finally:
            channel.send("done", list(outcomes))

    pipeline = Pipeline(
        Composer(work.campaign),
        segment,
        throttle,
        provider_name=provider.name,
        clock=clock,
        on_outcome=lambda _: None,
    )
    executor = InlineExecutor(pipeline, provider, clock, batches_in_flight=BATCHES_IN_FLIGHT, on_done=done, group=1)
    _end_in_good_order(executor)
    telling = asyncio.create_task(_tell_when_stopped(pipeline, channel))
    try:
        async with executor:
            await _obey(channel, executor, segment)
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        await provider.close()
        segment.close()


async def _obey(channel: Channel, executor: InlineExecutor, segment: Segment) -> None:
    while (message := await channel.receive()) is not None:
        kind, value = message
        if kind == "batch":
            await executor.submit(value)
        elif kind == "settled":
            segment.settled(value)
        elif kind == "stop":
            executor.stop(value)
        elif kind == "abort":
            executor.abort()
        elif kind == "end":
            return
    executor.stop(RunInterruptedError("The run that started this process is gone."))
    # Nobody is there to lose patience, and the campaign is held meanwhile.
    asyncio.get_running_loop().call_later(DRAIN_S, executor.abort)


def _end_in_good_order(executor: InlineExecutor) -> None:
    """Have a signal stop the run; a supervisor sends it to all processes of a service at once."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        reason = RunInterruptedError(f"Interrupted by {number.name}.", signal_number=number)
        loop.add_signal_handler(number, executor.stop, reason)


async def _tell_when_stopped(pipeline: Pipeline, channel: Channel) -> None:
    await pipeline.stopping.wait()
    channel.send("stopped", pipeline.stopped)

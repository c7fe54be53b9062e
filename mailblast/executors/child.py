"""One process of several: batches come over a channel, are delivered here, and their outcomes go back."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.composer import Composer
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import RunInterruptedError
from mailblast.executors.frames import Channel
from mailblast.executors.inline import InlineExecutor
from mailblast.journal.segment import Segment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mailblast.clock import Clock
    from mailblast.delivery.throttle import Throttle
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome
    from mailblast.providers.provider import Provider


class ChildWork(NamedTuple):
    """What a child delivers, and where it keeps its marks."""

    campaign: Campaign
    #: The campaign's folder; the child makes its own segment there.
    folder: Path
    durable: bool


async def serve(fd: int, provider: Provider, throttle: Throttle, clock: Clock) -> None:
    """Deliver what comes over a socket until it is closed.

    A parent that is gone ends the work in good order: what is in flight is finished and is in the segment.

    Args:
        fd: This end of the socket pair; closed here.
        provider: Not open; this process has its own connections.
        throttle: This process's share of the limits.
        clock: Times and waits.
    """
    channel = Channel(*await asyncio.open_connection(sock=socket.socket(fileno=fd)))
    first = await channel.receive()
    if first is None:
        return
    _, work = first
    assert isinstance(work, ChildWork)
    segment = Segment(work.folder, durable=work.durable)

    def done(outcomes: Sequence[Outcome]) -> None:
        # On file first: if this process is killed now, the parent finds them there.
        segment.flush()
        channel.send("done", list(outcomes))

    pipeline = Pipeline(
        Composer(work.campaign),
        segment,
        throttle,
        provider_name=provider.name,
        clock=clock,
        on_outcome=lambda _: None,
    )
    # The parent bounds what is under way; here nothing waits.
    executor = InlineExecutor(pipeline, provider, clock, batches_in_flight=1_000_000, on_done=done, group=1)
    telling = asyncio.create_task(_tell_when_stopped(pipeline, channel))
    try:
        async with executor:
            await _obey(channel, executor, segment)
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        segment.close()
        await provider.close()
        await channel.close()


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


async def _tell_when_stopped(pipeline: Pipeline, channel: Channel) -> None:
    await pipeline.stopping.wait()
    channel.send("stopped", pipeline.stopped)

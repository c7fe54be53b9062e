"""One process of several: batches come over a channel, are delivered here, and their outcomes go back."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.composer import Composer
from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.executors.executor import DRAIN_S
from mailblast.executors.frames import Channel
from mailblast.executors.inline import MAX_RECONNECTS, InlineExecutor
from mailblast.journal.segment import Segment
from mailblast.model.campaign import Keys

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from mailblast.clock import Clock
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome
    from mailblast.model.recipient import Batch
    from mailblast.providers.provider import Provider

#: Never reached, for the parent bounds what is under way; it bounds the finished tasks that are kept.
BATCHES_IN_FLIGHT = 1_000


UNLIMITED = PaceSettings()
#: How often the parent is told what limits this process.
TELL_S = 1.0


class ChildWork(NamedTuple):
    """What a child delivers, and where it keeps its marks."""

    campaign: Campaign
    #: The campaign's folder; the child makes its own segment there.
    folder: Path
    durable: bool
    #: The limits that all processes keep together.
    pace: PaceSettings = UNLIMITED
    #: Times its provider is asked to connect again.
    reconnects: int = MAX_RECONNECTS


async def serve(
    fd: int,
    make_provider: Callable[[], Provider],
    clock: Clock,
    make_keys: Callable[[], Keys] = Keys,
) -> None:
    """Deliver what comes over a socket until it is closed.

    A parent that is gone ends the work in good order: what is in flight is finished and is in the segment.

    Args:
        fd: This end of the socket pair; closed here.
        make_provider: Makes the provider, not open, for this process has its own connections. What it cannot honour
            ends the run, as a segment that cannot be made does.
        clock: Times and waits.
        make_keys: Reads what signs messages and links; keys cross no process border.
    """
    channel = Channel(*await asyncio.open_connection(sock=socket.socket(fileno=fd)))
    try:
        first = await channel.receive()
        if first is not None:
            _, work = first
            assert isinstance(work, ChildWork)
            await _deliver(channel, work, make_provider(), clock, make_keys())
    except MailblastError as error:
        channel.send("stopped", error)
    finally:
        await channel.close()


async def _deliver(channel: Channel, work: ChildWork, provider: Provider, clock: Clock, keys: Keys) -> None:
    segment = Segment(work.folder, durable=work.durable)

    def done(outcomes: Sequence[Outcome]) -> None:
        try:
            # On file first: if this process is killed now, the parent finds them there.
            segment.flush()
        finally:
            channel.send("done", list(outcomes))

    def late(batch: Batch) -> None:
        channel.send("late", batch.claims[0].id)

    pace = Pace(work.pace, clock)
    pipeline = Pipeline(
        Composer(work.campaign, keys, composition=provider.wants_composition),
        segment,
        pace,
        provider_name=provider.name,
        clock=clock,
        on_outcome=lambda _: None,
    )
    executor = InlineExecutor(
        pipeline,
        provider,
        clock,
        batches_in_flight=BATCHES_IN_FLIGHT,
        on_done=done,
        group=1,
        on_late=late,
        reconnects=work.reconnects,
    )
    _end_in_good_order(executor)
    telling = asyncio.gather(_tell_when_stopped(pipeline, channel), _tell_what_limits(pipeline, channel))
    try:
        async with executor:
            await _obey(channel, executor, segment)
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling
        await provider.close()
        pace.close()
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


async def _tell_what_limits(pipeline: Pipeline, channel: Channel) -> None:
    told = ""
    while True:
        await asyncio.sleep(TELL_S)
        limiting = pipeline.limiting()
        if limiting != told:
            channel.send("limiting", limiting)
            told = limiting

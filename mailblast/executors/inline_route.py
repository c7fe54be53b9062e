"""A provider that is used by this process itself, with its limits and its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.delivery.pipeline import Pipeline
from mailblast.executors.inline import MAX_RECONNECTS, InlineExecutor
from mailblast.message.attachments.size import check_total_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.composer import Composer
    from mailblast.delivery.log import Log
    from mailblast.delivery.pace import Pace
    from mailblast.executors.executor import Executor, OnDone, OnOutcome
    from mailblast.model.message import Attachment
    from mailblast.providers.provider import Provider


class InlineRoute:
    """See ``failover.Route``.

    Args:
        provider: Not open.
        make_pace: Makes its limits, when it is open and has told its own.
        make_composer: Makes what makes the messages, given whether they carry what they are made of.
        log: Gets marks and outcomes.
        clock: Times and waits.
        batches_in_flight: As of the executor.
        attachments: Of every message; checked against what the provider takes.
        reconnects: As of the executor.
    """

    def __init__(
        self,
        provider: Provider,
        make_pace: Callable[[], Pace],
        make_composer: Callable[[bool], Composer],
        log: Log,
        clock: Clock,
        *,
        batches_in_flight: int,
        attachments: Sequence[Attachment] = (),
        reconnects: int = MAX_RECONNECTS,
    ) -> None:
        self.name = provider.name
        self.provider = provider
        self.pace: Pace | None = None
        self._make_pace = make_pace
        self._make_composer = make_composer
        self._log = log
        self._clock = clock
        self._batches_in_flight = batches_in_flight
        self._attachments = attachments
        self._reconnects = reconnects

    async def open(self) -> None:
        """Connect, and read the limits."""
        await self.provider.open()
        self.open_limits()

    def open_limits(self) -> None:
        """Read the limits of a provider that is open.

        Raises:
            UsageError: The attachments are larger than it takes.
        """
        check_total_size(self._attachments, self.provider.limits.size_bytes, provider=self.name)
        self.pace = self._make_pace()

    def close_limits(self) -> None:
        """Close the limits; the provider stays open."""
        if self.pace is not None:
            self.pace.close()
            self.pace = None

    def composer(self) -> Composer:
        """Compile the messages."""
        return self._make_composer(self.provider.wants_composition)

    def make_executor(self, on_outcome: OnOutcome, on_done: OnDone) -> Executor:
        """Return what delivers by this provider, which is open."""
        assert self.pace is not None, "it is open"
        pipeline = Pipeline(
            self.composer(),
            self._log,
            self.pace,
            provider_name=self.name,
            clock=self._clock,
            on_outcome=on_outcome,
        )
        return InlineExecutor(
            pipeline,
            self.provider,
            self._clock,
            batches_in_flight=self._batches_in_flight,
            on_done=on_done,
            reconnects=self._reconnects,
        )

    async def close(self) -> None:
        """Close the limits and all connections."""
        self.close_limits()
        await self.provider.close()

"""One campaign in a worker: its pipeline, fed with batches, and the carrier that empties it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import MailblastError, RunInterruptedError
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Batch, Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.composer import Composer
    from mailblast.delivery.pace import Pace
    from mailblast.executors.queue.carrier import Carrier
    from mailblast.executors.queue.deferred import Deferred
    from mailblast.executors.queue.document import Delivery
    from mailblast.executors.queue.ledger import Ledger
    from mailblast.model.campaign import Campaign, Keys
    from mailblast.providers.provider import Provider

#: A campaign of which nothing has come for so long is idle.
IDLE_LANE_S = 60.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What this machine has for a campaign."""

    #: Of the carrier: campaigns with the same go by the same connections.
    transport: object
    #: Opens the provider; the context keeps it open.
    lease: Callable[[], contextlib.AbstractAsyncContextManager[Provider]]
    make_pace: Callable[[Provider], Pace]
    keys: Keys


class Lane:
    """One campaign in this worker.

    Args:
        campaign: Which.
        delivery: How it was asked to be delivered.
        composer: Of its messages.
        ledger: Keeps marks and outcomes.
        pace: Its limits; closed with it.
        carrier: Delivers from its pipeline.
        deferred: Told by the ledger.
        clock: Times and waits.
        on_outcome: Called for each outcome.
    """

    def __init__(
        self,
        campaign: Campaign,
        delivery: Delivery,
        composer: Composer,
        ledger: Ledger,
        pace: Pace,
        carrier: Carrier,
        deferred: Deferred,
        *,
        clock: Clock,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self.campaign = campaign
        self.delivery = delivery
        self.ledger = ledger
        self.carrier = carrier
        self.deferred = deferred
        #: Why nothing of it is delivered here, such as ``paused``; empty while it is.
        self.held = ""
        self._composer = composer
        self._pace = pace
        self._clock = clock
        self._on_outcome = on_outcome
        self._batches = 0
        #: Monotonic seconds when its last batch was done with; 0 before the first.
        self._used_s = 0.0
        self._pipeline = self._make_pipeline()
        carrier.add(self._pipeline)

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep it from being idle."""
        self._batches += 1
        try:
            yield
        finally:
            self._batches -= 1
            self._used_s = self._clock.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether nothing of it has come for long, and all that came is told."""
        if self._batches or not self._used_s or self.ledger.unanswered:
            return False
        return self._clock.monotonic() - self._used_s > IDLE_LANE_S

    async def deliver(self, claims: Sequence[Claim]) -> tuple[list[Outcome], MailblastError | None]:
        """Deliver as far as possible; return the outcomes in the order of the claims, and what stopped it if anything.

        What was stopped before is taken up again, unless the campaign is held.
        """
        if self._pipeline.stopped is not None and not self.held:
            self.carrier.remove(self._pipeline)
            self._pipeline = self._make_pipeline()
            self.carrier.add(self._pipeline)
        pipeline = self._pipeline
        outcomes = await pipeline.deliver_batch(Batch(-1, tuple(claims)))
        return outcomes, pipeline.stopped

    def stop(self, reason: MailblastError) -> None:
        """Send nothing more for now; what is in flight is finished."""
        self._pipeline.stop(reason)

    def hold(self, state: str) -> None:
        """Deliver nothing while the campaign's state at the server is another than ``active``."""
        self.held = "" if state == "active" else state or "gone"
        if self.held:
            self.stop(RunInterruptedError(f"{self.campaign.name} is {self.held}."))

    def limiting(self) -> str:
        """Return what it waits for, in a few words."""
        return self._pipeline.limiting() if self._batches else ""

    def let_go(self) -> None:
        """Leave the carrier to others; nothing is in flight."""
        self.carrier.remove(self._pipeline)
        self._pace.close()

    def close(self) -> None:
        """Send nothing more at all."""
        self._pipeline.close()
        self._pace.close()

    def _make_pipeline(self) -> Pipeline:
        return Pipeline(
            self._composer,
            self.ledger,
            self._pace,
            provider_name=self.carrier.provider.name,
            clock=self._clock,
            on_outcome=self._note,
        )

    def _note(self, outcome: Outcome) -> None:
        self.ledger.note(outcome)
        if outcome.state is not State.UNSENT:
            self._on_outcome(outcome)

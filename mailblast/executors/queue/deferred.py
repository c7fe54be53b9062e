"""Who of a campaign was deferred, and when they are tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.delivery.retry import deferred_delay_s
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from mailblast.clock import Clock
    from mailblast.model.recipient import Claim


class Deferred:
    """The deferred recipients of one campaign, while they are in this worker.

    Args:
        patience_until_s: Unix seconds up to which they are tried again.
        clock: Time of day.
        jitter: Spreads second tries.
    """

    def __init__(self, patience_until_s: float, clock: Clock, jitter: Random) -> None:
        self._patience_until_s = patience_until_s
        self._clock = clock
        self._jitter = jitter
        #: Seconds after which they are tried again, by number.
        self._delays: dict[int, float] = {}

    def is_tried_again(self, outcome: Outcome) -> bool:
        """Return whether a deferred recipient is tried again within the campaign's patience; note when."""
        delay_s = deferred_delay_s(max(outcome.attempts, 1), self._jitter.random(), outcome.retry_after_s)
        if self._clock.now() + delay_s > self._patience_until_s:
            return False
        self._delays[outcome.id] = delay_s
        return True

    def take(self, claims: Sequence[Claim], outcomes: Sequence[Outcome]) -> tuple[list[Claim], float]:
        """Return who of a batch is tried again, and after how many seconds, the longest of theirs."""
        later: list[Claim] = []
        delay_s = 0.0
        for claim, outcome in zip(claims, outcomes, strict=True) if self._delays else ():
            delay = self._delays.pop(claim.id, None)
            if delay is not None and outcome.state is State.DEFERRED:
                later.append(claim._replace(attempts=outcome.attempts))
                delay_s = max(delay_s, delay)
        return later, delay_s

"""The last look before a batch is handed out: who is on the do-not-mail list gets nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.model.outcome import Outcome, State
from mailblast.recipients.suppression_entry import HARD_BOUNCES, Reason, SuppressionEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.clock import Clock
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Batch, Claim
    from mailblast.recipients.suppression import SuppressionList


class SuppressionFilter:
    """Settle the claims of those who must not be mailed.

    Args:
        suppressions: The do-not-mail list.
        journal: Keeps their outcomes.
        clock: Times.
        on_outcome: Called for each of them.
    """

    def __init__(
        self,
        suppressions: SuppressionList,
        journal: Journal,
        clock: Clock,
        on_outcome: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._suppressions = suppressions
        self._journal = journal
        self._clock = clock
        self._on_outcome = on_outcome

    def left(self, batch: Batch) -> Batch:
        """Return the batch without those who must not be mailed; their outcomes are on record then.

        Raises:
            SuppressionError: The list cannot be read; nobody may be mailed.
            JournalError: The outcomes cannot be recorded.
        """
        claims = batch.claims
        found = self._suppressions.suppressed([claim.recipient.address for claim in claims])
        if not found:
            return batch
        outcomes = [
            self._outcome(claim, found[claim.recipient.address]) for claim in claims if claim.recipient.address in found
        ]
        self._journal.fold(outcomes)
        for outcome in outcomes:
            self._on_outcome(outcome)
        return batch._replace(claims=tuple(claim for claim in claims if claim.recipient.address not in found))

    def _outcome(self, claim: Claim, entry: SuppressionEntry) -> Outcome:
        recipient = claim.recipient
        # In doubt stays in doubt: the list says who is not mailed again, not who was not mailed before.
        source = f", {entry.source}" if entry.source else ""
        return Outcome(
            claim.id,
            recipient.key,
            recipient.address,
            recipient.row,
            State.SUPPRESSED if claim.digest is None else State.IN_DOUBT,
            self._clock.now(),
            text=f"on the do-not-mail list: {entry.reason.value} ({entry.subject}{source})",
            attempts=claim.attempts,
            digest=claim.digest,
            fields=recipient.fields,
        )


def hard_bounces(outcomes: Sequence[Outcome], campaign: str) -> list[SuppressionEntry]:
    """Return entries for those that a server has refused for good because of their address."""
    return [
        SuppressionEntry(outcome.address.lower(), Reason.BOUNCE, f"refused in {campaign}", outcome.time_s)
        for outcome in outcomes
        if outcome.state is State.FAILED and outcome.enhanced in HARD_BOUNCES
    ]

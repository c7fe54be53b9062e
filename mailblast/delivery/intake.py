"""Rows to batches: what is read is checked against the journal and claimed, so that nobody is sent to twice."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, NamedTuple

from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Batch, Claim, Recipient
from mailblast.model.row import BadRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mailblast.clock import Clock
    from mailblast.journal.journal import ClaimPolicy, Journal


class Selection(NamedTuple):
    """Which part of the list a run takes."""

    #: Claim at most this many recipients; None takes all.
    limit: int | None = None
    #: Share of the recipients between 0 and 1, always the same ones for the same campaign.
    sample: float = 1.0


class Intake:
    """Turn what the list gives into batches of claims.

    Args:
        journal: Says who is left, and keeps bad rows and duplicates.
        policy: Whether failed or doubtful recipients are taken again.
        selection: Which part of the list is taken.
        batch_size: Claims in a batch.
        clock: Times of outcomes.
        on_outcome: Called for each row that ends here: bad rows and duplicates.
    """

    def __init__(
        self,
        journal: Journal,
        policy: ClaimPolicy,
        selection: Selection,
        *,
        batch_size: int,
        clock: Clock,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        self._journal = journal
        self._policy = policy
        #: Recipients that the limit still lets in; None without one.
        self.left = selection.limit
        self._threshold = round(selection.sample * 2**32)
        self._batch_size = batch_size
        self._clock = clock
        self._on_outcome = on_outcome
        self._waiting: list[Claim] = []
        self._sequence = 0
        #: Rows dealt with so far: skipped, recorded as bad or duplicate, or claimed.
        self.rows = 0
        #: Rows that need nothing: settled by an earlier run, or outside the sample.
        self.skipped = 0
        #: Of these, how many are in doubt and held.
        self.held = 0

    @property
    def full(self) -> bool:
        """Whether the limit is reached and no more rows are wanted."""
        return self.left == 0

    def take(self, rows: Sequence[Recipient | BadRow]) -> Iterator[Batch]:
        """Claim what these rows give; yield a batch whenever one is full.

        Raises:
            JournalError: A claim cannot be written; nothing of it was handed out.
        """
        recipients: list[Recipient] = []
        faults: list[Outcome] = []
        for row in rows:
            if isinstance(row, BadRow):
                faults.append(self._fault(row))
            elif self._threshold == 2**32 or self._sampled(row.key):
                recipients.append(row)
            else:
                self._skip(1)
        # Those read ahead of the limit are left to the next run.
        while recipients and not self.full:
            room = len(recipients) if self.left is None else self.left
            faults += self._claim(recipients[:room])
            del recipients[:room]
        if faults:
            self._journal.record_faults(faults)
            self.rows += len(faults)
            for fault in faults:
                self._on_outcome(fault)
        while len(self._waiting) >= self._batch_size:
            yield self._batch(self._batch_size)

    def rest(self) -> Iterator[Batch]:
        """Yield the last batch, where one is begun."""
        if self._waiting:
            yield self._batch(len(self._waiting))

    def _claim(self, recipients: list[Recipient]) -> Sequence[Outcome]:
        claims = self._journal.claim(recipients, self._policy)
        self._waiting.extend(claims.claims)
        self.rows += len(claims.claims)
        self._skip(claims.skipped)
        self.held += claims.held
        if self.left is not None:
            self.left -= len(claims.claims)
        return claims.duplicates

    def _skip(self, rows: int) -> None:
        self.rows += rows
        self.skipped += rows

    def _batch(self, size: int) -> Batch:
        batch = Batch(self._sequence, tuple(self._waiting[:size]))
        del self._waiting[:size]
        self._sequence += 1
        return batch

    def _sampled(self, key: str) -> bool:
        return zlib.crc32(f"{self._journal.token}:{key}".encode(errors="surrogatepass")) < self._threshold

    def _fault(self, row: BadRow) -> Outcome:
        reason = f"column '{row.column}': {row.reason}" if row.column else row.reason
        return Outcome(0, "", row.address, row.number, State.INVALID, self._clock.now(), text=reason, fields=row.fields)

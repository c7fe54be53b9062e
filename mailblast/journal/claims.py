"""Who of a batch may be sent to."""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mailblast.journal.codes import ACCEPTED, FAILED, IN_DOUBT, SENDING
from mailblast.journal.columns import storable, to_json
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailblast.journal.table import DueRow, Known, RecipientTable


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """Which settled recipients are sent to once more."""

    #: Those refused for good.
    retry_failed: bool = False
    #: Those whose reply was lost; each may get a second copy.
    resend_in_doubt: bool = False


class Claims(NamedTuple):
    """What became of a batch of recipients. The four add up to it, ``held`` being part of ``skipped``."""

    claims: tuple[Claim, ...]
    #: Outcomes with id 0 and state ``duplicate``.
    duplicates: tuple[Outcome, ...]
    #: Settled before this run.
    skipped: int
    #: Skipped because they are in doubt.
    held: int


class Claimer:
    """Hands out claims, each recipient once in a run.

    Memory: four bytes for each recipient of the campaign, and the recipients of claims that are not folded yet.

    Args:
        table: Where each recipient stands.
    """

    def __init__(self, table: RecipientTable) -> None:
        self._table = table
        #: By recipient id: 1 + the row it was first seen in, 0 while not seen in this run. Ids are dense.
        self._first_rows = array("I", bytes(4 * (table.last_id() + 1)))
        self._open: dict[int, Recipient] = {}

    def claim(self, recipients: Sequence[Recipient], policy: ClaimPolicy, time_s: float) -> Claims:
        """Claim what may be sent to; see ``Journal.claim()``."""
        batch = _Batch(policy, time_s, self._first_rows)
        try:
            known = self._table.known([recipient.key for recipient in recipients])
        except UnicodeEncodeError:
            # A key column may hold anything.
            recipients = [
                recipient._replace(key=storable(recipient.key), address=storable(recipient.address))
                for recipient in recipients
            ]
            known = self._table.known([recipient.key for recipient in recipients])
        for recipient in recipients:
            entry = known.get(recipient.key)
            if entry is None:
                known[recipient.key] = batch.add_new(recipient)
            else:
                batch.add_known(recipient, entry)
        self._table.claim(batch.new, batch.again, batch.in_doubt)
        self._open.update((claim.id, claim.recipient) for claim in batch.claims)
        return Claims(tuple(batch.claims), tuple(batch.duplicates), batch.skipped, len(batch.in_doubt))

    def reopen(self, rows: Iterable[DueRow]) -> tuple[Claim, ...]:
        """Return claims for those that are due again, in ``RecipientTable.take_due()``'s columns."""
        claims = tuple(map(_due_claim, rows))
        self._open.update((claim.id, claim.recipient) for claim in claims)
        return claims

    def recipient(self, claim_id: int) -> Recipient | None:
        """Return the recipient of a claim that is not folded yet."""
        return self._open.get(claim_id)

    @property
    def has_open(self) -> bool:
        """Whether a claim is not folded yet."""
        return bool(self._open)

    def close(self, claim_ids: Iterable[int]) -> None:
        """Forget claims that are folded."""
        for claim_id in claim_ids:
            self._open.pop(claim_id, None)


class _Batch:
    """Sorts one batch; nothing is recorded here."""

    def __init__(self, policy: ClaimPolicy, time_s: float, first_rows: array[int]) -> None:
        self._policy = policy
        self._time_s = time_s
        self._dated_s = int(time_s)
        self._first_rows = first_rows
        self.claims: list[Claim] = []
        self.duplicates: list[Outcome] = []
        self.skipped = 0
        self.new: list[tuple[int, str, int, str | None, int]] = []
        self.again: list[tuple[int, str | None, int, int]] = []
        self.in_doubt: list[tuple[int, str | None, int]] = []

    def add_new(self, recipient: Recipient) -> Known:
        key, row, dated_s = recipient.key, recipient.row, self._dated_s
        claim_id = len(self._first_rows)
        self._first_rows.append(row + 1)
        self.new.append((claim_id, key, row, None if recipient.address == key else recipient.address, dated_s))
        self.claims.append(Claim(claim_id, recipient, dated_s))
        return key, claim_id, SENDING, 0, dated_s, None

    def add_known(self, recipient: Recipient, entry: Known) -> None:
        _, claim_id, state, attempts, dated_s, digest = entry
        first_row = self._first_rows[claim_id]
        if first_row:
            self.duplicates.append(self._duplicate(recipient, first_row - 1))
            return
        self._first_rows[claim_id] = recipient.row + 1
        if state == ACCEPTED or (state == FAILED and not self._policy.retry_failed):
            self.skipped += 1
        elif state == IN_DOUBT and not self._policy.resend_in_doubt:
            self.skipped += 1
            self.in_doubt.append((recipient.row, to_json(recipient.fields), claim_id))
        else:
            if state != IN_DOUBT:
                digest = None
                if not attempts:
                    # No message has left, so none needs to be repeated.
                    dated_s = self._dated_s
            self.claims.append(Claim(claim_id, recipient, dated_s, attempts, digest))
            address = None if recipient.address == recipient.key else recipient.address
            self.again.append((recipient.row, address, dated_s, claim_id))

    def _duplicate(self, recipient: Recipient, first_row: int) -> Outcome:
        return Outcome(
            id=0,
            key=recipient.key,
            address=recipient.address,
            row=recipient.row,
            state=State.DUPLICATE,
            time_s=self._time_s,
            text=f"The key {recipient.key} was seen before, in row {first_row}.",
            fields=recipient.fields,
        )


def _due_claim(row: DueRow) -> Claim:
    _, variables, claim_id, key, number, address, columns, dated_s, attempts, state, digest = row
    fields = json.loads(columns) if columns else {}
    return Claim(
        claim_id,
        Recipient(number, key, address, json.loads(variables) if variables else fields, fields),
        dated_s,
        attempts,
        digest if state == IN_DOUBT else None,
    )

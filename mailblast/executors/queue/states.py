"""What the byte of a recipient means. Final ones are the codes of the journal."""

from __future__ import annotations

from mailblast.journal.codes import ACCEPTED, CODES, DEFERRED, FAILED, IN_DOUBT
from mailblast.model.outcome import State

__all__ = ["ACCEPTED", "CODES", "DEFERRED", "FAILED", "FIRST_SLOT", "IN_DOUBT", "NEW", "QUEUED", "State"]

#: Nothing is known of it.
NEW = 0
#: In a batch that is not finished.
QUEUED = CODES[State.UNSENT]
#: From here on: being sent to by the worker with this slot.
FIRST_SLOT = 16

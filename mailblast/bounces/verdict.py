"""What follows from a report: for the campaign, and for the address."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from mailblast.bounces.report import Kind
from mailblast.model.outcome import State
from mailblast.recipients.suppression_entry import HARD_BOUNCES

if TYPE_CHECKING:
    from mailblast.bounces.report import Reported

#: The mailbox is full: it may be emptied, or never be again.
SOFT = frozenset({"4.2.2", "5.2.2"})
#: States that a report may correct: a bounce speaks of what was accepted, and proves that what was in doubt arrived.
CORRECTED = frozenset({State.ACCEPTED, State.IN_DOUBT})


class Verdict(StrEnum):
    """What a report means for the address."""

    #: Never mail it again.
    HARD = "hard"
    #: Count it; several over a week or more mean never again.
    SOFT = "soft"
    #: Never mail it again: the recipient asked so.
    COMPLAINT = "complaint"
    #: Policy, content, size, a time-out: not the address's fault.
    OTHER = "other"
    #: Not yet decided, or delivered.
    NONE = "none"


def verdict_of(reported: Reported) -> Verdict:
    """Return what a report means for the address."""
    if reported.kind is Kind.COMPLAINT:
        return Verdict.COMPLAINT
    if reported.kind is not Kind.FAILED:
        return Verdict.NONE
    if reported.enhanced in HARD_BOUNCES:
        return Verdict.HARD
    if reported.enhanced in SOFT:
        return Verdict.SOFT
    return Verdict.OTHER


def corrected_state(state: State, reported: Reported) -> State | None:
    """Return the state that a recipient has in the light of a report; None where nothing changes.

    Args:
        state: On record.
        reported: What the report says.
    """
    if state not in CORRECTED:
        return None
    new = State.FAILED if reported.kind is Kind.FAILED else State.ACCEPTED
    return None if new is state else new

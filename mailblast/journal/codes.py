"""States as small integers, as they are stored."""

from __future__ import annotations

from mailblast.model.outcome import State

#: A contract with every journal on disk: numbers are added, never changed.
CODES: dict[State, int] = {
    State.ACCEPTED: 1,
    State.DEFERRED: 2,
    State.FAILED: 3,
    State.INVALID: 4,
    State.SUPPRESSED: 5,
    State.DUPLICATE: 6,
    State.IN_DOUBT: 7,
    State.UNSENT: 8,
    State.SENDING: 9,
}
STATES: dict[int, State] = {code: state for state, code in CODES.items()}

ACCEPTED = CODES[State.ACCEPTED]
DEFERRED = CODES[State.DEFERRED]
FAILED = CODES[State.FAILED]
IN_DOUBT = CODES[State.IN_DOUBT]
UNSENT = CODES[State.UNSENT]
SENDING = CODES[State.SENDING]

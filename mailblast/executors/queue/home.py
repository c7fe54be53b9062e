"""What came of a campaign, taken from the server into its journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.executors.queue.outcomes import from_text
from mailblast.executors.queue.states import FIRST_SLOT
from mailblast.executors.queue.workers import Workers
from mailblast.journal.records import outcome_json
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.executors.queue.store import Store

IN_DOUBT_TEXT = "the worker that was sending it is gone, and whether the message was complete is not known"


def take_home(
    store: Store,
    token: str,
    fold: Callable[[Sequence[Outcome]], None],
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Take all outcomes that are at the server into the journal; return how many.

    Args:
        store: The server.
        token: The campaign's.
        fold: Records outcomes; they are removed at the server afterwards.
        goes_on: Returns whether there is time for more.

    Raises:
        QueueError: The server is away or refuses.
        JournalError: They cannot be recorded; they stay at the server.
    """
    count, done = 0, ""
    while goes_on() and (arrived := store.take_outcomes(token, done)):
        outcomes = {outcome.id: outcome for outcome in from_text(arrived.again, {})}
        # These came later: whoever has a final state is not tried again.
        outcomes |= {outcome.id: outcome for outcome in from_text(arrived.final, {})}
        fold(list(outcomes.values()))
        done = arrived.last
        count += len(outcomes)
    if done:
        store.take_outcomes(token, done, 0)
    return count


def dead_slots(store: Store) -> list[int]:
    """Return the slots of no worker that lives."""
    living = {told["slot"] for told in Workers(store).living()}
    return [slot for slot in range(FIRST_SLOT, 256) if slot not in living]


def settle(store: Store, token: str, now_s: float) -> int:
    """Declare in doubt who was being sent to by workers that are gone; return how many."""

    def payload(ids: Sequence[int]) -> str:
        return ",".join(outcome_json(_in_doubt(claim_id, now_s)) for claim_id in ids)

    return store.settle(token, dead_slots(store), payload)


def _in_doubt(claim_id: int, now_s: float) -> Outcome:
    return Outcome(claim_id, "", "", 0, State.IN_DOUBT, now_s, text=IN_DOUBT_TEXT)

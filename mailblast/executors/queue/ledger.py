"""The pipeline's log where the ledger is at the server: marks before, outcomes after, one answer awaited a turn."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from mailblast.executors.queue.outcomes import to_text
from mailblast.executors.queue.runs import runs_by_state, runs_of
from mailblast.executors.queue.spool import Group
from mailblast.executors.queue.states import CODES, QUEUED
from mailblast.executors.queue.store import PREFIX, QueueAwayError
from mailblast.executors.queue.wire import LeaseLostError
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.executors.queue.spool import Spool
    from mailblast.executors.queue.wire import Wire
    from mailblast.model.outcome import Outcome


class Ledger:
    """One campaign's marks and outcomes, as a pipeline's ``Log``.

    ``commit()`` waits for the server where there are marks, for all of one turn together; outcomes alone are sent and
    not waited for.

    Args:
        wire: Of the worker.
        spool: Of the worker.
        token: The campaign's.
        worker: The worker's id.
        slot: The worker's byte.
        may_retry: Returns whether a deferred recipient is tried again.
    """

    #: See ``Log``, which this is one of.
    is_remote = True

    def __init__(
        self, wire: Wire, spool: Spool, token: str, worker: str, slot: int, may_retry: Callable[[Outcome], bool]
    ) -> None:
        self._wire = wire
        self._spool = spool
        self._token = token
        self._worker = worker
        self._slot = slot
        self._may_retry = may_retry
        self._keys = [f"{PREFIX}{token}:{name}" for name in ("ledger", "outcomes", "groups")]
        self._number = 0
        self._marks: list[int] = []
        self._final: list[str] = []
        self._again: list[str] = []
        self._ids: dict[int, list[int]] = {}
        self._last: Outcome | None = None
        self._refused: list[Any] = []
        #: Told and not answered.
        self.unanswered: dict[int, Group] = {}

    def begin(self, claim_id: int, _digest: int, _time_s: float, /) -> None:
        """Mark a recipient with ``commit()``."""
        self._marks.append(claim_id)

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a recipient."""
        self._last = outcome
        state = outcome.state
        code = CODES[state]
        if state is State.ACCEPTED:
            self._final.append(to_text(outcome))
        elif state is State.DEFERRED and self._may_retry(outcome):
            code = QUEUED
            self._again.append(to_text(outcome))
        elif state is not State.UNSENT:
            self._final.append(to_text(outcome))
        self._ids.setdefault(code, []).append(outcome.id)

    def note(self, outcome: Outcome) -> None:
        """Note an outcome that the pipeline told, unless it has been noted: of somebody who was never begun."""
        if outcome is not self._last and outcome.state is not State.UNSENT:
            self.finish(outcome)

    def commit(self) -> None:
        """Tell everything; wait where there are marks.

        Raises:
            LeaseLostError: Somebody else is sending to one of the marked; nobody is marked.
            QueueAwayError: The server does not answer; outcomes are kept, and nobody marked may be sent to.
        """
        marks, self._marks = self._marks, []
        group = self._group()
        if group is None and not marks:
            return
        head = [self._slot, self._worker, "", "", "", ""] if group is None else group.arguments()[:-1]
        number = 0 if group is None else group.number
        try:
            self._wire.send(self._keys, [*head, runs_of(sorted(marks))], lambda answer: self._told(number, answer))
            if marks:
                self._wire.read()
        except QueueAwayError:
            self._spool.keep(self._token, self.unanswered.values())
            raise
        if self._refused:
            self._refused = []
            raise LeaseLostError("Another worker has taken over what this one was about to send.")

    def barrier(self) -> None:
        """Tell everything and wait until it is known there.

        Raises:
            QueueAwayError: The server does not answer; outcomes are kept.
        """
        self.commit()
        self._wire.insist()
        try:
            self._wire.read()
        except QueueAwayError:
            self._spool.keep(self._token, self.unanswered.values())
            raise

    def tell_again(self) -> None:
        """Tell once more what was not answered; the server knows what it has had.

        Raises:
            QueueError: The server is away or refuses.
        """
        for group in list(self.unanswered.values()):
            told = functools.partial(self._told, group.number)
            self._wire.send(self._keys, group.arguments(), told)
        self._wire.read()
        self._spool.keep(self._token, self.unanswered.values())

    def _group(self) -> Group | None:
        if not self._ids:
            return None
        self._number += 1
        group = Group(
            self._token,
            self._worker,
            self._slot,
            self._number,
            ",".join(self._final),
            ",".join(self._again),
            runs_by_state(self._ids),
        )
        self._final, self._again, self._ids = [], [], {}
        self.unanswered[group.number] = group
        return group

    def _told(self, number: int, refused: list[Any]) -> None:
        self.unanswered.pop(number, None)
        if refused:
            self._refused = refused

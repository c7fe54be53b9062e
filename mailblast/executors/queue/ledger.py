"""The pipeline's log where the ledger is at the server: marks before, outcomes after, told together once a turn."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import TYPE_CHECKING

from mailblast.errors import MailblastError
from mailblast.executors.queue.keys import keys_of
from mailblast.executors.queue.runs import runs_by_state, runs_of
from mailblast.executors.queue.spool import Group
from mailblast.executors.queue.states import CODES, QUEUED
from mailblast.executors.queue.store import QueueAwayError
from mailblast.executors.queue.wire import LeaseLostError, head, words
from mailblast.journal.records import outcome_json
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailblast.executors.queue.spool import Spool
    from mailblast.executors.queue.store import QueueError
    from mailblast.executors.queue.wire import Wire
    from mailblast.model.outcome import Outcome


class _Turn:
    """One that is not answered yet."""

    __slots__ = ("known", "marked", "number")

    def __init__(self, number: int) -> None:
        #: Of its group of outcomes; 0 for none.
        self.number = number
        #: Done when its marks are set; None where it has none.
        self.marked: asyncio.Future[None] | None = None
        #: Done when the server has had it; None where nobody waits for that.
        self.known: asyncio.Future[None] | None = None

    def end(self, error: MailblastError | None) -> None:
        """Tell who waits for it."""
        marked, known = self.marked, self.known
        if marked is not None and not marked.done():
            if error is None:
                marked.set_result(None)
            else:
                marked.set_exception(error)
        if known is not None and not known.done():
            # A lost lease is an answer, too: marks were refused, outcomes were taken.
            if error is None or isinstance(error, LeaseLostError):
                known.set_result(None)
            else:
                known.set_exception(error)


class Ledger:
    """One campaign's marks and outcomes, as a pipeline's ``Log``.

    All of one turn of the loop is told together. Nothing is waited for but the answer to marks; outcomes alone are
    sent, and told again by ``tell_again()`` where the answer is lost.

    Args:
        wire: Of the worker.
        spool: Of the worker.
        token: The campaign's.
        worker: The worker's id.
        slot: The worker's byte.
        may_retry: Returns whether a deferred recipient is tried again.
        numbers: Of its groups of outcomes; those of the campaign in this worker, which may be opened several times.
    """

    #: See ``Log``, which this is one of.
    is_remote = True

    def __init__(
        self,
        wire: Wire,
        spool: Spool,
        token: str,
        worker: str,
        slot: int,
        may_retry: Callable[[Outcome], bool],
        numbers: Iterator[int],
    ) -> None:
        self._wire = wire
        self._spool = spool
        self._token = token
        self._worker = worker
        self._slot = slot
        self._may_retry = may_retry
        self._head = head(keys_of(token, "ledger", "outcomes", "groups"), [str(slot), worker])
        self._numbers = numbers
        self._marks: list[int] = []
        self._final: list[str] = []
        self._again: list[str] = []
        self._ids: dict[int, list[int]] = {}
        self._last: Outcome | None = None
        #: What the wire has of it, in order.
        self._turns: deque[_Turn] = deque()
        #: Outcomes that are told and not answered, by number.
        self.unanswered: dict[int, Group] = {}
        self._is_kept = False

    def begin(self, claim_id: int, _digest: int, _time_s: float, /) -> None:
        """Mark a recipient with ``commit()``."""
        self._marks.append(claim_id)

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a recipient."""
        self._last = outcome
        if self._marks and outcome.id in self._marks:
            # Begun, and not told before it was given up.
            self._marks.remove(outcome.id)
        state = outcome.state
        code = CODES[state]
        if state is State.ACCEPTED:
            self._final.append(outcome_json(outcome))
        elif state is State.DEFERRED and self._may_retry(outcome):
            code = QUEUED
            self._again.append(outcome_json(outcome))
        elif state is not State.UNSENT:
            self._final.append(outcome_json(outcome))
        self._ids.setdefault(code, []).append(outcome.id)

    def note(self, outcome: Outcome) -> None:
        """Note an outcome that the pipeline told, unless it has been noted: of somebody who was never begun."""
        if outcome is not self._last and outcome.state is not State.UNSENT:
            self.finish(outcome)

    def commit(self) -> asyncio.Future[None] | None:
        """Tell everything; what is returned is done when the marks are set there, None where there are none.

        It fails with ``LeaseLostError`` where somebody else is sending to one of the marked, and nobody is marked; with
        ``QueueError`` where the server does not answer: outcomes are kept, and nobody marked may be sent to.

        Raises:
            QueueAwayError: The server is known to be away; the same holds.
        """
        marks, self._marks = self._marks, []
        group = self._group()
        if group is None and not marks:
            return None
        turn = _Turn(0 if group is None else group.number)
        try:
            self._send(turn, group, runs_of(sorted(marks)))
        except QueueAwayError:
            self._keep()
            raise
        if marks:
            turn.marked = asyncio.get_running_loop().create_future()
        return turn.marked

    async def barrier(self) -> None:
        """Tell everything and wait until it is known there.

        Raises:
            QueueError: The server does not answer; outcomes are kept.
        """
        self.commit()
        self._wire.insist()
        if not self._turns:
            return
        last = self._turns[-1]
        if last.known is None:
            last.known = asyncio.get_running_loop().create_future()
        # Others may wait for it as well.
        await asyncio.shield(last.known)

    def tell_again(self) -> None:
        """Tell once more what was not answered; the server knows what it has had.

        Nothing newer may be told before.

        Raises:
            QueueAwayError: The server is away.
        """
        for group in list(self.unanswered.values()):
            self._send(_Turn(group.number), group, "")

    # The wire calls.

    def answered(self, *, refused: bool) -> None:
        """Take the answer to the oldest turn."""
        turn = self._turns.popleft()
        self.unanswered.pop(turn.number, None)
        if refused:
            turn.end(LeaseLostError("Another worker has taken over what this one was about to send."))
        else:
            turn.end(None)
        if self._is_kept and not self.unanswered:
            # What stays in the file is told again, and known.
            with contextlib.suppress(MailblastError):
                self._keep()

    def lost(self, error: QueueError) -> None:
        """Keep what has no answer."""
        trouble: MailblastError = error
        try:
            self._keep()
        except MailblastError as not_kept:
            trouble = not_kept
        turns, self._turns = self._turns, deque()
        for turn in turns:
            turn.end(trouble)

    # Inside.

    def _send(self, turn: _Turn, group: Group | None, marks: str) -> None:
        if group is None:
            rest = words("", "", "", "", "", marks)
        else:
            oldest = next(iter(self.unanswered))
            rest = words(str(group.number), str(oldest), group.final, group.again, group.states, marks)
        self._wire.send(self._head + rest, self)
        self._turns.append(turn)

    def _keep(self) -> None:
        self._is_kept = bool(self.unanswered)
        self._spool.keep(self._token, self.unanswered.values())

    def _group(self) -> Group | None:
        if not self._ids:
            return None
        group = Group(
            self._token,
            self._worker,
            self._slot,
            next(self._numbers),
            ",".join(self._final),
            ",".join(self._again),
            runs_by_state(self._ids),
        )
        self._final, self._again, self._ids = [], [], {}
        self.unanswered[group.number] = group
        return group

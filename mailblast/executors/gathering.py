"""Outcomes of finished batches, gathered so that one transaction of the journal takes many."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.clock import Clock
    from mailblast.executors.executor import OnDone
    from mailblast.model.outcome import Outcome

#: A transaction costs as much as a few dozen rows in it.
GROUP = 500
#: At the pace of a throttled run, nobody waits longer to be seen from outside.
LONGEST_S = 1.0


class Gathering:
    """Hand on outcomes in groups. Until then they are in the segments, so a kill loses none.

    Args:
        on_done: Folds a group.
        clock: How long the oldest one waits.
        group: Outcomes handed on at once; 1 hands on each batch when it is finished.
    """

    def __init__(self, on_done: OnDone, clock: Clock, *, group: int = GROUP) -> None:
        self._on_done = on_done
        self._group = group
        self._monotonic = clock.monotonic
        self._outcomes: list[Outcome] = []
        self._handed_on_s = clock.monotonic()

    def add(self, outcomes: Sequence[Outcome]) -> bool:
        """Take in a batch's outcomes; return whether everything has been handed on with them.

        Raises:
            JournalError: As ``on_done`` does; what was gathered is forgotten here and stays in the segments.
        """
        self._outcomes += outcomes
        if len(self._outcomes) >= self._group or self._monotonic() - self._handed_on_s >= LONGEST_S:
            self.flush()
            return True
        return False

    def flush(self) -> None:
        """Hand on what there is. Raises as ``add()``."""
        self._handed_on_s = self._monotonic()
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._on_done(outcomes)

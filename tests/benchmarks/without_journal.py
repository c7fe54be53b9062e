"""``mailblast`` with a journal that keeps nothing: what a run would cost without one. For the benchmark alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailblast.cli import bulk_job, outcome_text
from mailblast.cli.app import run
from mailblast.journal.claims import Claims
from mailblast.journal.runs import RunStart
from mailblast.journal.segment import DiscardedSegment
from mailblast.model.outcome import State
from mailblast.model.recipient import Claim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.model.recipient import Recipient


class NoJournal:
    """Claims everybody, remembers nobody."""

    token = "0123456789abcdef"
    recovered = 0
    #: Not there, so that no queue is found in it.
    folder = Path("no-campaign")

    def __init__(self) -> None:
        self._last = 0
        self._segment = DiscardedSegment()

    @classmethod
    def open(cls, *_: Any, **__: Any) -> NoJournal:
        return cls()

    def claim(self, recipients: Sequence[Recipient], policy: object) -> Claims:
        first = self._last + 1
        self._last += len(recipients)
        return Claims(tuple(Claim(number, each, 0) for number, each in enumerate(recipients, first)), (), 0, 0)

    def segment(self) -> DiscardedSegment:
        return self._segment

    def earlier_providers(self) -> frozenset[str]:
        return frozenset()

    def counts(self) -> dict[State, int]:
        return dict.fromkeys(State, 0)

    def begin_run(self, **_: Any) -> RunStart:
        return RunStart(1, template_changed=False, previous_runs=0)

    def next_due_s(self) -> None:
        return None

    def fold(self, *_: Any, **__: Any) -> None: ...

    def record_faults(self, *_: Any) -> None: ...

    def note_progress(self, **_: Any) -> None: ...

    def end_run(self, **_: Any) -> None: ...

    def close(self) -> None: ...


if __name__ == "__main__":
    vars(bulk_job)["Journal"] = NoJournal
    outcome_text.as_json = lambda *args: {"counts": outcome_text.counts_json(args[2].counts)}  # no journal to ask
    sys.exit(run())

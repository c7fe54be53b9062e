"""What a run's end leaves in the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.cli.exit_codes import exit_code_of

if TYPE_CHECKING:
    from mailblast.errors import MailblastError
    from mailblast.executors.run import RunResult
    from mailblast.journal.journal import Journal
    from mailblast.monitor.metrics import Snapshot


def record_end(journal: Journal, result: RunResult, snapshot: Snapshot, code: int) -> None:
    """Record how a run ended.

    Args:
        journal: Its.
        result: What came of it.
        snapshot: Of its monitor.
        code: What the command ends with.

    Raises:
        JournalError: It cannot be written; the outcomes are in the segments all the same.
    """
    journal.end_run(
        counts=result.counts,
        rows=result.rows,
        exit_code=code,
        whole_list=result.whole_list,
        grade=snapshot.grade.letter,
    )


def record_not_begun(journal: Journal, error: MailblastError) -> None:
    """Record that a run ended before anything was handed out.

    Raises:
        JournalError: It cannot be written.
    """
    journal.end_run(counts={}, rows=0, exit_code=exit_code_of(error), whole_list=False)

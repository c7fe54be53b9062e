"""What a run that was killed leaves, brought to a state that can be gone on from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.errors import JournalError
from mailblast.journal.codes import IN_DOUBT, UNSENT
from mailblast.journal.database import damaged
from mailblast.journal.replay import check_end, has_begun, replay
from mailblast.model.outcome import Outcome, State, unsent

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from pathlib import Path

    from mailblast.journal.folder import CampaignFolder
    from mailblast.journal.table import RecipientTable
    from mailblast.model.recipient import Claim


def recover(folder: CampaignFolder, table: RecipientTable) -> int:
    """Fold what the segments tell into the table, so that no claim of an ended run is left open.

    Doing it again changes nothing. The files stay; ``remove_segments()`` comes after.

    Claims that no segment speaks of were never begun, and are unsent; unless a segment is damaged, or none is left
    with anything in it although the run was killed: then they are in doubt.

    Returns:
        How many have become in doubt.

    Raises:
        JournalDamagedError: A segment is damaged, or the table; nothing has been changed.
        JournalError: A file cannot be read, or the table not be written.
    """
    whole, doubted = folder.segments(), folder.damaged_segments()
    if not (whole or doubted or is_open(table)):
        return 0
    _check_end(folder, table)
    told, doubtful = replay(whole), replay(doubted, trusted=False)
    marks = doubtful.marks | told.marks
    outcomes = {claim_id: each for claim_id, each in doubtful.outcomes.items() if claim_id not in marks} | told.outcomes
    if max(marks.keys() | outcomes.keys(), default=0) > table.last_id():
        raise damaged(folder.database, "it has lost recipients that its segments speak of")
    unmarked = UNSENT if not doubted and any(map(has_begun, whole)) else IN_DOUBT
    with table.transaction() as database:
        table.adopt_claimed()
        table.adopt(marks.keys() | outcomes.keys())
        in_doubt = table.settle(
            outcomes.values(),
            [(mark.digest, mark.time_s, mark.id) for mark in marks.values()],
            unmarked,
        )
        _mark_closed(database)
    return in_doubt


def close_settled(table: RecipientTable) -> None:
    """Do what ``recover()`` does where every claim is folded and no segment can tell anything new.

    Raises:
        JournalError: The table cannot be written.
    """
    with table.transaction() as database:
        _mark_closed(database)


def _mark_closed(database: sqlite3.Connection) -> None:
    database.execute("UPDATE meta SET value = 0 WHERE name = 'open'")
    # The next process may have the same number, and so a file of the same name.
    database.execute("DELETE FROM meta WHERE name = 'segment'")


def _check_end(folder: CampaignFolder, table: RecipientTable) -> None:
    """Refuse a segment that is shorter than it was when the last batch was folded."""
    name, length = table.segment_end()
    if name:
        check_end(folder.path / name, length)


def remove_segments(folder: CampaignFolder) -> None:
    """Remove segments that ``recover()`` has folded; damaged ones are kept under another name.

    Raises:
        JournalError: A file cannot be removed.
    """
    try:
        for path in folder.damaged_segments():
            path.rename(path.with_suffix(".kept"))
        for path in folder.segments():
            path.unlink(missing_ok=True)
    except OSError as error:
        raise JournalError(
            f"The journal segments in {folder.path} cannot be removed: {error.strerror}.",
            fix="Check the folder's permissions, then run the same command again: it continues.",
        ) from error


def is_open(table: RecipientTable) -> bool:
    """Return whether the last run with this journal has not closed it."""
    return bool(table.database.execute("SELECT value FROM meta WHERE name = 'open'").fetchone()[0])


def outcomes_of(segments: Sequence[Path], claims: Sequence[Claim], time_s: float) -> tuple[Outcome, ...]:
    """Return what segments tell about claims, ``unsent`` where they tell nothing; see ``Journal.outcomes_of()``."""
    told = replay(segments)
    outcomes = []
    for claim in claims:
        recipient, known, mark = claim.recipient, told.outcomes.get(claim.id), told.marks.get(claim.id)
        outcome = unsent(claim, time_s)
        if mark is not None:
            outcome = outcome._replace(
                state=State.IN_DOUBT, time_s=mark.time_s, attempts=claim.attempts + 1, digest=mark.digest
            )
        elif known is not None and known.attempts > claim.attempts:
            # Not more attempts: an outcome of the claim before this one, which has been folded.
            outcome = known._replace(key=recipient.key, address=recipient.address, row=recipient.row)
        outcomes.append(outcome)
    return tuple(outcomes)

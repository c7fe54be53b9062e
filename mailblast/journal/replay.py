"""Segments → what they settle."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import JournalDamagedError, JournalError
from mailblast.journal.folder import segment_process
from mailblast.journal.records import SEGMENT_VERSION, Header, Mark, Record, Void, decode
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

#: What a damaged file is still believed about: an answer that no later record can take back.
_FINAL = frozenset({State.ACCEPTED, State.FAILED, State.IN_DOUBT})


class Replay(NamedTuple):
    """What segments say about claims, by claim id. An id is in one of the two at most."""

    #: Marked and without an outcome: in doubt.
    marks: dict[int, Mark]
    outcomes: dict[int, Outcome]


def replay(paths: Sequence[Path], *, trusted: bool = True) -> Replay:
    """Read segments and return the last word about each claim.

    Within one process the last record counts. Between processes a claim moves only after its outcome has come back,
    so an open mark is the newer one, and of two outcomes the one after more attempts.

    Args:
        paths: The files of one process next to each other and in the order they were written.
        trusted: False for files known to be damaged: lines that cannot be read are passed over, and of the
            outcomes only those are taken that nothing lost could have overtaken.

    Raises:
        JournalDamagedError: A trusted file has whole records after one that is not.
        JournalError: A file cannot be read, or was written by a newer version.
    """
    merged = Replay({}, {})
    for _, chain in groupby(paths, key=segment_process):
        latest: dict[int, Mark | Outcome] = {}
        for path in chain:
            _follow(read_segment(path, trusted=trusted), latest)
        for claim_id, last in latest.items():
            _merge(merged, claim_id, last)
    if not trusted:
        for claim_id in [each.id for each in merged.outcomes.values() if each.state not in _FINAL]:
            del merged.outcomes[claim_id]
    return merged


def read_segment(path: Path, *, trusted: bool = True) -> Iterator[Record]:
    """Yield the whole records of one file; see ``replay()``. A file that has just been removed has none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(f"The journal segment {path} cannot be read: {error.strerror}.") from error
    torn_at = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        record = decode(line)
        if record is None:
            # The piece after the last line feed is empty unless the write was cut there.
            torn_at = torn_at or number
            continue
        if torn_at and trusted:
            raise damaged_segment(path, f"at line {torn_at}, with whole records after it")
        if isinstance(record, Header) and record.version > SEGMENT_VERSION:
            raise JournalError(
                f"The journal segment {path} was written by a newer version (format {record.version}).",
                fix="Update mailblast.",
            )
        yield record


def has_begun(path: Path) -> bool:
    """Return whether a file has its first line, without which its process has sent nothing, or it has been emptied."""
    return isinstance(next(read_segment(path, trusted=False), None), Header)


def check_end(path: Path, length: int) -> None:
    """Refuse a file that has lost the record which ended at this length. One that is gone was replaced since.

    Raises:
        JournalDamagedError: The record is not there any more.
    """
    try:
        data = path.read_bytes()
    except OSError:
        return
    if decode(data[: length - 1].rpartition(b"\n")[2]) is None:
        raise damaged_segment(path, f"before byte {length}, which it had when a batch was recorded")


def damaged_segment(path: Path, where: str) -> JournalDamagedError:
    """Return the error for a file that has lost records."""
    return JournalDamagedError(
        f"The journal segment {path} is damaged {where}. It has been left as it is.",
        fix=f"Restore it from a backup, or rename it to {path.stem}.damaged and run again: "
        f"whoever was in flight is then held in doubt, and nobody is mailed twice.",
    )


def _follow(records: Iterable[Record], latest: dict[int, Mark | Outcome]) -> None:
    for record in records:
        if isinstance(record, Void):
            if isinstance(latest.get(record.id), Mark):
                del latest[record.id]
        elif not isinstance(record, Header):
            latest[record.id] = record


def _merge(merged: Replay, claim_id: int, last: Mark | Outcome) -> None:
    known = merged.outcomes.get(claim_id)
    if isinstance(last, Mark):
        if known is None or known.state is not State.ACCEPTED:
            merged.outcomes.pop(claim_id, None)
            merged.marks[claim_id] = last
    elif last.state is State.ACCEPTED:
        merged.marks.pop(claim_id, None)
        merged.outcomes[claim_id] = last
    elif claim_id not in merged.marks and (known is None or known.attempts < last.attempts):
        merged.outcomes[claim_id] = last

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from mailblast.errors import JournalError
from mailblast.journal.records import Header, Mark, Void
from mailblast.journal.replay import read_segment
from mailblast.journal.segment import DiscardedSegment, Segment
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def an_outcome(claim_id: int, state: State = State.ACCEPTED) -> Outcome:
    return Outcome(claim_id, "", "", 0, state, 5.0, attempts=1, digest=9)


def records(path: Path) -> list[object]:
    return list(read_segment(path))


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise OSError(number, os.strerror(number))

    return fail


def test_segment_new_is_private_and_holds_its_format(tmp_path: Path) -> None:
    segment = Segment(tmp_path)

    assert [Header(1)] == records(segment.path)
    assert segment.path.stat().st_mode & 0o777 == 0o600
    assert segment.path.name == f"segment-{os.getpid()}-1.log"


def test_segment_commit_writes_group_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segment = Segment(tmp_path)
    written: list[bytes] = []

    def write(_: int, data: bytes) -> int:
        written.append(data)
        return len(data)

    monkeypatch.setattr(os, "write", write)

    segment.begin(1, 9, 2.0)
    segment.begin(2, 9, 2.0)
    assert written == []
    segment.commit()
    segment.commit()

    assert len(written) == 1
    assert written[0].count(b"\n") == 2


def test_segment_records_are_in_order(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    segment.begin(1, 9, 2.0)
    segment.commit()
    segment.finish(an_outcome(1))
    segment.begin(2, 8, 3.0)
    segment.commit()
    segment.revoke(2)
    segment.revoke(2)
    segment.flush()

    assert [Header(1), Mark(1, 9, 2.0), an_outcome(1), Mark(2, 8, 3.0), Void(2)] == records(segment.path)


def test_segment_close_writes_what_is_buffered_once(tmp_path: Path) -> None:
    segment = Segment(tmp_path)
    segment.finish(an_outcome(1))

    segment.close()
    segment.close()

    assert [Header(1), an_outcome(1)] == records(segment.path)


def test_segment_with_name_taken_uses_next_number(tmp_path: Path) -> None:
    first, second = Segment(tmp_path), Segment(tmp_path)

    assert first.path != second.path
    assert first.path.exists()
    assert second.path.exists()


def test_segment_at_limit_is_replaced_by_one_with_what_is_not_settled(tmp_path: Path) -> None:
    segment = Segment(tmp_path, roll_at_bytes=200)
    first = segment.path
    segment.begin(1, 9, 2.0)
    segment.begin(2, 9, 2.0)
    segment.finish(an_outcome(2))
    segment.commit()
    segment.begin(3, 9, 2.0)
    segment.finish(an_outcome(3))
    segment.settled([3, 99])
    segment.commit()

    assert segment.path != first
    assert [segment.path] == list(tmp_path.iterdir())
    assert [Header(1), Mark(1, 9, 2.0), an_outcome(2)] == records(segment.path)


def test_segment_that_settles_stays_bounded(tmp_path: Path) -> None:
    segment = Segment(tmp_path, roll_at_bytes=2000)
    longest = 0
    for claim_id in range(1000):
        segment.begin(claim_id, 9, 2.0)
        segment.commit()
        segment.finish(an_outcome(claim_id))
        segment.settled([claim_id - 5])
        longest = max(longest, sum(path.stat().st_size for path in tmp_path.iterdir()))

    assert longest < 2500
    assert len(list(tmp_path.iterdir())) == 1


def test_segment_with_much_in_flight_is_not_replaced_at_every_turn(tmp_path: Path) -> None:
    segment = Segment(tmp_path, roll_at_bytes=200)
    for claim_id in range(200):
        segment.begin(claim_id, 9, 2.0)
        segment.commit()

    number = int(segment.path.stem.rsplit("-", 1)[1])
    assert number < 12
    assert {*range(200)} == {each.id for each in records(segment.path) if isinstance(each, Mark)}


def test_segment_durable_syncs_each_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("mailblast.journal.segment._sync", synced.append)
    segment = Segment(tmp_path, durable=True)
    assert len(synced) == 1

    segment.begin(1, 9, 2.0)
    segment.commit()
    segment.commit()

    assert len(synced) == 2


def test_segment_durable_really_syncs(tmp_path: Path) -> None:
    segment = Segment(tmp_path, durable=True)
    segment.begin(1, 9, 2.0)
    segment.commit()

    assert [Header(1), Mark(1, 9, 2.0)] == records(segment.path)


def test_segment_on_mac_uses_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailblast.journal.segment.sys.platform", "darwin")
    monkeypatch.delattr(os, "fdatasync")
    segment = Segment(tmp_path, durable=True)
    segment.begin(1, 9, 2.0)
    segment.commit()

    assert [Header(1), Mark(1, 9, 2.0)] == records(segment.path)


def test_segment_that_cannot_be_written_leaves_no_half_record_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Segment(tmp_path)
    whole = segment.path.read_bytes()
    real_write = os.write
    room = [10]

    def write(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real_write(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", write)
    segment.begin(1, 9, 2.0)
    with pytest.raises(JournalError, match=r"segment-.* cannot be written: No space left on device\. Make room"):
        segment.commit()
    assert whole == segment.path.read_bytes()

    room[0] = 1000
    segment.commit()
    assert [Header(1), Mark(1, 9, 2.0)] == records(segment.path)


def test_segment_whose_half_write_cannot_be_undone_refuses_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = Segment(tmp_path)
    segment.begin(1, 9, 2.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", failing(errno.EIO))
        patch.setattr(os, "ftruncate", failing(errno.EIO))
        with pytest.raises(JournalError, match="Input/output error"):
            segment.commit()

    with pytest.raises(JournalError, match="an earlier write could not be undone"):
        segment.close()
    assert [Header(1)] == records(segment.path)


@pytest.mark.parametrize("room", [None, 5, 40], ids=["no file", "no header", "no records"])
def test_segment_without_room_for_second_file_goes_on_with_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int | None
) -> None:
    segment = Segment(tmp_path, roll_at_bytes=40)
    first, first_descriptor = segment.path, segment._descriptor
    real_write = os.write
    left = [room or 0]

    def write(descriptor: int, data: bytes) -> int:
        if descriptor == first_descriptor:
            return real_write(descriptor, data)
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real_write(descriptor, data[: left[0]])
        left[0] -= written
        return written

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write)
        if room is None:
            patch.setattr(os, "open", failing(errno.ENOSPC))
        segment.begin(1, 9, 2.0)
        segment.commit()
    assert segment.path == first
    assert [first] == list(tmp_path.iterdir())

    segment.begin(2, 9, 2.0)
    segment.begin(3, 9, 2.0)
    segment.commit()
    assert segment.path != first
    assert [segment.path] == list(tmp_path.iterdir())
    assert {1, 2, 3} == {each.id for each in records(segment.path) if isinstance(each, Mark)}


def test_segment_in_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(JournalError, match="segment-.* cannot be written: Not a directory"):
        Segment(tmp_path / "file")


def test_discarded_segment_writes_nothing(tmp_path: Path) -> None:
    segment = DiscardedSegment()
    segment.begin(1, 9, 2.0)
    segment.commit()
    segment.finish(an_outcome(1))
    segment.revoke(1)
    segment.settled([1])
    segment.flush()
    segment.close()

    assert [] == list(tmp_path.iterdir())

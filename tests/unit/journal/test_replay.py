from __future__ import annotations

from typing import TYPE_CHECKING
from zlib import crc32

import pytest

from mailblast.errors import JournalDamagedError, JournalError
from mailblast.journal.records import Header, Mark, encode_header, encode_mark, encode_outcome, encode_void
from mailblast.journal.replay import Replay, read_segment, replay
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from pathlib import Path


def an_outcome(claim_id: int, state: State = State.ACCEPTED, attempts: int = 1) -> Outcome:
    return Outcome(claim_id, "", "", 0, state, 5.0, attempts=attempts)


def a_segment(folder: Path, *lines: bytes, pid: int = 10, number: int = 1) -> Path:
    path = folder / f"segment-{pid}-{number}.log"
    path.write_bytes(encode_header() + b"".join(lines))
    return path


MARK = encode_mark(1, 9, 2.0)
ACCEPTED = encode_outcome(an_outcome(1))
DEFERRED = encode_outcome(an_outcome(1, State.DEFERRED))


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], Replay({}, {})),
        ([MARK], Replay({1: Mark(1, 9, 2.0)}, {})),
        ([MARK, encode_void(1)], Replay({}, {})),
        ([MARK, ACCEPTED], Replay({}, {1: an_outcome(1)})),
        ([MARK, DEFERRED, encode_void(1)], Replay({}, {1: an_outcome(1, State.DEFERRED)})),
        ([MARK, DEFERRED, encode_mark(1, 9, 3.0)], Replay({1: Mark(1, 9, 3.0)}, {})),
        ([encode_void(1)], Replay({}, {})),
    ],
)
def test_replay_of_one_process_takes_the_last_word(tmp_path: Path, lines: list[bytes], told: Replay) -> None:
    assert told == replay([a_segment(tmp_path, *lines)])


def test_replay_of_two_files_of_one_process_goes_on_with_the_second(tmp_path: Path) -> None:
    paths = [a_segment(tmp_path, MARK), a_segment(tmp_path, MARK, ACCEPTED, number=2)]

    assert Replay({}, {1: an_outcome(1)}) == replay(paths)


SECOND = encode_outcome(an_outcome(1, State.FAILED, attempts=2))


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ([DEFERRED], [MARK], Replay({1: Mark(1, 9, 2.0)}, {})),
        ([DEFERRED], [SECOND], Replay({}, {1: an_outcome(1, State.FAILED, 2)})),
        ([MARK], [ACCEPTED], Replay({}, {1: an_outcome(1)})),
    ],
)
def test_replay_of_two_processes_takes_the_newer_word_in_any_order(
    tmp_path: Path, first: list[bytes], second: list[bytes], told: Replay
) -> None:
    one, two = a_segment(tmp_path, *first, pid=10), a_segment(tmp_path, *second, pid=20)

    assert told == replay([one, two])
    assert told == replay([two, one])


def test_read_segment_cut_at_any_byte_gives_its_whole_records(tmp_path: Path) -> None:
    lines = [encode_header(), MARK, encode_mark(2, 9, 2.0), ACCEPTED, DEFERRED, encode_void(2)]
    data = b"".join(lines)
    path = tmp_path / "segment-10-1.log"
    path.write_bytes(data)
    all_records = list(read_segment(path))

    for cut in range(len(data) + 1):
        path.write_bytes(data[:cut])
        # A record is whole without its line feed.
        whole = sum(len(b"".join(lines[: n + 1])) - 1 <= cut for n in range(len(lines)))
        assert all_records[:whole] == list(read_segment(path))


def test_read_segment_damaged_at_any_byte_is_refused_or_its_last_record_dropped(tmp_path: Path) -> None:
    lines = [encode_header(), MARK, encode_mark(2, 9, 2.0), ACCEPTED]
    data = b"".join(lines)
    path = tmp_path / "segment-10-1.log"
    path.write_bytes(data)
    all_records = list(read_segment(path))
    last_begins = len(data) - len(lines[-1])

    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        if at == len(data) - 1:
            # The line feed: nothing after the record is whole.
            assert len(list(read_segment(path))) in {3, 4}
        elif at >= last_begins - 1:
            assert all_records[:3] == list(read_segment(path)) or all_records[:2] == list(read_segment(path))
        else:
            with pytest.raises(JournalDamagedError):
                list(read_segment(path))


def test_read_segment_with_zeros_at_its_end_drops_them(tmp_path: Path) -> None:
    assert Replay({1: Mark(1, 9, 2.0)}, {}) == replay([a_segment(tmp_path, MARK, b"\0" * 500)])


def test_replay_of_damaged_file_names_it_and_the_remedy_and_keeps_it(tmp_path: Path) -> None:
    path = a_segment(tmp_path, b"x" + MARK, ACCEPTED)
    before = path.read_bytes()

    with pytest.raises(JournalDamagedError, match=r"segment-10-1\.log is damaged at line 2.*segment-10-1\.damaged"):
        replay([path])
    assert before == path.read_bytes()


def test_replay_of_file_known_to_be_damaged_takes_only_what_nothing_lost_can_change(tmp_path: Path) -> None:
    path = a_segment(
        tmp_path,
        MARK,
        ACCEPTED,
        b"broken\n",
        encode_mark(2, 9, 2.0),
        encode_outcome(an_outcome(3, State.DEFERRED)),
        encode_outcome(an_outcome(4, State.FAILED)),
    )

    told = replay([path], trusted=False)

    assert Replay({2: Mark(2, 9, 2.0)}, {1: an_outcome(1), 4: an_outcome(4, State.FAILED)}) == told


def test_read_segment_of_newer_version_asks_for_update(tmp_path: Path) -> None:
    body = b'["s",2,"more"]'
    path = tmp_path / "segment-10-1.log"
    path.write_bytes(b"%08x %b\n" % (crc32(body), body))

    with pytest.raises(JournalError, match=r"newer version \(format 2\)\. Update mailblast"):
        list(read_segment(path))


def test_read_segment_removed_meanwhile_has_no_records(tmp_path: Path) -> None:
    assert [] == list(read_segment(tmp_path / "segment-10-1.log"))


def test_read_segment_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "segment-10-1.log").mkdir()

    with pytest.raises(JournalError, match="cannot be read: Is a directory"):
        list(read_segment(tmp_path / "segment-10-1.log"))


def test_read_segment_without_records_has_its_header(tmp_path: Path) -> None:
    assert [Header(1)] == list(read_segment(a_segment(tmp_path)))

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from mailblast.delivery import limits_file
from mailblast.delivery.limits_file import HEADER, SIZE, SLOT, SLOTS, LimitsFile

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_700_000_000.0


def write_slot(file: LimitsFile, name: str, value: float) -> None:
    file.wait_for_lock()
    place = file.slot(name)
    file.write(place.offset, SLOT.pack(place.key, value, 0, 0, 0, 0))
    file.unlock()


def read_slot(file: LimitsFile, name: str) -> float:
    file.wait_for_lock()
    place = file.slot(name)
    value = SLOT.unpack(file.read(place.offset, SLOT.size))[1]
    file.unlock()
    assert isinstance(value, float)
    return value


def test_file_is_for_its_owner_alone_and_kept_for_the_next(tmp_path: Path) -> None:
    path = tmp_path / ".pace" / "a.limits"
    file = LimitsFile(path, NOW)
    assert file.is_shared
    assert (0o600, 0o700) == (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode))
    write_slot(file, "one", 5.0)
    file.close()
    again = LimitsFile(path, NOW)
    assert (5.0, 0.0) == (read_slot(again, "one"), read_slot(again, "two"))
    assert again.whole_since_s == 0.0


def test_two_open_files_see_each_other_and_one_holds_the_lock(tmp_path: Path) -> None:
    one, two = LimitsFile(tmp_path / "x", NOW), LimitsFile(tmp_path / "x", NOW)
    write_slot(one, "name", 7.0)
    assert read_slot(two, "name") == 7.0
    assert one.lock()
    assert not two.lock()
    one.unlock()
    assert two.lock()


@pytest.mark.parametrize("content", [b"x", b"\xff" * SIZE, HEADER.pack(b"mailblast pace 1", NOW * 2).ljust(SIZE)])
def test_damaged_file_is_made_anew_and_tells_since_when(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    file = LimitsFile(path, NOW)
    assert (True, NOW, SIZE) == (file.is_shared, file.whole_since_s, path.stat().st_size)
    assert LimitsFile(path, NOW + 9).whole_since_s == NOW


def test_file_that_is_cut_while_it_is_open_reads_as_empty(tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "x", NOW)
    write_slot(file, "name", 7.0)
    os.truncate(tmp_path / "x", 100)
    assert read_slot(file, "name") == 0.0
    write_slot(file, "name", 8.0)
    assert read_slot(file, "name") == 8.0


def test_names_that_collide_are_kept_apart(tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "x", NOW)
    for number in range(150):
        write_slot(file, f"name {number}", float(number))
    assert [read_slot(file, f"name {number}") for number in range(150)] == [float(number) for number in range(150)]


def test_full_table_takes_another_name_all_the_same(tmp_path: Path) -> None:
    file = LimitsFile(tmp_path / "x", NOW)
    file.write(HEADER.size, b"".join(SLOT.pack(number, NOW, 0, 0, 0, 0) for number in range(1, SLOTS + 1)))
    write_slot(file, "one more", 1.5)
    assert read_slot(file, "one more") == 1.5


def test_no_path_keeps_all_in_memory() -> None:
    file = LimitsFile(None, NOW)
    write_slot(file, "name", 3.0)
    assert (False, 3.0) == (file.is_shared, read_slot(file, "name"))
    assert file.trouble


def test_folder_that_cannot_be_made_is_told_and_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    file = LimitsFile(tmp_path / "file" / "x", NOW)
    write_slot(file, "name", 3.0)
    assert (False, 3.0) == (file.is_shared, read_slot(file, "name"))
    assert "directory" in file.trouble.lower() or "exists" in file.trouble.lower()


def test_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_file, "HAS_LOCKS", False)
    file = LimitsFile(tmp_path / "x", NOW)
    assert (False, "this system has no file locks") == (file.is_shared, file.trouble)


def full(*_: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def short(_fd: int, data: bytes, _at: int) -> int:
    return len(data) // 2


@pytest.mark.parametrize("write", [full, short])
def test_full_disk_at_the_start_leaves_the_limits_to_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    monkeypatch.setattr(os, "pwrite", write)
    file = LimitsFile(tmp_path / "x", NOW)
    write_slot(file, "name", 3.0)
    assert (False, 3.0) == (file.is_shared, read_slot(file, "name"))
    assert file.trouble


@pytest.mark.parametrize("write", [full, short])
def test_full_disk_later_leaves_the_limits_to_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: object
) -> None:
    file = LimitsFile(tmp_path / "x", NOW)
    write_slot(file, "name", 3.0)
    monkeypatch.setattr(os, "pwrite", write)
    write_slot(file, "name", 4.0)
    assert not file.is_shared
    # What is in the memory of the limits is written there by them.
    write_slot(file, "name", 5.0)
    assert read_slot(file, "name") == 5.0


def broken(*_: object) -> bytes:
    raise OSError(errno.EIO, "Input/output error")


def test_broken_disk_leaves_the_limits_to_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LimitsFile(tmp_path / "x", NOW)
    monkeypatch.setattr(os, "pread", broken)
    assert read_slot(file, "name") == 0.0
    assert (False, "Input/output error") == (file.is_shared, file.trouble)


def test_lock_that_cannot_be_had_leaves_the_limits_to_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = LimitsFile(tmp_path / "x", NOW)
    monkeypatch.setattr(fcntl, "flock", broken)
    assert file.lock()
    file.unlock()
    assert not file.is_shared


def test_lock_that_another_process_keeps_is_waited_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_file, "LOCK_WAIT_S", 0.01)
    other, file = LimitsFile(tmp_path / "x", NOW), LimitsFile(tmp_path / "x", NOW)
    other.wait_for_lock()
    started_s = time.monotonic()
    file.wait_for_lock()
    assert 0.01 <= time.monotonic() - started_s < 1
    assert not file.is_shared
    third = LimitsFile(tmp_path / "x", NOW)
    assert not third.is_shared

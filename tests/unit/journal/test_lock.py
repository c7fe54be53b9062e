from __future__ import annotations

import errno
import fcntl
import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import CampaignLockedError, JournalError
from mailblast.journal.lock import CampaignLock, Owner, is_locked, read_owner

if TYPE_CHECKING:
    from pathlib import Path


def test_lock_taken_holds_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lock = CampaignLock(path, "news", started_s=1_700_000_000.0)

    assert Owner(socket.gethostname(), os.getpid(), 1_700_000_000.0) == read_owner(path)
    assert is_locked(path)
    assert path.stat().st_mode & 0o777 == 0o600
    lock.release()
    lock.release()
    assert not is_locked(path)


def test_lock_held_refuses_the_second_and_names_the_first(tmp_path: Path) -> None:
    lock = CampaignLock(tmp_path / "lock", "news", started_s=1_700_000_000.0)

    expected = rf"Process {os.getpid()} on {socket.gethostname()} holds the campaign news since 2023-11-14T22:13:20Z"
    with pytest.raises(CampaignLockedError, match=expected):
        CampaignLock(tmp_path / "lock", "news", started_s=1.0)
    lock.release()


def test_lock_released_is_taken_again(tmp_path: Path) -> None:
    CampaignLock(tmp_path / "lock", "news", started_s=1.0).release()
    lock = CampaignLock(tmp_path / "lock", "news", started_s=2.0)

    owner = read_owner(tmp_path / "lock")
    assert owner is not None
    assert owner.started_s == 2.0
    lock.release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": "a"}', '{"host": "a", "pid": "x", "started_s": 1}'])
def test_lock_held_by_unknown_refuses_without_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lock"
    path.write_text(text)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CampaignLockedError, match="Another run holds the campaign news"):
            CampaignLock(path, "news", started_s=1.0)


def test_lock_passed_on_outlives_its_taker(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import subprocess, sys; from pathlib import Path; from mailblast.journal.lock import CampaignLock\n"
        "lock = CampaignLock(Path(sys.argv[1]), 'news', started_s=1.0)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; print(1, flush=True); sys.stdin.read()'],\n"
        "                         stdin=0, pass_fds=[lock.fileno()])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as taker:
        assert taker.stdout is not None
        assert taker.stdout.readline() == b"1\n"
        taker.wait()

        expected = rf"A child of process {taker.pid} on .* which took the campaign news .* is gone, still holds it"
        with pytest.raises(CampaignLockedError, match=expected):
            CampaignLock(path, "news", started_s=2.0)
    for _ in range(100):
        if not is_locked(path):
            break
        os.sched_yield()
        subprocess.run(["sleep", "0.05"], check=True)
    CampaignLock(path, "news", started_s=3.0).release()


@pytest.mark.parametrize(("error", "told"), [(PermissionError(), "Process"), (ProcessLookupError(), "A child of")])
def test_lock_of_foreign_owner_is_judged_by_its_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, told: str
) -> None:
    lock = CampaignLock(tmp_path / "lock", "news", started_s=1.0)

    def kill(*_: int) -> None:
        raise error

    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(CampaignLockedError, match=f"^{told}"):
        CampaignLock(tmp_path / "lock", "news", started_s=2.0)
    lock.release()


def test_lock_probed_meanwhile_is_still_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lock"
    path.write_text("")
    probe = path.open()
    fcntl.flock(probe, fcntl.LOCK_SH)
    monkeypatch.setattr("mailblast.journal.lock.time.sleep", lambda _: probe.close())

    CampaignLock(path, "news", started_s=1.0).release()


def test_lock_file_that_is_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()

    with pytest.raises(JournalError, match="lock cannot be used: Is a directory") as caught:
        CampaignLock(tmp_path / "lock", "news", started_s=1.0)
    assert not isinstance(caught.value, CampaignLockedError)


def test_lock_on_full_disk_is_an_error_and_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pwrite(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", pwrite)
        with pytest.raises(JournalError, match="No space left on device"):
            CampaignLock(tmp_path / "lock", "news", started_s=1.0)
    CampaignLock(tmp_path / "lock", "news", started_s=1.0).release()


def test_is_locked_without_file_is_false(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "lock")
    assert read_owner(tmp_path / "lock") is None

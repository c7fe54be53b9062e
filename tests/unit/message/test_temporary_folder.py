from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import UsageError
from mailblast.message.attachments.temporary import SWEEP_AFTER_S, TemporaryFolder, sweep

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    folder.mkdir()
    return folder


def write_one(folder: TemporaryFolder) -> Path:
    descriptor, path = folder.create()
    os.write(descriptor, b"content")
    os.close(descriptor)
    return path


def test_folder_is_made_late_is_private_and_goes_at_the_end(base: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with TemporaryFolder(str(base)) as folder:
        assert [] == list(base.iterdir())
        paths = [write_one(folder), write_one(folder)]
        assert folder.path is not None
        assert folder.path.name.startswith(f"mailblast-{os.getpid()}-")
        assert {folder.path} == {path.parent for path in paths}
        assert 0o700 == stat.S_IMODE(folder.path.stat().st_mode)
        assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert [] == list(base.iterdir())
    assert before == signal.getsignal(signal.SIGTERM)
    folder.remove()


def test_folder_goes_when_the_work_fails(base: Path) -> None:
    def work() -> None:
        with TemporaryFolder(str(base)) as folder:
            write_one(folder)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert [] == list(base.iterdir())


def test_system_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(base))
    with TemporaryFolder() as folder:
        assert base == write_one(folder).parent.parent


@pytest.mark.parametrize("name", ["missing", "file"])
def test_base_that_is_no_folder_is_told(name: str, base: Path) -> None:
    (base / "file").touch()
    with pytest.raises(UsageError, match=f"No temporary folder can be made in {base / name}.*MAILBLAST_TMP"):
        TemporaryFolder(str(base / name)).create()


def test_handler_of_somebody_else_is_left_alone(base: Path) -> None:
    def theirs(*_: object) -> None: ...

    original = signal.signal(signal.SIGTERM, theirs)
    try:
        with TemporaryFolder(str(base)) as folder:
            write_one(folder)
            assert theirs is signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        with TemporaryFolder(str(base)) as folder:
            write_one(folder)
            signal.signal(signal.SIGTERM, theirs)
        assert theirs is signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, original)


def test_forked_process_removes_nothing(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with TemporaryFolder(str(base)) as folder:
        path = write_one(folder)
        with monkeypatch.context() as context:
            context.setattr(os, "getpid", lambda: 1)
            kept = folder.path
            folder.remove()
        assert path.exists()
        folder.path = kept
    assert [] == list(base.iterdir())


SCRIPT = """
import os, sys, time
from mailblast.message.attachments.temporary import TemporaryFolder
folder = TemporaryFolder(sys.argv[1])
os.close(folder.create()[0])
print("ready", flush=True)
if sys.argv[2] == "wait":
    time.sleep(30)
"""


def start(base: Path, then: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(base), then], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "ready\n" == process.stdout.readline()
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signal_removes_the_folder_and_ends_the_process_all_the_same(number: signal.Signals, base: Path) -> None:
    process = start(base, "wait")
    assert 1 == len(list(base.iterdir()))
    process.send_signal(number)
    process.communicate(timeout=20)
    assert -number == process.returncode
    assert [] == list(base.iterdir())


def test_end_of_the_process_removes_the_folder(base: Path) -> None:
    process = start(base, "end")
    process.communicate(timeout=20)
    assert (0, []) == (process.returncode, list(base.iterdir()))


def test_killed_process_leaves_what_is_swept_an_hour_later(base: Path) -> None:
    process = start(base, "wait")
    later_s = time.time() + SWEEP_AFTER_S + 60
    assert [] == sweep(str(base), now_s=later_s)
    process.kill()
    process.communicate()
    (left,) = base.iterdir()
    assert [] == sweep(str(base))
    assert [left] == sweep(str(base), now_s=later_s)
    assert [] == list(base.iterdir())


def a_dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("name", ["mailblast-{pid}-abcdefg", "mailblast-0{pid}-abcdefgh", "other-{pid}-abcdefgh", "x"])
def test_sweep_leaves_folders_of_other_names(name: str, base: Path) -> None:
    folder = base / name.format(pid=a_dead_pid())
    folder.mkdir()
    assert [] == sweep(str(base), now_s=time.time() + 2 * SWEEP_AFTER_S)
    assert folder.exists()


def test_sweep_leaves_links_files_others_and_what_it_cannot_remove(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid, later_s = a_dead_pid(), time.time() + 2 * SWEEP_AFTER_S
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "kept").touch()
    (base / f"mailblast-{pid}-linkxxxx").symlink_to(victim)
    (base / f"mailblast-{pid}-filexxxx").touch()
    # Somebody put a link into ours: it goes, what it leads to stays.
    ours = base / f"mailblast-{pid}-oursxxxx"
    ours.mkdir()
    (ours / "link").symlink_to(victim / "kept")
    deep = base / f"mailblast-{pid}-deepxxxx"
    (deep / "folder").mkdir(parents=True)
    far = base / "mailblast-9999999999-pidxxxxx"
    far.mkdir()
    sweep(str(base), now_s=later_s)
    assert not ours.exists()
    assert (victim / "kept").exists()
    assert deep.exists()
    assert far.exists()
    assert 4 == len(list(base.iterdir()))
    assert [] == sweep(str(base / "missing"))
    # Another user's.
    ours.mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert [] == sweep(str(base), now_s=later_s)


def test_sweep_leaves_what_a_process_of_another_container_holds(base: Path) -> None:
    with TemporaryFolder(str(base)) as folder:
        path = write_one(folder)
        assert folder.path is not None
        # Over there it has an id that nobody has here.
        strange = folder.path.rename(base / f"mailblast-{a_dead_pid()}-abcdefgh")
        assert [] == sweep(str(base), now_s=time.time() + 2 * SWEEP_AFTER_S)
        assert (strange / path.name).exists()
        strange.rename(folder.path)


def test_sweep_knows_a_process_that_it_may_not_signal(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    (base / "mailblast-1-abcdefgh").mkdir()
    monkeypatch.setattr(os, "kill", refuse)
    assert [] == sweep(str(base), now_s=time.time() + 2 * SWEEP_AFTER_S)

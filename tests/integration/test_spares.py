"""Processes made ahead: real ones, made by small programs, for the tests' own process has threads and is not copied."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mailblast.errors import ProviderUnavailableError
from mailblast.executors import spares
from mailblast.executors.spares import MAX_WORD_BYTES, Spare, make_spares, may_fork

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")

#: The beginning of each program; what the copies do writes to ``told.json``.
BEGIN = """
import fcntl, json, os, signal, socket, sys, time
from mailblast.executors.spares import make_spares

def links():
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            pass
    return found

def work(fd, word):
    with socket.socket(fileno=fd) as channel:
        told = {"word": word, "links": links(), "leads": os.getsid(0) == os.getpid(), "fd": fd}
        channel.sendall(json.dumps(told).encode() + b"\\n")
        channel.recv(1)
"""
LOCKED = """
lock = os.open("lock", os.O_CREAT | os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX)
"""


def output_of(program: str, *, code: int = 0) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-c", BEGIN + program]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30, stdin=subprocess.PIPE)
    assert code == done.returncode, done.stderr
    return done


def test_spare_has_its_channel_the_lock_and_nothing_else_of_its_parent() -> None:
    done = output_of(
        LOCKED
        + """
held = open("list.csv", "w")
spares = make_spares(2, work)
channels = [spare.begin(["ignored", f"word {number}"], lock) for number, spare in enumerate(spares)]
for channel in channels:
    print(channel.makefile().readline(), end="", flush=True)
    channel.close()
print([spare.wait() for spare in spares])
"""
    )
    *told, codes = done.stdout.splitlines()
    assert "[0, 0]" == codes
    for number, line in enumerate(told):
        child = json.loads(line)
        links = {int(fd): link for fd, link in child["links"].items()}
        assert f"word {number}" == child["word"]
        assert child["leads"]
        assert ("/dev/null", "/dev/null") == (links.pop(0), links.pop(1))
        links.pop(2)
        assert links.pop(child["fd"]).startswith("socket:")
        # What listed them was itself open.
        others = sorted(link.rpartition("/")[2] for link in links.values() if link.rpartition("/")[2] != "fd")
        assert ["lock"] == others


def test_lock_is_held_until_the_spare_ends() -> None:
    done = output_of(
        LOCKED
        + """
spare, = make_spares(1, work)
channel = spare.begin(["word"], lock)
channel.makefile().readline()
os.close(lock)

def is_free():
    other = os.open("lock", os.O_RDWR)
    try:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(other)
    return True

print(is_free())
spare.kill()
print(spare.wait(), is_free())
spare.kill()
"""
    )
    assert ["False", f"{-signal.SIGKILL} True"] == done.stdout.splitlines()


def test_word_longer_than_one_read_comes_whole() -> None:
    length = 5 * MAX_WORD_BYTES
    done = output_of(
        f"""
spare, = make_spares(1, work)
channel = spare.begin(["x" * {length}], None)
print(len(json.loads(channel.makefile().readline())["word"]))
channel.close()
print(spare.wait())
"""
    )
    assert [str(length), "0"] == done.stdout.splitlines()


def test_spares_that_are_not_needed_end() -> None:
    done = output_of(
        """
spares = make_spares(3, work)
for spare in spares:
    spare.discard()
    spare.discard()
print([spare.returncode for spare in spares])
"""
    )
    assert "[0, 0, 0]\n" == done.stdout


def test_spares_of_a_killed_parent_end() -> None:
    done = output_of(
        """
print([spare.pid for spare in make_spares(2, work)], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        code=-signal.SIGKILL,
    )
    # Its stderr, which they share, was read to its end: they are about to be gone.
    deadline_s = time.monotonic() + 20
    while (running := [pid for pid in json.loads(done.stdout) if _runs(pid)]) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert [] == running


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def test_error_in_the_work_is_told_and_never_reaches_the_parents_code() -> None:
    done = output_of(
        """
def broken(fd, word):
    raise ZeroDivisionError(word)

try:
    spare, = make_spares(1, broken)
    spare.begin(["word"], None)
    print(spare.wait())
finally:
    print("parent", flush=True)
"""
    )
    assert "1\nparent\n" == done.stdout
    assert "ZeroDivisionError: word" in done.stderr


def test_standard_streams_that_are_closed_are_no_trouble() -> None:
    program = "os.close(0)\nos.close(1)\nspare, = make_spares(1, work)\nchannel = spare.begin(['word'], None)\n"
    program += "print(channel.makefile().readline(), file=sys.stderr)\nchannel.close()\nsys.exit(spare.wait())"
    done = output_of(program)
    assert "word" == json.loads(done.stderr)["word"]


def test_process_with_threads_is_not_copied() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        assert not may_fork()
        assert [] == make_spares(2, lambda *_: None)
    finally:
        ended.set()
        thread.join()


def test_other_systems_do_not_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not may_fork()


def test_system_that_does_not_tell_its_threads_is_not_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spares, "TASKS", Path("/nowhere"))
    assert not may_fork()


def test_copy_that_the_system_refuses_is_told_and_ends_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    pids = [pid]

    def fork() -> int:
        if pids:
            return pids.pop()
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(spares, "may_fork", lambda: True)
    monkeypatch.setattr(os, "fork", fork)
    with pytest.raises(ProviderUnavailableError, match="cannot be started: Resource temporarily unavailable"):
        make_spares(2, lambda *_: None)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def test_spare_that_is_gone_cannot_begin() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    spare = Spare(os.posix_spawn("/bin/true", ["true"], {}), ours)
    with pytest.raises(OSError, match="Broken pipe"):
        spare.begin(["word"], None)
    assert 0 == spare.wait() == spare.returncode
    assert -1 == ours.fileno()

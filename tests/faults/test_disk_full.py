"""There is no room for the journal: nothing is sent that cannot be recorded, and what was recorded stays."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import (
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk,
    bulk_words,
    ended,
    failures,
    start,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.fault_server import Serve

ROWS = 3_000


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[None]:
    """Mount a file system in memory, where this user may; skip the test otherwise."""
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(mounting, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system may be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True, timeout=10)


@pytest.fixture
def everybody() -> list[str]:
    a_template()
    return a_list(ROWS)


def limit_files_to(size: int) -> None:
    """Let no file of this process grow beyond that many bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


@pytest.mark.parametrize(
    ("size", "processes"),
    [(1_000, "1"), (20_000, "1"), (100_000, "1"), (300_000, "1"), (20_000, "2"), (300_000, "2")],
)
def test_no_file_may_grow_the_run_stops_and_continues_later(
    size: int, processes: str, everybody: list[str], serve: Serve
) -> None:
    server = serve()
    words = bulk_words(server, "--batch-size", "50", "--processes", processes)
    run = ended(start(*words, before=lambda: limit_files_to(size), measured=False))
    assert 4 == run.code, run
    assert "journal" in run.err
    assert 1 == run.err.count("Make room") + run.err.count("free space"), "told once"
    before = {message.recipient for message in server.taken}
    assert len(before) < ROWS
    if size == 300_000:
        assert before

    run = bulk(server)
    held = failures("in_doubt").keys()
    assert (1 if held else 0) == run.code, run
    # Only of those that were in flight the record may be missing.
    assert len(held) <= 5
    assert_nobody_twice(server)
    assert set(everybody) == {message.recipient for message in server.taken} | held
    assert ROWS - len(held) == run.counts["accepted"]


def test_full_disk_the_run_stops_and_continues_when_there_is_room(
    everybody: list[str], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with small_disk(Path("disk"), "size=768k"):
        monkeypatch.setenv("MAILBLAST_HOME", "disk/home")
        run = bulk(server, "--batch-size", "50")
        assert 4 == run.code, run
        assert 1 == run.err.count("Make room"), run.err
        taken = {message.recipient for message in server.taken}
        assert 0 < len(taken) < ROWS
        # Nothing has changed, so it cannot go on, and says so again; it never begins anew.
        assert 4 == bulk(server).code
        assert_nobody_twice(server)
        subprocess.run(["mount", "-o", "remount,size=50m", "disk"], check=True, timeout=10)
        run = bulk(server)
        held = failures("in_doubt").keys()
        assert (1 if held else 0) == run.code, run
        assert len(held) <= 5
        assert_nobody_twice(server)
        assert set(everybody) == {message.recipient for message in server.taken} | held


def test_home_that_cannot_be_written_is_refused_before_anything_is_sent(
    addresses: list[str], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve(Fault("banner", "554 5.3.2 Nobody should come here"))
    monkeypatch.setenv("MAILBLAST_HOME", "home")
    with contextlib.ExitStack() as stack:
        if os.geteuid() == 0:
            stack.enter_context(small_disk(Path("home"), "ro"))
        else:
            Path("home").mkdir(mode=0o500)
        run = bulk(server)
    assert 4 == run.code, run
    assert "home" in run.err
    assert "MAILBLAST_HOME" in run.err
    assert [] == server.taken


def test_journal_that_may_only_be_read_is_refused_before_anything_is_sent(
    addresses: list[str], serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve()
    with small_disk(Path("disk"), "size=50m"):
        monkeypatch.setenv("MAILBLAST_HOME", "disk/home")
        assert 0 == bulk(server).code
        a_list([*addresses, "new@example.org"])
        subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True, timeout=10)
        run = bulk(server)
        assert 4 == run.code, run
        assert {} == failures("in_doubt,unsent")
    assert_everybody_once(server, addresses)

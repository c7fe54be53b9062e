"""Fixtures for all tests. Unit and property tests get no sockets, an empty environment and an empty folder."""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

if TYPE_CHECKING:
    from collections.abc import Iterator

pytest_plugins = ["servers.fixtures"]

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None)
# As many as it takes to trust a change of what they are about: --hypothesis-profile full.
settings.register_profile("full", max_examples=300, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

WITHOUT_SOCKETS = ("unit", "properties")
OURS = ("MAILBLAST_", "SMTP_", "AWS_", "SENDGRID_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
#: These run no line that others do not, and half of their time would go into measuring it. Single files say
#: ``pytestmark = pytest.mark.no_cover``, which counts for the processes that their tests start as well.
MEASURED_ELSEWHERE = ("properties", "faults")
#: More than all tests keep in three runs; containers often have less, or allow no programs there.
ROOM_BYTES = 4 * 2**30
#: Of the folders of tests.
NUMBERS = itertools.count(1)


def _work_in_memory() -> None:
    """Let temporary files be kept in memory where there is room: for a disk the journal's tests wait most of the time.

    No test is about power loss; a killed process leaves the same on both.
    """
    folder = Path("/dev/shm")
    if "TMPDIR" in os.environ or not os.access(folder, os.W_OK):
        return
    system = os.statvfs(folder)
    if system.f_bavail * system.f_frsize > ROOM_BYTES and not system.f_flag & os.ST_NOEXEC:
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


_work_in_memory()


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.path.parent.parts and set(WITHOUT_SOCKETS) & set(request.path.parts):
        disable_socket(allow_unix_socket=True)
        yield
        enable_socket()
    else:
        yield


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty folder. Pytest's own is named after the test, for which it searches the folders of all before it."""
    path = tmp_path_factory.getbasetemp() / f"test-{next(NUMBERS)}"
    path.mkdir()
    return path


@pytest.fixture(autouse=True)
def _clean_environment(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left_out = (*OURS, "COVERAGE_PROCESS_") if request.node.get_closest_marker("no_cover") else OURS
    for name in list(os.environ):
        if name.startswith(left_out):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name compressed bytes the same in each process: they hold the time at which they were made."""
    return "gzip" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


#: Real processes, servers and clocks on a shared machine: these may be late where nothing is wrong.
TIMED = ("faults", "integration", "terminal")
#: Ten seconds and more. Begun at the end, one of these would keep one core waiting for the other.
LONG = ("test_kill_nine", "test_server_always_drops", "test_started_twice", "test_journal_machine", "test_benchmarks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of real processes a second try, which is shown; what is wrong fails twice.

    Files that take long come first, whatever the random order is; what is measured elsewhere is not measured again.
    """
    items.sort(key=lambda item: item.path.stem not in LONG)
    for item in items:
        # Workers run as processes only.
        if set(MEASURED_ELSEWHERE) & set(item.path.parts) and not item.path.stem.startswith("test_queue_"):
            item.add_marker(pytest.mark.no_cover)
        if set(TIMED) & set(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=1))

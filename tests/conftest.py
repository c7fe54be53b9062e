"""Fixtures for all tests. Unit and property tests get no sockets, an empty environment and an empty folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from pytest_socket import disable_socket, enable_socket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytest_plugins = ["servers.fixtures"]

settings.register_profile("dev", max_examples=50, deadline=None)
settings.register_profile("ci", max_examples=300, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

WITHOUT_SOCKETS = ("unit", "properties")
OURS = ("MAILBLAST_", "SMTP_", "AWS_", "SENDGRID_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")


@pytest.fixture(autouse=True)
def _no_sockets(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.path.parent.parts and set(WITHOUT_SOCKETS) & set(request.path.parts):
        disable_socket(allow_unix_socket=True)
        yield
        enable_socket()
    else:
        yield


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name compressed bytes the same in each process: they hold the time at which they were made."""
    return "gzip" if isinstance(val, bytes) and val.startswith(b"\x1f\x8b") else None


#: Real processes, servers and clocks on a shared machine: these may be late where nothing is wrong.
TIMED = ("faults", "integration", "terminal")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests of real processes a second try, which is shown; what is wrong fails twice."""
    for item in items:
        if set(TIMED) & set(item.path.parts):
            item.add_marker(pytest.mark.flaky(reruns=1))

"""A template, a short list, and servers that go wrong; each test runs the program in its own folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import a_list, a_template

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.fault_server import Serve


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Start servers that end with the test."""
    running: list[FaultServer] = []

    def start(*faults: Fault, pipelining: bool = True, body_bytes: int = 200, buffer: int = 0) -> FaultServer:
        server = FaultServer(tmp_path / "taken.log", Script(faults, pipelining, body_bytes, buffer))
        running.append(server)
        server.start()
        return server

    yield start
    for server in running:
        server.stop()


@pytest.fixture(params=[True, False], ids=["pipelining", "one command at a time"])
def pipelining(request: pytest.FixtureRequest) -> bool:
    """Run the test with a server that offers PIPELINING, and with one that does not."""
    return bool(request.param)


@pytest.fixture
def addresses() -> list[str]:
    """Write a list of 20 and the template."""
    a_template()
    return a_list(20)

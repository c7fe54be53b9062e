"""Fixtures over the servers; named in ``pytest_plugins`` of ``tests/conftest.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.availability import program
from servers.certificates import Certificates, make_certificates
from servers.fault_server import FaultServer, Script
from servers.postfix_server import Postfix, postfix_server
from servers.queue_workers import Workers
from servers.redis_server import RedisServer
from servers.scripted_smtp import ScriptedSmtp
from servers.smtp_sink import smtp_sink
from servers.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


@pytest.fixture
async def scripted() -> AsyncIterator[ScriptedSmtp]:
    """A scripted server in the test's loop; change its ``script`` before connecting."""
    async with ScriptedSmtp() as server:
        yield server


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and certificates, made once."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def postfix() -> Iterator[Postfix]:
    """A Postfix for all tests that need no settings of their own."""
    with postfix_server() as running:
        yield running


@pytest.fixture
def sink() -> Iterator[int]:
    """The port of an smtp-sink."""
    with smtp_sink() as port:
        yield port


@pytest.fixture(scope="session")
def redis_of_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The process behind ``redis``; skipped where none is installed."""
    server = RedisServer(program("redis-server", "redis-server"), tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(redis_of_all: RedisServer) -> RedisServer:
    """A Redis that is empty and keeps what it gets; a test may do with it what it likes."""
    redis_of_all.reset()
    return redis_of_all


@pytest.fixture
def workers(redis: RedisServer) -> Iterator[Workers]:
    """Workers of that Redis; they end with the test."""
    workers = Workers(redis.url)
    yield workers
    workers.close()


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[TcpProxy]:
    """A way to that Redis that can be cut."""
    proxy = TcpProxy(redis.port)
    yield proxy
    proxy.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    """A server in a process of its own that takes everything, at once."""
    server = FaultServer(tmp_path / "taken.log", Script())
    server.start()
    yield server
    server.stop()

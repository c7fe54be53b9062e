"""Redis that is away, full, or strange: a clear line, nothing lost, and on when it is back."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
import redis as client
from servers.availability import program
from servers.mailblast_process import a_list, a_template, ended, failures, start, status, wait_until
from servers.queue_workers import assert_once_or_in_doubt, queue, queue_words, size, wait_for_taken
from servers.redis_server import RedisServer
from servers.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers.fault_server import Serve
    from servers.queue_workers import Workers

#: Of one worker, which is never killed here.
CONNECTIONS = 5
ROWS = 1_500


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_QUEUE_LEASE", "3")
    a_template()


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[TcpProxy]:
    proxy = TcpProxy(redis.port)
    yield proxy
    proxy.close()


def words(*more: str) -> tuple[str, ...]:
    return ("--connections", str(CONNECTIONS), "--rate", "400/s", *more)


def everybody_is_served(total: int) -> bool:
    return sum(status().counts.get(state, 0) for state in ("accepted", "in_doubt")) == total


def test_network_cut_and_mended_nobody_twice_and_nobody_in_doubt(
    serve: Serve, redis: RedisServer, workers: Workers, proxy: TcpProxy
) -> None:
    addresses = a_list(ROWS)
    server = serve()
    workers.start(2, url=f"redis://127.0.0.1:{proxy.port}")
    workers.start(1)
    coordinator = start(*queue_words(server, redis.url, "--wait", *words()), measured=False)
    wait_for_taken(server, 300)
    proxy.cut()
    time.sleep(1.5)
    proxy.mend()
    end = ended(coordinator, 60)
    assert {"accepted": ROWS} == end.counts
    assert_once_or_in_doubt(server, addresses, set(), 0)
    said = "".join(said for _, said in workers.end())
    assert 2 == said.count("does not answer")
    assert 2 == said.count("The queue is back.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["in good order", "killed"])
def test_server_restarted_with_its_file_everybody_once(
    serve: Serve, redis: RedisServer, workers: Workers, number: int
) -> None:
    addresses = a_list(ROWS)
    server = serve()
    workers.start(2)
    coordinator = start(*queue_words(server, redis.url, "--wait", *words()), measured=False)
    wait_for_taken(server, 300)
    redis.stop(number)
    time.sleep(1)
    taken = size(server)
    time.sleep(0.3)
    # Nothing is sent that could not be marked.
    assert taken == size(server)
    redis.start()
    end = ended(coordinator, 60)
    assert {"accepted": ROWS} == end.counts
    assert_once_or_in_doubt(server, addresses, set(), 0)


def test_server_that_has_lost_everything_is_told_who_was_served(
    serve: Serve, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(ROWS)
    server = serve()
    workers.start(2)
    coordinator = start(*queue_words(server, redis.url, "--wait", *words()), measured=False)
    wait_for_taken(server, 300)
    with client.Redis(port=redis.port) as connection:
        connection.flushall()
    end = ended(coordinator, 60)
    assert 4 == end.code
    assert "has lost this campaign" in end.err
    again = ended(start(*queue_words(server, redis.url, "--wait", *words()), measured=False), 60)
    in_doubt = set(failures("in_doubt"))
    assert ROWS == sum(again.counts.values())
    assert set(again.counts) <= {"accepted", "in_doubt"}
    # Who was served and not home yet when the server lost it, may get it again: that is what the file is for.
    twice = size(server) - len({message.recipient for message in server.taken})
    assert twice <= 200
    assert set() == set(addresses) - {message.recipient for message in server.taken} - in_doubt


def test_server_out_of_memory_waits_until_there_is_room(serve: Serve, redis: RedisServer, workers: Workers) -> None:
    addresses = a_list(ROWS)
    server = serve()
    with client.Redis(port=redis.port) as connection:
        used = connection.info("memory")["used_memory"]
        connection.config_set("maxmemory", used + 300_000)
        coordinator = start(*queue_words(server, redis.url, "--wait", *words()), measured=False)
        wait_until(lambda: bool(connection.dbsize()), coordinator)
        time.sleep(1)
        assert coordinator.poll() is None
        connection.config_set("maxmemory", 0)
    workers.start()
    end = ended(coordinator, 60)
    assert "out of memory" in end.err or "takes nothing" in end.err or not end.err
    assert {"accepted": ROWS} == end.counts
    assert_once_or_in_doubt(server, addresses, set(), 0)


def test_server_away_at_the_start_is_told_in_one_line(serve: Serve, redis: RedisServer) -> None:
    a_list(10)
    redis.stop()
    end = queue(serve(), redis.url)
    assert (4, 1) == (end.code, end.err.count("\n"))
    assert "does not answer" in end.err
    worker = start("worker", "--queue", redis.url, "--once", "-q")
    _, said = worker.communicate(timeout=30)
    assert 4 == worker.returncode
    assert "does not answer" in said


def test_password_wrong_or_missing_is_told_and_right_one_works(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list(10)
    server = serve()
    redis = RedisServer(program("redis-server", "redis-server"), tmp_path / "locked", ("requirepass", "hunter2"))
    redis.start()
    try:
        missing = queue(server, redis.url)
        assert 4 == missing.code
        assert "refuses the login" in missing.err
        typed = queue(server, redis.url.replace("//", "//:hunter2@"))
        assert 2 == typed.code
        assert "hunter2" not in typed.err
        monkeypatch.setenv("MAILBLAST_QUEUE", redis.url.replace("//", "//:wrong@"))
        wrong = queue(server, redis.url)
        assert 4 == wrong.code
        assert "wrong" not in wrong.err.replace("WRONGPASS", "")
        monkeypatch.setenv("MAILBLAST_QUEUE", redis.url.replace("//", "//:hunter2@"))
        assert 0 == queue(server, redis.url).code
        assert 0 == ended(start("worker", "--once", "-q")).code
        assert {"accepted": 10} == status().counts
        assert "hunter2" not in "".join(path.read_text() for path in tmp_path.glob(".mailblast/*/*.json"))
    finally:
        redis.stop()


def test_server_that_evicts_is_refused_and_one_without_a_file_is_warned_of(serve: Serve, tmp_path: Path) -> None:
    a_list(10)
    path = program("redis-server", "redis-server")
    redis = RedisServer(path, tmp_path / "other", ("maxmemory-policy", "allkeys-lru"), append_only=False)
    redis.start()
    try:
        refused = queue(serve(), redis.url)
        assert 2 == refused.code
        assert "noeviction" in refused.err
        with client.Redis(port=redis.port) as connection:
            connection.config_set("maxmemory-policy", "noeviction")
        warned = queue(serve(), redis.url)
        assert 0 == warned.code
        assert "append-only file" in warned.err
    finally:
        redis.stop()

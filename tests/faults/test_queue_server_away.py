"""Redis that is away, full, or strange: a clear line, nothing lost, and on when it is back."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
import redis as client
from servers.availability import program
from servers.mailblast_process import COMMAND_S, a_list, a_template, assert_everybody_once, ended, start
from servers.queue_workers import (
    assert_once_or_in_doubt,
    counts_on_file,
    here,
    in_doubt,
    queue_here,
    queue_words,
    size,
    wait_for_quiet,
    wait_for_taken,
)
from servers.redis_server import RedisServer

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from servers.fault_server import FaultServer, Serve
    from servers.mailblast_process import Ended
    from servers.queue_workers import Workers
    from servers.tcp_proxy import TcpProxy

#: Of one worker, which is never killed here.
CONNECTIONS = 5
ROWS = 400
FULL = "is out of memory. Give Redis more (maxmemory), or end a campaign."


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_QUEUE_LEASE", "2")
    a_template()


def coordinate(server: FaultServer, url: str, *words: str) -> subprocess.Popen[str]:
    """Start a run that stays, and says what its operator should know."""
    given = queue_words(server, url, "--wait", "--connections", str(CONNECTIONS), "--rate", "400/s", *words)
    given.remove("-q")
    return start(*given)


def wait_for_words(process: subprocess.Popen[str], words: str) -> str:
    """Read what a process says up to a line with these words; return that line."""
    assert process.stderr is not None
    while line := process.stderr.readline():
        if words in line:
            return line
    raise AssertionError((words, process.wait(timeout=COMMAND_S)))


def settled(coordinator: subprocess.Popen[str]) -> Ended:
    return ended(coordinator, 60)


def test_cut_and_restart_in_mid_run_everybody_once_and_nobody_in_doubt(
    serve: Serve, redis: RedisServer, workers: Workers, proxy: TcpProxy
) -> None:
    rows = 250
    addresses = a_list(rows)
    server = serve()
    (cut_off,) = workers.start(url=f"redis://127.0.0.1:{proxy.port}")
    workers.start()
    with client.Redis(port=redis.port) as connection:
        workers.until_known(connection)
    coordinator = coordinate(server, redis.url, "--rate", "120/s")
    wait_for_taken(server, 20)
    proxy.cut()
    assert "Nothing is sent until it is back." in wait_for_words(cut_off, "does not answer")
    before = size(server)
    wait_for_taken(server, before + 10)
    proxy.mend()
    wait_for_words(cut_off, "The queue is back.")
    redis.stop(signal.SIGKILL)
    away = wait_for_words(coordinator, "does not answer")
    assert f"The queue at {redis.url} does not answer: " in away
    assert away.endswith("Check that Redis runs there. Waiting for it.\n")
    taken = size(server)
    wait_for_quiet(server, 0.3)
    # What could not be marked is not sent; what was on its way has ended.
    assert size(server) <= taken + 2 * CONNECTIONS
    assert size(server) < rows
    redis.start()
    wait_for_words(coordinator, "The queue is back.")
    assert {"accepted": rows} == settled(coordinator).counts
    assert_once_or_in_doubt(server, addresses, set(), 0)
    behind_proxy, direct = (said for _, said in workers.end())
    for said in (behind_proxy, direct):
        assert 1 == said.count("does not answer")
        assert 1 == said.count("Nothing is sent until it is back.")
        assert 1 == said.count("The queue is back.")


def test_server_that_has_lost_everything_is_told_who_was_served(
    serve: Serve, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(ROWS)
    server = serve()
    workers.start(2)
    coordinator = coordinate(server, redis.url)
    wait_for_taken(server, 200)
    with client.Redis(port=redis.port) as connection:
        connection.flushall()
    lost = settled(coordinator)
    assert 4 == lost.code
    assert "The queue has lost this campaign. Run the same command again: it continues." in lost.err
    again = settled(coordinate(server, redis.url))
    assert ROWS == sum(again.counts.values())
    assert set(again.counts) <= {"accepted", "in_doubt"}
    # Who was served and not home yet when the server lost it, may get it again: that is what the file is for.
    recipients = [message.recipient for message in server.taken]
    assert len(recipients) - len(set(recipients)) <= 200
    assert set() == set(addresses) - set(recipients) - in_doubt()


def test_server_out_of_memory_is_told_and_goes_on_when_there_is_room(
    serve: Serve, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(ROWS)
    server = serve()
    (worker,) = workers.start()
    # More batches than are let into the queue at once.
    coordinator = coordinate(server, redis.url, "--batch-size", "2")
    wait_for_taken(server, 100)
    with client.Redis(port=redis.port) as connection:
        connection.config_set("maxmemory", connection.info("memory")["used_memory"] // 2)
        told = wait_for_words(coordinator, "out of memory")
        assert f"The queue at {redis.url} {FULL} Waiting for it." in told
        assert f"The queue at {redis.url} {FULL} Nothing is sent until it is back." in wait_for_words(worker, "memory")
        wait_for_quiet(server, 0.3)
        assert size(server) < ROWS
        assert coordinator.poll() is None
        # A command that begins now is told the same, at once.
        refused = queue_here(server, redis.url, "--campaign", "other")
        assert (4, True) == (refused.code, f"The queue at {redis.url} {FULL}" in refused.err)
        connection.config_set("maxmemory", 0)
    wait_for_words(coordinator, "The queue is back.")
    assert {"accepted": ROWS} == settled(coordinator).counts
    assert_once_or_in_doubt(server, addresses, set(), 0)


def test_server_away_at_the_start_is_told_in_one_line(serve: Serve, redis: RedisServer) -> None:
    a_list(10)
    redis.stop()
    server = serve()
    for words in (queue_words(server, redis.url), ["worker", "--queue", redis.url, "--once", "-q"]):
        said = here(*words)
        assert (4, 1) == (said.code, said.err.count("\n"))
        assert said.err.startswith(f"mailblast: The queue at {redis.url} does not answer: ")
        assert said.err.endswith("Check that Redis runs there.\n")
    assert not server.taken


def test_password_wrong_or_missing_is_told_and_right_one_works(
    serve: Serve, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = a_list(10)
    server = serve()
    with client.Redis(port=redis.port) as connection:
        connection.config_set("requirepass", "hunter2")
    remedy = "Set MAILBLAST_QUEUE to the URL with user and password: rediss://user:password@host."
    missing = queue_here(server, redis.url)
    typed = queue_here(server, redis.url.replace("//", "//:hunter2@"))
    monkeypatch.setenv("MAILBLAST_QUEUE", redis.url.replace("//", "//:swordfish@"))
    wrong = queue_here(server, redis.url)
    worker = here("worker", "--once", "-q")
    for said in (missing, wrong, worker):
        assert 4 == said.code
        assert f"The queue at {redis.url} refuses the login: " in said.err
        assert remedy in said.err
    assert 2 == typed.code
    assert not server.taken
    monkeypatch.setenv("MAILBLAST_QUEUE", redis.url.replace("//", "//:hunter2@"))
    right = queue_here(server, redis.url)
    delivered = here("worker", "--once", "-q")
    assert (0, 0) == (right.code, delivered.code)
    assert_everybody_once(server, addresses)
    assert {"accepted": 10} == counts_on_file()
    kept = "".join(path.read_text() for path in tmp_path.glob(".mailblast/*/*.json"))
    for secret in ("hunter2", "swordfish"):
        assert secret not in f"{missing}{typed}{wrong}{worker}{right}{delivered}{kept}"


def test_password_changed_in_mid_run_ends_it_with_a_line_and_the_right_one_goes_on(
    serve: Serve, redis: RedisServer, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = a_list(ROWS)
    server = serve()
    (worker,) = workers.start()
    coordinator = coordinate(server, redis.url)
    wait_for_taken(server, 50)
    with client.Redis(port=redis.port) as connection:
        connection.config_set("requirepass", "hunter2")
        connection.client_kill_filter(_type="normal", skipme=True)
    end = settled(coordinator)
    _, said = worker.communicate(timeout=COMMAND_S)
    workers.running.clear()
    assert (4, 4) == (end.code, worker.returncode)
    for words in (end.err, said):
        assert f"The queue at {redis.url} refuses the login: " in words
        assert "Set MAILBLAST_QUEUE to the URL with user and password" in words
    monkeypatch.setenv("MAILBLAST_QUEUE", redis.url.replace("//", "//:hunter2@"))
    workers.start()
    assert {"accepted": ROWS} == settled(coordinate(server, redis.url)).counts
    assert_once_or_in_doubt(server, addresses, set(), 0)


def test_server_that_evicts_is_refused_and_one_without_a_file_is_warned_of(serve: Serve, tmp_path: Path) -> None:
    a_list(10)
    path = program("redis-server", "redis-server")
    redis = RedisServer(path, tmp_path / "other", ("maxmemory-policy", "allkeys-lru"), append_only=False)
    redis.start()
    try:
        refused = queue_here(serve(), redis.url)
        assert 2 == refused.code
        assert "noeviction" in refused.err
        with client.Redis(port=redis.port) as connection:
            connection.config_set("maxmemory-policy", "noeviction")
        warned = queue_here(serve(), redis.url)
        assert 0 == warned.code
        assert "append-only file" in warned.err
    finally:
        redis.stop()

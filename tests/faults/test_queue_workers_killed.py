"""kill -9, frozen workers, coordinators that die: everybody once, or in doubt and few of them."""

from __future__ import annotations

import os
import random
import signal
import time
from typing import TYPE_CHECKING

import pytest
from servers.mailblast_process import COMMAND_S, a_list, a_template, ended, failures, start, status, wait_until
from servers.queue_workers import (
    assert_once_or_in_doubt,
    queue,
    queue_words,
    size,
    wait_for_taken,
)

if TYPE_CHECKING:
    import subprocess

    from servers.fault_server import FaultServer, Serve
    from servers.queue_workers import Workers
    from servers.redis_server import RedisServer

ROWS = 50_000 if os.environ.get("CI_LONG") else 3_000
CONNECTIONS = 5


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_QUEUE_LEASE", "3")


def words(*more: str) -> tuple[str, ...]:
    return ("--connections", str(CONNECTIONS), "--rate", "none", *more)


def has_gone_on(server: FaultServer, coordinator: subprocess.Popen[str]) -> bool:
    """Wait for a random moment after the next message; return whether the campaign is still under way."""
    before = size(server)
    wait_until(lambda: size(server) > before or coordinator.poll() is not None, seconds=20)
    time.sleep(random.uniform(0, 0.05))
    return coordinator.poll() is None


@pytest.mark.timeout(300)
def test_workers_and_coordinators_killed_everybody_once_or_in_doubt(
    serve: Serve, redis: RedisServer, workers: Workers
) -> None:
    a_template()
    addresses = a_list(ROWS)
    server = serve()
    workers.start(3)
    coordinator = start(*queue_words(server, redis.url, "--wait", *words()), measured=False)
    kills = 0
    for kill in range(10):
        if not has_gone_on(server, coordinator):
            break
        workers.kill(random.choice(workers.running))
        kills += 1
        workers.start()
        if kill in {3, 6}:
            coordinator.kill()
            coordinator.communicate(timeout=COMMAND_S)
            coordinator = start(*queue_words(server, redis.url, "--wait", *words()), measured=False)
    end = ended(coordinator, 120)
    assert kills >= 4
    in_doubt = set(failures("in_doubt"))
    assert {"accepted": len(addresses) - len(in_doubt)} | (
        {"in_doubt": len(in_doubt)} if in_doubt else {}
    ) == end.counts
    assert_once_or_in_doubt(server, addresses, in_doubt, kills * CONNECTIONS)
    assert [143] * 3 == [code for code, _ in workers.end()]


def test_worker_killed_on_the_last_batch_is_redelivered_by_an_idle_one(
    serve: Serve, redis: RedisServer, workers: Workers
) -> None:
    a_template()
    addresses = a_list(100)
    server = serve()
    (first,) = workers.start()
    assert 0 == queue(server, redis.url, *words("--rate", "50/s")).code
    wait_for_taken(server, 20)
    workers.start()
    time.sleep(0.5)
    workers.kill(first)
    killed_s = time.monotonic()
    wait_until(lambda: size(server) >= 100 - CONNECTIONS and status().document["queue"] is None, seconds=40)
    assert time.monotonic() - killed_s < 30
    in_doubt = set(failures("in_doubt"))
    assert_once_or_in_doubt(server, addresses, in_doubt, CONNECTIONS)
    assert len(addresses) == sum(status().counts.values())


def test_worker_frozen_past_its_lease_sends_nobody_twice(serve: Serve, redis: RedisServer, workers: Workers) -> None:
    a_template()
    addresses = a_list(600)
    server = serve()
    (first,) = workers.start()
    assert 0 == queue(server, redis.url, *words()).code
    wait_for_taken(server, 50)
    first.send_signal(signal.SIGSTOP)
    workers.start(2)
    wait_until(lambda: size(server) >= 600 - CONNECTIONS - 4, seconds=30)
    time.sleep(4)
    frozen = status()
    first.send_signal(signal.SIGCONT)
    time.sleep(2)
    end = status()
    # What it was sending when it was frozen has an answer after all.
    assert frozen.counts.get("in_doubt", 0) <= CONNECTIONS
    in_doubt = set(failures("in_doubt"))
    assert_once_or_in_doubt(server, addresses, in_doubt, CONNECTIONS)
    assert len(addresses) == sum(end.counts.values())
    assert set(end.counts) <= {"accepted", "in_doubt"}


def test_worker_told_to_end_finishes_what_is_in_flight_and_hands_the_rest_back(
    serve: Serve, redis: RedisServer, workers: Workers
) -> None:
    a_template()
    addresses = a_list(400)
    server = serve()
    workers.start()
    assert 0 == queue(server, redis.url, *words("--rate", "100/s")).code
    wait_for_taken(server, 30)
    ((code, said),) = workers.end()
    assert (143, True) == (code, "SIGTERM" in said)
    after = status()
    assert size(server) == after.counts["accepted"]
    assert 400 - size(server) == after.document["queue"]["queued"]
    second = start("worker", "--queue", redis.url, "--once", "-q", measured=False)
    assert 0 == ended(second).code
    assert_once_or_in_doubt(server, addresses, set(), 0)
    assert {"accepted": 400} == status().counts

"""What a campaign over several workers must survive, in one: kill -9, freezing, cuts, restarts.

    MAILBLAST_FULL_FAULTS=1 pytest tests/faults/test_queue_acceptance.py -s --timeout 300

sends to 50,000; without it the same happens to a few. What goes wrong comes at random moments in random order, which
``MAILBLAST_FAULTS_SEED`` repeats.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
import redis as client
from servers.mailblast_process import COMMAND_S, a_list, a_template, ended, start, wait_until
from servers.queue_workers import (
    Workers,
    assert_once_or_in_doubt,
    in_doubt,
    queue_here,
    queue_words,
    size,
    status_here,
    wait_for_taken,
)
from servers.tcp_proxy import TcpProxy

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from servers.fault_server import FaultServer, Serve
    from servers.redis_server import RedisServer

CONNECTIONS = 5
LEASE_S = 2


def show(text: str) -> None:
    """Tell the figures to whoever runs this with -s."""
    sys.stdout.write(f"{text}\n")


class Size(NamedTuple):
    """How much is sent, and how often something goes wrong."""

    rows: int
    rate: str
    worker_kills: int
    coordinator_kills: int


SIZE = Size(50_000, "2000/s", 10, 2) if os.environ.get("MAILBLAST_FULL_FAULTS") else Size(1_000, "200/s", 3, 1)

SEED = int(os.environ.get("MAILBLAST_FAULTS_SEED", "0")) or random.randrange(1, 10_000)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_QUEUE_LEASE", str(LEASE_S))
    a_template()


@pytest.fixture
def proxy(redis: RedisServer) -> Iterator[TcpProxy]:
    proxy = TcpProxy(redis.port)
    yield proxy
    proxy.close()


class Campaign:
    """A campaign under way, and what can go wrong with it."""

    def __init__(self, server: FaultServer, redis: RedisServer, workers: Workers, proxy: TcpProxy) -> None:
        self.server = server
        self.redis = redis
        self.workers = workers
        self.proxy = proxy
        (self.behind_proxy,) = workers.start(url=f"redis://127.0.0.1:{proxy.port}")
        workers.start(2)
        self.until_known()
        self.coordinator = self.coordinate()
        self.frozen: subprocess.Popen[str] | None = None
        self.frozen_s = 0.0
        self.kills = 0

    def until_known(self) -> None:
        with client.Redis(port=self.redis.port) as connection:
            self.workers.until_known(connection)

    def coordinate(self) -> subprocess.Popen[str]:
        words = ("--wait", "--connections", str(CONNECTIONS), "--rate", SIZE.rate)
        return start(*queue_words(self.server, self.redis.url, *words), measured=False)

    def kill_worker(self) -> None:
        able = [each for each in self.workers.running if each not in {self.behind_proxy, self.frozen}]
        self.workers.kill(random.choice(able))
        self.workers.start()
        self.kills += 1

    def kill_coordinator(self) -> None:
        self.coordinator.kill()
        self.coordinator.communicate(timeout=COMMAND_S)
        self.coordinator = self.coordinate()

    def freeze_worker(self) -> None:
        self.until_known()
        self.frozen = random.choice([each for each in self.workers.running if each is not self.behind_proxy])
        self.frozen.send_signal(signal.SIGSTOP)
        self.frozen_s = time.monotonic()
        # Somebody is left to be killed.
        self.workers.start()

    def wake_worker(self) -> None:
        if self.frozen is not None:
            self.frozen.send_signal(signal.SIGCONT)
            self.frozen = None

    def cut(self) -> None:
        self.proxy.cut()
        time.sleep(random.uniform(0.1, 0.6))
        self.proxy.mend()

    def restart_redis(self) -> None:
        # One that begins while Redis is away ends, for its supervisor to start it again.
        self.until_known()
        self.redis.stop(random.choice([signal.SIGTERM, signal.SIGKILL]))
        time.sleep(random.uniform(0.1, 0.6))
        self.redis.start()

    def go_wrong(self) -> None:
        """Have everything happen, each at a random moment of its part of the campaign."""
        kinds: list[Callable[[], None]] = [self.freeze_worker, self.cut, self.restart_redis]
        kinds += [self.kill_worker] * SIZE.worker_kills + [self.kill_coordinator] * SIZE.coordinator_kills
        random.shuffle(kinds)
        part = SIZE.rows * 3 // 4 // len(kinds)
        for number, kind in enumerate(kinds):
            least = number * part + random.randrange(1, part)
            wait_until(lambda: self.has_gone_on() and size(self.server) >= least)  # noqa: B023 - called here
            kind()

    def has_gone_on(self) -> bool:
        """Return True; wake who was frozen past its lease, and start a coordinator anew that began without Redis."""
        if time.monotonic() > self.frozen_s + 1.5 * LEASE_S:
            self.wake_worker()
        if self.coordinator.poll() is not None:
            code, (_, said) = self.coordinator.returncode, self.coordinator.communicate()
            assert (4, True) == (code, "does not answer" in said), said
            self.coordinator = self.coordinate()
        return True


@pytest.mark.timeout(300)
def test_everything_that_goes_wrong_leaves_everybody_served_once_or_in_doubt(
    serve: Serve, redis: RedisServer, workers: Workers, proxy: TcpProxy
) -> None:
    random.seed(SEED)
    show(f"seed {SEED}")
    addresses = a_list(SIZE.rows)
    server = serve()
    campaign = Campaign(server, redis, workers, proxy)
    started_s = time.monotonic()
    try:
        campaign.go_wrong()
        wait_until(lambda: campaign.has_gone_on() and campaign.frozen is None)
        end = ended(campaign.coordinator, 120)
    finally:
        campaign.coordinator.kill()
        campaign.coordinator.communicate()
    seconds = time.monotonic() - started_s
    assert SIZE.rows == sum(end.counts.values())
    assert set(end.counts) <= {"accepted", "in_doubt"}
    # The frozen one may have had answers after it was taken for dead.
    wait_until(lambda: len(in_doubt()) <= (campaign.kills + 1) * CONNECTIONS)
    after = status_here()
    doubtful = in_doubt()
    assert SIZE.rows == sum(after.counts.values())
    assert after.counts.get("in_doubt", 0) == len(doubtful)
    assert_once_or_in_doubt(server, addresses, doubtful, (campaign.kills + 1) * CONNECTIONS)
    taken = {message.recipient for message in server.taken}
    show(
        f"{SIZE.rows:,} recipients in {seconds:.1f} s, {campaign.kills} workers killed: {len(taken):,} taken once, "
        f"none twice; {len(doubtful)} in doubt, {len(doubtful & taken)} of them taken"
    )
    kill_on_the_last_batch(server, redis, workers)
    assert {143} == {code for code, _ in workers.end()}


def kill_on_the_last_batch(server: FaultServer, redis: RedisServer, workers: Workers) -> None:
    """Kill the one that has the only batch, while all others are idle: one of them goes on with it."""
    before = size(server)
    addresses = a_list([f"last{number}@example.org" for number in range(40)])
    first, *others = workers.running
    for each in others:
        each.send_signal(signal.SIGSTOP)
    assert 0 == queue_here(server, redis.url, "--campaign", "last", "--rate", "50/s").code
    wait_for_taken(server, before + 5)
    for each in others:
        each.send_signal(signal.SIGCONT)
    workers.kill(first)
    killed_s = time.monotonic()
    wait_until(lambda: status_here("last").document["queue"] is None, seconds=40)
    seconds = time.monotonic() - killed_s
    doubtful = in_doubt("last")
    counts = status_here("last").counts
    assert 40 == sum(counts.values())
    taken = [message.recipient for message in server.taken if message.recipient in set(addresses)]
    assert len(taken) == len(set(taken))
    assert set() == set(addresses) - set(taken) - doubtful
    assert len(doubtful) <= CONNECTIONS
    show(f"last batch: its worker killed, whole again {seconds:.1f} s later, {len(doubtful)} in doubt")

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
from servers.mailblast_process import COMMAND_S, a_list, a_template, start, wait_until
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

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from servers.fault_server import FaultServer, Serve
    from servers.redis_server import RedisServer
    from servers.tcp_proxy import TcpProxy

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


SIZE = Size(50_000, "2000/s", 10, 2) if os.environ.get("MAILBLAST_FULL_FAULTS") else Size(800, "200/s", 3, 1)

SEED = int(os.environ.get("MAILBLAST_FAULTS_SEED", "0")) or random.randrange(1, 10_000)


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAILBLAST_QUEUE_LEASE", str(LEASE_S))
    a_template()


class Campaign:
    """A campaign under way, and what can go wrong with it; a further one follows where it is over too soon."""

    def __init__(self, server: FaultServer, redis: RedisServer, workers: Workers, proxy: TcpProxy) -> None:
        self.server = server
        self.redis = redis
        self.workers = workers
        self.proxy = proxy
        (self.behind_proxy,) = workers.start(url=f"redis://127.0.0.1:{proxy.port}")
        workers.start(2)
        self.until_known()
        #: Names of campaigns, and who they are for.
        self.rounds: dict[str, list[str]] = {}
        self.coordinator: subprocess.Popen[str]
        self.frozen: subprocess.Popen[str] | None = None
        self.frozen_s = 0.0
        self.kills = 0

    def until_known(self) -> None:
        with client.Redis(port=self.redis.port) as connection:
            self.workers.until_known(connection)

    def begin(self) -> None:
        name = f"round{len(self.rounds) + 1}"
        self.rounds[name] = a_list([f"{name}-{number}@example.org" for number in range(SIZE.rows)])
        self.coordinator = self.coordinate()

    def coordinate(self) -> subprocess.Popen[str]:
        words = ("--wait", "--connections", str(CONNECTIONS), "--rate", SIZE.rate, "--campaign", [*self.rounds][-1])
        return start(*queue_words(self.server, self.redis.url, *words), measured=False)

    # What goes wrong.

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

    # The whole.

    def go_wrong(self) -> None:
        """Have everything happen, each at a random moment of its part of the campaign."""
        kinds: list[Callable[[], None]] = [self.freeze_worker, self.cut, self.restart_redis]
        kinds += [self.kill_worker] * SIZE.worker_kills + [self.kill_coordinator] * SIZE.coordinator_kills
        random.shuffle(kinds)
        while kinds:
            self.begin()
            before, part = size(self.server), SIZE.rows * 3 // 4 // len(kinds)
            for number, kind in enumerate(list(kinds)):
                least = before + number * part + random.randrange(1, part)
                wait_until(lambda: self.is_over() or size(self.server) >= least)  # noqa: B023 - called here
                if self.is_over():
                    break
                kind()
                kinds.remove(kind)
            wait_until(self.is_over, seconds=120)

    def is_over(self) -> bool:
        """Wake who was frozen past its lease, have a coordinator that began without Redis begin again; return."""
        if self.frozen is not None and time.monotonic() > self.frozen_s + 1.5 * LEASE_S:
            self.frozen.send_signal(signal.SIGCONT)
            self.frozen = None
        if self.coordinator.poll() is None:
            return False
        if self.coordinator.returncode != 4:
            return self.frozen is None
        _, said = self.coordinator.communicate()
        assert "does not answer" in said, said
        self.coordinator = self.coordinate()
        return False

    def close(self) -> None:
        self.coordinator.kill()
        self.coordinator.communicate()


@pytest.mark.timeout(300)
def test_everything_that_goes_wrong_leaves_everybody_served_once_or_in_doubt(
    serve: Serve, redis: RedisServer, workers: Workers, proxy: TcpProxy
) -> None:
    random.seed(SEED)
    server = serve()
    campaign = Campaign(server, redis, workers, proxy)
    started_s = time.monotonic()
    try:
        campaign.go_wrong()
    finally:
        campaign.close()
    seconds = time.monotonic() - started_s
    most = (campaign.kills + 1) * CONNECTIONS
    # The frozen one may have had answers after it was taken for dead.
    doubtful: set[str] = set()
    for name, addresses in campaign.rounds.items():
        found = status_here(name)
        assert len(addresses) == sum(found.counts.values())
        assert set(found.counts) <= {"accepted", "in_doubt"}
        assert found.counts.get("in_doubt", 0) == len(in_doubt(name))
        doubtful |= in_doubt(name)
    everybody = [address for addresses in campaign.rounds.values() for address in addresses]
    assert_once_or_in_doubt(server, everybody, doubtful, most)
    taken = {message.recipient for message in server.taken}
    show(
        f"seed {SEED}: {len(everybody):,} recipients in {seconds:.1f} s and {len(campaign.rounds)} campaigns, "
        f"{campaign.kills} workers killed: {len(taken):,} taken once, none twice; {len(doubtful)} in doubt (at most "
        f"{most} may be), {len(doubtful & taken)} of them taken"
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

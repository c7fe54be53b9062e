"""Workers of a queue as processes, and what they have delivered between them."""

from __future__ import annotations

import signal
import time
from collections import Counter
from typing import TYPE_CHECKING

from servers.mailblast_process import COMMAND_S, bulk_words, ended, start, wait_until

if TYPE_CHECKING:
    import subprocess

    from servers.fault_server import FaultServer
    from servers.mailblast_process import Ended


class Workers:
    """Any number of ``mailblast worker``; all end with the test.

    Args:
        url: Of the queue.
        words: Further options of each.
    """

    def __init__(self, url: str, *words: str) -> None:
        self.url = url
        self.words = words
        self.running: list[subprocess.Popen[str]] = []

    def start(self, count: int = 1, *, url: str = "") -> list[subprocess.Popen[str]]:
        """Start some more."""
        started = [start("worker", "--queue", url or self.url, "-q", *self.words, measured=False) for _ in range(count)]
        self.running += started
        return started

    def kill(self, worker: subprocess.Popen[str]) -> None:
        """Kill one."""
        worker.kill()
        worker.communicate(timeout=COMMAND_S)
        self.running.remove(worker)

    def end(self) -> list[tuple[int, str]]:
        """Have all end in good order; return their exit codes and what they said."""
        for worker in self.running:
            worker.send_signal(signal.SIGCONT)
            worker.send_signal(signal.SIGTERM)
        ends = []
        for worker in self.running:
            _, said = worker.communicate(timeout=COMMAND_S)
            ends.append((worker.returncode, said))
        self.running.clear()
        return ends

    def close(self) -> None:
        """Kill what is left."""
        for worker in list(self.running):
            worker.send_signal(signal.SIGCONT)
            self.kill(worker)


def queue_words(server: FaultServer, url: str, *words: str) -> list[str]:
    """Return the words of a ``bulk`` that queues."""
    return bulk_words(server, "--queue", url, *words)


def queue(server: FaultServer, url: str, *words: str) -> Ended:
    """Queue the list."""
    return ended(start(*queue_words(server, url, *words)))


def wait_for_taken(server: FaultServer, count: int, seconds: float = 30.0) -> None:
    """Wait until the server has taken so many messages."""
    wait_until(lambda: size(server) >= count, seconds=seconds)


def size(server: FaultServer) -> int:
    """Return how many messages the server has taken."""
    return server.log.read_bytes().count(b"\n") if server.log.exists() else 0


def wait_for_quiet(server: FaultServer, seconds: float = 1.0) -> None:
    """Wait until the server has taken nothing for so long."""
    before, quiet_s = -1, time.monotonic()
    while time.monotonic() - quiet_s < seconds:
        now = size(server)
        if now != before:
            before, quiet_s = now, time.monotonic()
        time.sleep(0.02)


def assert_once_or_in_doubt(server: FaultServer, addresses: list[str], in_doubt: set[str], at_most: int) -> None:
    """Assert that nobody got it twice, and that who did not get it is in doubt, which few are."""
    taken = Counter(message.recipient for message in server.taken)
    assert [] == [address for address, count in taken.items() if count > 1]
    assert set() == set(addresses) - taken.keys() - in_doubt
    assert set() == taken.keys() - set(addresses)
    assert len(in_doubt) <= at_most

"""Workers of a queue as processes, and what they have delivered between them."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from servers.mailblast_process import COMMAND_S, bulk_words, ended, start, wait_until

from mailblast.cli.app import run
from mailblast.journal.reading import JournalReader

if TYPE_CHECKING:
    import subprocess

    from servers.fault_server import FaultServer
    from servers.mailblast_process import Ended
    from servers.redis_server import RedisServer


HOME = Path(".mailblast")
CAMPAIGN = "welcome-list"
#: Bytes and lines of logs that have been read.
_COUNTED: dict[Path, tuple[int, int]] = {}


class Said(NamedTuple):
    """What a command said that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object on stdout."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def counts(self) -> dict[str, int]:
        """The campaign's counts that are not zero."""
        return {state: count for state, count in self.document["counts"].items() if count}


def here(*words: str) -> Said:
    """Run a command to its end in this process: a start takes longer than most of them."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            code = run(list(words))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
    return Said(code, out.getvalue(), err.getvalue())


def run_here(*words: str) -> str:
    """Run a command that goes well; return what it says."""
    said = here(*words)
    assert said.code == 0, said.err
    return said.out


def work_once(redis: RedisServer, *words: str) -> None:
    """Work until nothing is due."""
    said = here("worker", "--queue", redis.url, "--once", "-q", *words)
    assert (said.code, said.err) == (0, "")


def status_here(campaign: str = CAMPAIGN) -> Said:
    """Run ``status --json``, which takes outcomes home."""
    return here("status", campaign, "--json")


def counts_on_file(campaign: str = CAMPAIGN) -> dict[str, int]:
    """Return the counts that are not zero of a journal, and nothing that is elsewhere."""
    with JournalReader(HOME, campaign) as reader:
        return {state.value: count for state, count in reader.counts().items() if count}


def in_doubt(campaign: str = CAMPAIGN) -> set[str]:
    """Return who is in doubt on record."""
    said = here("failures", campaign, "--state", "in_doubt")
    assert said.code == 0, said.err
    return {line.partition(",")[0] for line in said.out.splitlines()[1:]}


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

    def until_known(self, connection: Any) -> None:
        """Wait until all have told the server that they are there."""
        wanted = {each.pid for each in self.running}
        wait_until(lambda: wanted <= {int(name.split(b"-")[-2]) for name in connection.hkeys("mailblast:workers")})

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
    """Queue the list by a process."""
    return ended(start(*queue_words(server, url, *words)))


def queue_here(server: FaultServer, url: str, *words: str) -> Said:
    """Queue the list."""
    return here(*queue_words(server, url, *words))


def wait_for_taken(server: FaultServer, count: int, seconds: float = 30.0) -> None:
    """Wait until the server has taken so many messages."""
    wait_until(lambda: size(server) >= count, seconds=seconds)


def size(server: FaultServer) -> int:
    """Return how many messages the server has taken; of the log, what is new is read."""
    if not server.log.exists():
        return 0
    offset, count = _COUNTED.get(server.log, (0, 0))
    with server.log.open("rb") as log:
        log.seek(offset)
        new = log.read()
    _COUNTED[server.log] = offset + len(new), count + new.count(b"\n")
    return _COUNTED[server.log][1]


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

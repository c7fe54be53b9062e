"""kill -9 at random moments, again and again: nobody is lost, nobody is mailed twice, few are in doubt.

60 kills of one process in the usual run; with ``MAILBLAST_FULL_FAULTS=1`` in the environment, 200.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault, FaultServer
from servers.mailblast_process import (
    FULL,
    a_list,
    a_template,
    assert_nobody_twice,
    bulk,
    bulk_words,
    children_of,
    failures,
    start,
    status,
    wait_until,
)

from mailblast.journal.lock import is_locked
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import State

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from servers.fault_server import Serve

CONNECTIONS = 5
#: About 0.4 s each; as many rows as these get through.
KILLS, ROWS = (200, 20_000) if FULL else (60, 6_000)
#: The same with several processes, which take longer to start.
PROCESSES_KILLS, PROCESSES_ROWS = (60, 8_000) if FULL else (20, 3_000)
#: One final reply in so many is lost by the server.
LOST_EVERY = 1_000
#: Messages a second on two cores, for a share of the list that each run gets; nothing depends on it.
RATE_PER_S = 6_000
#: Refused for good at RCPT, for now and for good at the dot.
REFUSED = [f"{named}.{number}@example.org" for named in ("rcpt-550", "dot-451", "dot-554") for number in range(20)]
OPTIONS = ("--connections", str(CONNECTIONS), "--retry-for", "0")


def some_list(rows: int) -> set[str]:
    """Write a list with everything in it, in no order; return the addresses that can be accepted."""
    good = [f"user{number}@example.org" for number in range(rows - len(REFUSED) - 20)]
    lines = [*good, *REFUSED, *good[:10], *(f"no address {number}" for number in range(10))]
    random.shuffle(lines)
    a_list(lines)
    return set(good)


def run_and_kill(server: FaultServer) -> bool:
    """Start a run and kill it at a random moment; return whether it was killed before its end."""
    process = start(*bulk_words(server, *OPTIONS), measured=False)
    wait_for_a_moment(server, process, 1.4 * ROWS / KILLS / RATE_PER_S)
    process.kill()
    _, err = process.communicate()
    assert "Traceback" not in err, err
    return process.returncode == -9


def run_processes_and_kill(server: FaultServer) -> int:
    """Start a run with two processes and kill the parent or a child; return how many children were killed."""
    process = start(*bulk_words(server, *OPTIONS, "--processes", "2"), measured=False)
    wait_for_a_moment(server, process, 2 * PROCESSES_ROWS / PROCESSES_KILLS / RATE_PER_S)
    children = children_of(process.pid) if random.random() < 0.5 else []
    if children:
        os.kill(random.choice(children), signal.SIGKILL)
        # The other one goes on, and soon a new one with it.
        time.sleep(random.uniform(0, 0.4))
        process.terminate()
    else:
        process.kill()
    _, err = process.communicate(timeout=40)
    assert "Traceback" not in err, err
    # -15: it came before the first row was handed out, or after the last outcome was there.
    assert process.returncode in ({143, -15, 0, 1} if children else {-9, 0, 1})
    wait_until(lambda: not is_locked(Path(".mailblast/welcome-list/lock")))
    return len(children[:1])


def wait_for_a_moment(server: FaultServer, process: subprocess.Popen[str], longest_s: float) -> None:
    """Wait for a random moment of a run: of its start, or up to so many seconds after its first message."""
    size = log_size(server)
    if random.random() < 0.3:
        # While it starts, opens the journal, recovers what the last one left, reads what it may skip.
        time.sleep(random.uniform(0.1, 0.6))
        return
    ends_s = time.monotonic() + 20
    while log_size(server) == size and process.poll() is None and time.monotonic() < ends_s:
        time.sleep(0.001)
    time.sleep(random.uniform(0, longest_s))


def log_size(server: FaultServer) -> int:
    return server.log.stat().st_size if server.log.exists() else 0


def in_doubt_now() -> int:
    """Return how many are in doubt, as the next run will find them."""
    if not Path(".mailblast/welcome-list/journal.sqlite3").exists():
        return 0
    with JournalReader(Path(".mailblast"), "welcome-list") as reader:
        return reader.counts()[State.IN_DOUBT]


@pytest.mark.timeout(300)
def test_killed_again_and_again_nobody_is_lost_or_mailed_twice(
    serve: Serve, record_testsuite_property: Callable[[str, object], None]
) -> None:
    a_template()
    good = some_list(ROWS)
    server = serve(Fault("dot", "take", every=LOST_EVERY))
    kills, in_doubt, lost = 0, 0, 0
    gained: Counter[int] = Counter()
    for _ in range(KILLS):
        kills += run_and_kill(server)
        now, lost_now = in_doubt_now(), lost_replies(server)
        assert now - in_doubt <= CONNECTIONS + lost_now - lost
        gained[max(now - in_doubt - (lost_now - lost), 0)] += 1
        in_doubt, lost = now, lost_now
    record_testsuite_property("kills", kills)
    record_testsuite_property("runs by number of recipients that their kill left in doubt", dict(gained))
    assert_nobody_is_lost_or_mailed_twice(server, good, ROWS)


@pytest.mark.timeout(300)
def test_processes_killed_again_and_again_nobody_is_lost_or_mailed_twice(serve: Serve) -> None:
    a_template()
    good = some_list(PROCESSES_ROWS)
    server = serve(Fault("dot", "take", every=LOST_EVERY))
    in_doubt, lost = 0, 0
    for _ in range(PROCESSES_KILLS):
        children_killed = run_processes_and_kill(server)
        now, lost_now = in_doubt_now(), lost_replies(server)
        # A parent's death leaves nobody in doubt: its children finish what is in flight.
        assert now - in_doubt <= children_killed * CONNECTIONS + lost_now - lost
        in_doubt, lost = now, lost_now
    assert_nobody_is_lost_or_mailed_twice(server, good, PROCESSES_ROWS, "--processes", "2")


def lost_replies(server: FaultServer) -> int:
    return sum(not message.replied for message in server.taken)


def assert_nobody_is_lost_or_mailed_twice(server: FaultServer, good: set[str], rows: int, *options: str) -> None:
    """Run to the end of the list, compare with what the server took, and send those in doubt again."""
    run = bulk(server, *OPTIONS, *options)
    held = failures("in_doubt")
    taken = server.taken
    assert 1 == run.code
    assert (10, 10) == (run.counts["invalid"], run.counts["duplicate"])
    assert len(REFUSED) == run.counts["failed"] + run.counts["deferred"] + len(held.keys() & set(REFUSED))
    assert len(held) == run.counts["in_doubt"]
    assert "unsent" not in run.counts
    assert rows == sum(run.counts.values())
    assert run.counts == status().counts
    assert_nobody_twice(server)
    recipients = {message.recipient for message in taken}
    # Every accepted one was taken, and everyone taken is accepted or in doubt.
    assert recipients | held.keys() == good | held.keys()
    assert held.keys() <= good | set(REFUSED)

    # Told to, it sends those in doubt again, the same bytes, and then nothing is left.
    run = bulk(server, "--resend-in-doubt", "--retry-failed", *OPTIONS, *options)
    copies = Counter(message.recipient for message in server.taken)
    assert good == copies.keys()
    assert {address for address, count in copies.items() if count > 1} <= held.keys()
    assert len(good) == len({(each.recipient, each.digest, each.message_id, each.date) for each in server.taken})
    assert rows == sum(run.counts.values())

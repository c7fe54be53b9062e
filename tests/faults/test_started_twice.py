"""Two runs of one campaign at the same time: one works, the other says who does, and ends."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import (
    FULL,
    a_list,
    a_template,
    assert_everybody_once,
    bulk,
    bulk_words,
    ended,
    start,
    status,
    wait_until,
)

if TYPE_CHECKING:
    from servers.fault_server import Serve

ROUNDS = 50 if FULL else 15


@pytest.mark.timeout(180)
def test_two_started_together_one_runs_and_the_other_names_it(serve: Serve) -> None:
    a_template()
    server = serve(Fault("dot", "", delay_s=60))
    for round_number in range(1, ROUNDS + 1):
        addresses = a_list(round_number)
        processes = [start(*bulk_words(server), measured=False) for _ in range(2)]
        wait_until(lambda: any(process.poll() is not None for process in processes))  # noqa: B023 - called here
        wait_until(lambda: len(server.taken) == round_number)  # noqa: B023 - called here
        server.release()
        runs = {process.pid: ended(process) for process in processes}
        (loser,) = (pid for pid, run in runs.items() if run.code == 5)
        (winner,) = runs.keys() - {loser}
        assert 0 == runs[winner].code, runs
        assert 1 == runs[winner].this_run["accepted"]
        said = runs[loser].err
        assert f"Process {winner} on {socket.gethostname()} holds the campaign welcome-list since 20" in said
        assert 5 == runs[loser].document["exit_code"]
    assert_everybody_once(server, addresses)


def test_second_one_ends_at_once_and_the_lock_of_a_dead_one_is_taken_over(serve: Serve) -> None:
    a_template()
    addresses = a_list(10)
    server = serve(Fault("dot", "", times=10, delay_s=20))
    first = start(*bulk_words(server, "--connections", "1"))
    wait_until(lambda: len(server.taken) == 1, first)
    began_s = time.monotonic()
    second = bulk(server)
    assert 5 == second.code
    assert time.monotonic() - began_s < 5
    assert "running" == status_of_running()
    first.send_signal(signal.SIGKILL)
    first.communicate()

    # Dead is dead: nothing has to be removed or waited for.
    run = bulk(serve())
    assert (1, {"accepted": 9, "in_doubt": 1}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


def status_of_running() -> str:
    process = start("status", "welcome-list", "--json")
    out, err = process.communicate(timeout=50)
    assert 0 == process.returncode, err
    return str(json.loads(out)["state"])


def test_two_campaigns_run_together(serve: Serve) -> None:
    a_template()
    addresses = a_list(10)
    server = serve(Fault("dot", "", every=3, delay_s=0.4))
    processes = [start(*bulk_words(server, "-c", name)) for name in ("one", "two")]
    for process in processes:
        run = ended(process)
        assert (0, {"accepted": 10}) == (run.code, run.counts)
    assert dict.fromkeys(addresses, 2) == dict(Counter(message.recipient for message in server.taken))
    # Two mailings, so nothing that a receiver could take for a copy.
    assert 20 == len({message.message_id for message in server.taken})
    assert {"accepted": 10} == status("one").counts

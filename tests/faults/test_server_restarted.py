"""The server is restarted in the middle of a run: the run waits, and goes on by itself."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import (
    a_list,
    a_template,
    assert_nobody_twice,
    bulk_words,
    ended,
    failures,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from servers.fault_server import Serve


@pytest.mark.parametrize("away_s", [0.0, 1.5])
def test_server_restarted_the_run_goes_on_by_itself(away_s: float, serve: Serve, *, pipelining: bool) -> None:
    a_template()
    addresses = a_list(600)
    slow = Fault("dot", "", every=10, delay_s=0.1)
    server = serve(slow, pipelining=pipelining)
    process = start(*bulk_words(server))
    for restarts in range(1, 3):
        wait_until(lambda enough=200 * restarts: len(server.taken) >= enough, process)  # type: ignore[misc]
        server.stop(signal.SIGKILL)
        time.sleep(away_s)
        server.start()
    run = ended(process)
    held = failures("in_doubt")
    assert (1 if held else 0) == run.code, run
    assert len(held) <= 2 * 5
    assert {"accepted": 600 - len(held)} == {state: count for state, count in run.counts.items() if state != "in_doubt"}
    assert_nobody_twice(server)
    assert set(addresses) == held.keys() | {message.recipient for message in server.taken}

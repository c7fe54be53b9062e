"""A server with which nothing works: the run ends by itself, says why, and can be gone on with."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import a_list, a_template, assert_everybody_once, bulk, failures, status

if TYPE_CHECKING:
    from servers.fault_server import Serve

#: Messages that may be in doubt before a run stops: see MAX_BROKEN_IN_ROW in delivery/retry.py.
MOST_IN_DOUBT = 30


@pytest.mark.parametrize("stage", ["mail", "data"])
def test_server_that_always_drops_ends_the_run_with_everybody_unsent(
    stage: str, serve: Serve, *, pipelining: bool
) -> None:
    a_template()
    addresses = a_list(200)
    server = serve(Fault(stage), pipelining=pipelining)
    run = bulk(server)
    assert 4 == run.code
    assert "stopped the run" in run.err
    assert {"unsent": 200} == run.counts
    assert "stopped" == status().document["state"]
    assert [] == server.taken

    run = bulk(serve())
    assert (0, {"accepted": 200}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


def test_server_that_always_drops_after_the_dot_ends_the_run_with_few_in_doubt(
    serve: Serve, *, pipelining: bool
) -> None:
    a_template()
    addresses = a_list(200)
    server = serve(Fault("dot", "take"), pipelining=pipelining)
    run = bulk(server)
    assert 4 == run.code
    assert run.counts["in_doubt"] <= MOST_IN_DOUBT
    assert 200 == run.counts["in_doubt"] + run.counts["unsent"]
    assert failures("in_doubt").keys() == {message.recipient for message in server.taken}

    run = bulk(serve())
    assert 1 == run.code
    assert_everybody_once(server, addresses)
    assert 200 == run.counts["accepted"] + run.counts["in_doubt"]
    assert {1: 200} == Counter(Counter(message.recipient for message in server.taken).values())


def test_server_that_goes_away_for_good_ends_the_run(serve: Serve) -> None:
    a_template()
    addresses = a_list(200)
    # No connection is ever taken again after the first two.
    server = serve(Fault("banner", "", times=2), Fault("banner", "554 5.3.2 No service"))
    run = bulk(server, "--messages-per-connection", "10", seconds=100)
    assert 4 == run.code
    assert 200 == run.counts["accepted"] + run.counts["unsent"]
    assert "554" in run.err
    run = bulk(serve())
    assert (0, {"accepted": 200}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)

"""The reply to the final dot takes long: waiting is right, and giving up makes doubt, never a second copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from servers.fault_server import Fault
from servers.mailblast_process import a_list, a_template, assert_everybody_once, bulk, failures

if TYPE_CHECKING:
    from servers.fault_server import Serve


def test_final_reply_that_takes_long_is_waited_for(serve: Serve, *, pipelining: bool) -> None:
    a_template()
    addresses = a_list(4)
    server = serve(Fault("dot", "", times=2, delay_s=1.5), pipelining=pipelining)
    run = bulk(f"{server.dsn}?final-timeout=30", "--connections", "2")
    assert (0, {"accepted": 4}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


def test_final_reply_later_than_its_time_out_is_in_doubt_and_not_repeated(serve: Serve, *, pipelining: bool) -> None:
    a_template()
    addresses = a_list(4)
    server = serve(Fault("dot", "", times=1, delay_s=6), pipelining=pipelining)
    run = bulk(f"{server.dsn}?final-timeout=1", "--connections", "2")
    assert (1, {"accepted": 3, "in_doubt": 1}) == (run.code, run.counts)
    assert 1 == len(failures("in_doubt"))
    # It was taken, as happens; a second copy is what must not be.
    assert_everybody_once(server, addresses)
    run = bulk(server)
    assert (1, 1) == (run.code, run.document["this_run"]["held"])
    assert_everybody_once(server, addresses)

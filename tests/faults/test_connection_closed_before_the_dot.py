"""The server hangs up before a message is complete: certainly not sent, so it is sent again, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import (
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk,
    failures,
    status,
)

if TYPE_CHECKING:
    from servers.fault_server import Serve

EARLY = ("banner", "ehlo")


@pytest.mark.parametrize("stage", ["banner", "ehlo", "mail", "rcpt", "data"])
def test_close_at_a_stage_some_times_everybody_has_it_once(
    stage: str, addresses: list[str], serve: Serve, *, pipelining: bool
) -> None:
    # The first connection works, so that the run begins; the next ones of five do not.
    first = Fault("quit", "", times=1)
    server = serve(first, Fault(stage, every=2, times=6), pipelining=pipelining)
    run = bulk(server, "--messages-per-connection", "3")
    assert 0 == run.code, run
    assert {"accepted": 20} == run.counts
    assert_everybody_once(server, addresses)
    assert {} == failures("in_doubt,failed,deferred,unsent")


@pytest.mark.parametrize("stage", EARLY)
def test_close_at_the_first_connection_stops_with_all_unsent_and_goes_on_later(
    stage: str, addresses: list[str], serve: Serve
) -> None:
    server = serve(Fault(stage))
    run = bulk(server)
    assert 4 == run.code
    assert stage.upper() in run.err.replace("CONNECT", "BANNER")
    assert [] == server.taken
    assert {} == status().counts
    run = bulk(serve())
    assert (0, {"accepted": 20}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


def test_close_within_a_large_body_some_times_everybody_has_it_once(serve: Serve, *, pipelining: bool) -> None:
    # More than the buffers between the two usually hold, so that the final dot has not left; where the system gives
    # a connection larger ones, it may have, and then the message is in doubt.
    a_template(f"<p>{'0123456789' * 8}</p>\n" * 20_000)
    addresses = a_list(3)
    server = serve(Fault("body", times=2), pipelining=pipelining, body_bytes=100_000, buffer=65_536)
    run = bulk(server, "--connections", "2")
    held = failures("in_doubt").keys()
    assert (1 if held else 0) == run.code
    assert 3 - len(held) == run.counts["accepted"]
    assert set(addresses) == held | {message.recipient for message in server.taken}
    assert_nobody_twice(server)


def test_close_within_a_small_body_is_in_doubt_as_its_dot_has_left(
    addresses: list[str], serve: Serve, *, pipelining: bool
) -> None:
    server = serve(Fault("body", times=2), pipelining=pipelining)
    run = bulk(server)
    assert (1, {"accepted": 18, "in_doubt": 2}) == (run.code, run.counts)
    held = failures("in_doubt")
    assert set(addresses) == held.keys() | {message.recipient for message in server.taken}
    assert 18 == len(server.taken)

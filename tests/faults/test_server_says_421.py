"""The server ends sessions with 421: an answer about the connection, not about a recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import a_list, a_template, assert_everybody_once, bulk, start

if TYPE_CHECKING:
    from servers.fault_server import Serve

CLOSING = "421 4.3.2 Closing for a while"
#: ``status`` shows no attempts, ``failures`` does.
ATTEMPTS = ("failures", "welcome-list", "--state", "accepted")


@pytest.mark.parametrize("stage", ["banner", "ehlo", "mail", "rcpt", "data", "dot"])
def test_421_at_a_stage_everybody_has_it_once_and_no_attempt_is_charged(
    stage: str, addresses: list[str], serve: Serve, *, pipelining: bool
) -> None:
    first = Fault("quit", "", times=1)
    server = serve(first, Fault(stage, CLOSING, every=2, times=6), pipelining=pipelining)
    run = bulk(server, "--messages-per-connection", "3")
    assert (0, {"accepted": 20}) == (run.code, run.counts), run.err
    assert_everybody_once(server, addresses)
    assert {"1"} == attempts()


def test_421_after_every_ten_messages_is_rotation(serve: Serve, *, pipelining: bool) -> None:
    a_template()
    addresses = a_list(1000)
    server = serve(Fault("mail", "421 4.7.0 Too many messages on this connection", every=10), pipelining=pipelining)
    run = bulk(server)
    assert (0, {"accepted": 1000}) == (run.code, run.counts), run.err
    assert_everybody_once(server, addresses)
    assert {"1"} == attempts()


def attempts() -> set[str]:
    """Return the numbers of attempts that accepted recipients have."""
    process = start(*ATTEMPTS)
    out, err = process.communicate(timeout=50)
    assert 0 == process.returncode, err
    heading, *rows = (line.split(",") for line in out.splitlines())
    return {row[heading.index("attempts")] for row in rows}

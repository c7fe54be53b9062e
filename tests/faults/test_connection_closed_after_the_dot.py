"""The server hangs up instead of replying to the final dot: nobody can know, so these are held, and told."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import a_template, bulk, failures, status

if TYPE_CHECKING:
    from servers.fault_server import Serve


@pytest.mark.parametrize("do", ["take", "close"])
def test_close_after_the_dot_holds_exactly_these_until_told_otherwise(
    do: str, addresses: list[str], serve: Serve, *, pipelining: bool
) -> None:
    server = serve(Fault("dot", do, every=7), pipelining=pipelining)
    run = bulk(server)
    assert (1, {"accepted": 18, "in_doubt": 2}) == (run.code, run.counts)
    held = failures("in_doubt")
    first = {message.recipient: message for message in server.taken}
    lost = {address for address, message in first.items() if not message.replied}
    assert held.keys() == (lost if do == "take" else set(addresses) - first.keys())
    assert {"1"} == {row["attempts"] for row in held.values()}

    # The same command leaves them alone, and says so.
    server = serve(pipelining=pipelining)
    run = bulk(server)
    assert (1, {"accepted": 18, "in_doubt": 2}) == (run.code, run.counts)
    assert 2 == run.document["this_run"]["held"]
    assert len(first) == len(server.taken)
    assert run.counts == status().counts

    # Told to, it sends the same bytes.
    run = bulk(server, "--resend-in-doubt")
    assert (0, {"accepted": 20}) == (run.code, run.counts)
    again = server.taken[len(first) :]
    assert held.keys() == {message.recipient for message in again}
    for message in again if do == "take" else ():
        before = first[message.recipient]
        assert (before.message_id, before.date, before.digest) == (message.message_id, message.date, message.digest)
    assert {} == failures("in_doubt,failed,deferred,unsent")
    run = bulk(server)
    assert (0, {"skipped": 20}) == (run.code, run.this_run)


def test_doubt_whose_message_would_differ_now_is_not_sent_again(addresses: list[str], serve: Serve) -> None:
    assert 1 == bulk(serve(Fault("dot", "take", times=1))).code
    a_template("<p>Something else.</p>")
    server = serve()
    run = bulk(server, "--resend-in-doubt")
    assert (1, {"accepted": 19, "in_doubt": 1}) == (run.code, run.counts)
    assert 20 == len(server.taken)
    (row,) = failures("in_doubt").values()
    assert "changed" in row["reason"]


def test_doubt_again_while_it_is_repeated_stays_in_doubt(addresses: list[str], serve: Serve) -> None:
    server = serve(Fault("dot", "take", times=2))
    assert {"accepted": 18, "in_doubt": 2} == bulk(server, "--connections", "1").counts
    server = serve(Fault("dot", "take", times=1))
    run = bulk(server, "--resend-in-doubt", "--connections", "1")
    assert (1, {"accepted": 19, "in_doubt": 1}) == (run.code, run.counts)
    assert {"2"} == {row["attempts"] for row in failures("in_doubt").values()}
    run = bulk(server, "--resend-in-doubt")
    assert (0, {"accepted": 20}) == (run.code, run.counts)
    copies = Counter(message.recipient for message in server.taken)
    assert {1: 18, 2: 1, 3: 1} == Counter(copies.values())
    assert 20 == len({(message.recipient, message.digest, message.message_id) for message in server.taken})

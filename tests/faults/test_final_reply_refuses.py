"""The server refuses after the final dot: an answer, so there is no doubt."""

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
)

if TYPE_CHECKING:
    from servers.fault_server import Serve


@pytest.mark.parametrize("verb", ["rcpt", "dot"])
def test_refusal_is_the_answer_for_these_and_nobody_else(verb: str, serve: Serve, *, pipelining: bool) -> None:
    a_template()
    # 552 to RCPT is a mailbox that is full for now.
    permanently = {"rcpt": (550, 554), "dot": (550, 552, 554)}
    temporary = [f"{verb}-{code}.{number}@example.org" for code in (450, 451, 452) for number in range(3)]
    permanent = [f"{verb}-{code}.{number}@example.org" for code in permanently[verb] for number in range(3)]
    good = [f"user{number}@example.org" for number in range(15)]
    a_list([address for three in zip(temporary, [*permanent, *good], good, strict=False) for address in three] + good)
    server = serve(pipelining=pipelining)
    run = bulk(server, "--retry-for", "0")
    refused = failures("failed,deferred,in_doubt,unsent")
    assert 1 == run.code
    assert {f"{verb}-4": "deferred", f"{verb}-5": "failed"} == {
        address[: len(verb) + 2]: row["outcome"] for address, row in refused.items()
    }
    assert {row["code"] for row in refused.values()} == {address.split("-")[1][:3] for address in refused}
    assert {"1"} == {row["attempts"] for row in refused.values()}
    assert_nobody_twice(server)
    taken = {message.recipient for message in server.taken}
    assert taken == set(good)

    # Those refused for now are tried again by the next run, those refused for good are not.
    again = bulk(server, "--retry-for", "0")
    assert run.counts["deferred"] == again.this_run["deferred"]
    assert "failed" not in again.this_run
    assert_nobody_twice(server)


def test_trouble_of_the_server_is_waited_out_and_charged_to_nobody(
    addresses: list[str], serve: Serve, *, pipelining: bool
) -> None:
    server = serve(Fault("dot", "451 4.3.0 Queue file write error", times=10), pipelining=pipelining)
    run = bulk(server)
    assert (0, {"accepted": 20}) == (run.code, run.counts), run.err
    assert_everybody_once(server, addresses)
    assert {} == failures("in_doubt,failed,deferred,unsent")

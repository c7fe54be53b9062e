"""Somebody, or the system, asks a run to end: it ends soon, says how to go on, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault, FaultServer
from servers.mailblast_process import (
    Ended,
    a_list,
    a_template,
    assert_everybody_once,
    bulk,
    bulk_words,
    ended,
    failures,
    has_connection,
    start,
    status,
    wait_until,
)

if TYPE_CHECKING:
    from servers.fault_server import Serve

#: As a shell shows them.
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}
#: Longest time to an end that waits for nobody.
SOON_S = 5.0


def start_bulk(
    server: FaultServer, *words: str, stdin: int = subprocess.DEVNULL, list_: str = "list.csv"
) -> subprocess.Popen[str]:
    # A parent in the background leaves SIGINT ignored to all its children.
    def as_usual() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    return start(*bulk_words(server, *words, list_=list_), stdin=stdin, before=as_usual)


def interrupted(process: subprocess.Popen[str], number: signal.Signals, campaign: str = "welcome-list") -> Ended:
    """Send a signal, which must end the process soon and well."""
    process.send_signal(number)
    began_s = time.monotonic()
    # Its stdin stays open meanwhile.
    process.wait(30)
    assert time.monotonic() - began_s < SOON_S
    run = ended(process)
    assert_resumable(run, number, campaign)
    return run


def assert_resumable(run: Ended, number: signal.Signals, campaign: str = "welcome-list") -> None:
    assert CODES[number] == run.code, run
    assert number.name in run.err
    assert run.document["exit_code"] == run.code
    after = status(campaign)
    assert "resumable" == after.document["state"]
    assert run.counts == after.counts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_what_is_in_flight_finish(number: signal.Signals, serve: Serve, *, pipelining: bool) -> None:
    a_template()
    addresses = a_list(500)
    server = serve(Fault("dot", "", every=10, delay_s=0.3), pipelining=pipelining)
    process = start_bulk(server)
    wait_until(lambda: len(server.taken) > 20, process)
    run = interrupted(process, number)
    taken = {message.recipient for message in server.taken}
    assert len(taken) == run.counts["accepted"]
    assert {} == failures("in_doubt,failed,deferred")

    run = bulk(serve(pipelining=pipelining))
    assert (0, {"accepted": 500}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_stop_at_once_and_leave_what_was_in_flight_in_doubt(
    number: signal.Signals, serve: Serve, *, pipelining: bool
) -> None:
    a_template()
    addresses = a_list(100)
    server = serve(Fault("dot", "", delay_s=20), pipelining=pipelining)
    process = start_bulk(server)
    wait_until(lambda: len(server.taken) == 5, process)
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(number)
    began_s = time.monotonic()
    run = ended(process)
    assert time.monotonic() - began_s < 2
    assert_resumable(run, number)
    assert {"in_doubt": 5, "unsent": 95} == run.counts
    assert failures("in_doubt").keys() == {message.recipient for message in server.taken}

    run = bulk(serve(pipelining=pipelining))
    assert (1, {"accepted": 95, "in_doubt": 5}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


def test_signal_while_the_pipe_of_the_list_is_silent(serve: Serve) -> None:
    a_template()
    server = serve()
    process = start_bulk(server, "--list-format", "csv", "--batch-size", "2", stdin=subprocess.PIPE, list_="-")
    assert process.stdin is not None
    process.stdin.write("email\nuser0@example.org\nuser1@example.org\n")
    process.stdin.flush()
    wait_until(lambda: len(server.taken) == 2, process)
    run = interrupted(process, signal.SIGINT, "welcome-stdin")
    assert {"accepted": 2} == run.counts


def test_signal_while_a_named_pipe_is_silent(serve: Serve) -> None:
    a_template()
    os.mkfifo("list.csv")
    server = serve()
    process = start_bulk(server, "--batch-size", "2")
    with Path("list.csv").open("w", encoding="utf-8") as pipe:
        pipe.write("email\nuser0@example.org\nuser1@example.org\n")
        pipe.flush()
        wait_until(lambda: len(server.taken) == 2, process)
        run = interrupted(process, signal.SIGINT)
    assert {"accepted": 2} == run.counts


def test_signal_before_the_pipe_of_the_list_has_said_anything(serve: Serve) -> None:
    a_template()
    process = start_bulk(serve(), stdin=subprocess.PIPE, list_="-")
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    process.wait(SOON_S)
    run = ended(process)
    assert 130 == run.code


def test_signal_while_waiting_for_second_tries(serve: Serve) -> None:
    a_template()
    a_list(["user0@example.org", "dot-451@example.org", "user1@example.org"])
    server = serve()
    process = start_bulk(server)
    wait_until(lambda: len(server.taken) == 2, process)
    # The next try comes after five minutes.
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    run = interrupted(process, signal.SIGINT)
    assert {"accepted": 2, "deferred": 1} == run.counts


def test_signal_while_throttled(serve: Serve) -> None:
    a_template()
    a_list(5)
    server = serve()
    process = start_bulk(server, "--rate", "1/min")
    wait_until(lambda: len(server.taken) == 1, process)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    run = interrupted(process, signal.SIGTERM)
    assert {"accepted": 1, "unsent": 4} == run.counts


def test_signal_while_the_server_is_away(addresses: list[str], serve: Serve) -> None:
    server = serve(Fault("dot", "", delay_s=0.4))
    process = start_bulk(server, "--connections", "1")
    wait_until(lambda: len(server.taken) == 2, process)
    server.stop(signal.SIGKILL)
    # Longer than it waits before it tries to connect again.
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1.5)
    run = interrupted(process, signal.SIGINT)
    assert run.counts.get("in_doubt", 0) <= 1
    assert 20 == sum(run.counts.values())
    assert 20 == sum(bulk(serve()).counts.values())
    assert_everybody_once(server, addresses)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_while_the_first_connection_is_made(number: signal.Signals, addresses: list[str], serve: Serve) -> None:
    server = serve(Fault("banner", "", delay_s=20))
    process = start_bulk(server)
    wait_until(lambda: has_connection(server.port), process)
    process.send_signal(number)
    process.wait(SOON_S)
    run = ended(process)
    # Nothing has been begun, so SIGTERM may do what it does to any program.
    assert run.code in {CODES[number], -number}, run
    assert [] == server.taken
    server = serve()
    assert (0, {"accepted": 20}) == (bulk(server).code, status().counts)
    assert_everybody_once(server, addresses)

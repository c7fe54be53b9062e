"""Somebody, or the system, asks a run to end: it ends soon, says how to go on, and goes on."""

from __future__ import annotations

import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault, FaultServer
from servers.mailblast_process import (
    Ended,
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk,
    bulk_words,
    ended,
    failures,
    start,
    status,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Serve

CODES = {signal.SIGINT: 130, signal.SIGTERM: 143}


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 30.0) -> None:
    """Wait until something is so, while a process runs."""
    ends_s = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None, process.communicate()
        if time.monotonic() > ends_s:
            process.kill()
            pytest.fail(f"not so after {seconds} s: {process.communicate()}")
        time.sleep(0.01)


def with_signals_as_usual() -> None:
    """Undo what a parent in the background has left: SIGINT is then ignored by all its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start_bulk(server: FaultServer | str, *words: str, stdin: int = subprocess.DEVNULL, list_: str = "list.csv") -> (
    subprocess.Popen[str]
):
    return start(*bulk_words(server, *words, list_=list_), stdin=stdin, before=with_signals_as_usual)


def assert_resumable(run: Ended, number: signal.Signals, campaign: str = "welcome-list") -> None:
    assert CODES[number] == run.code, run
    assert number.name in run.err
    assert run.document["exit_code"] == run.code
    after = status(campaign)
    assert "resumable" == after.document["state"]
    assert run.counts == after.counts


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_lets_what_is_in_flight_finish(
    number: signal.Signals, pipelining: bool, serve: Serve
) -> None:
    a_template()
    addresses = a_list(500)
    server = serve(Fault("dot", "", every=10, delay_s=0.3), pipelining=pipelining)
    process = start_bulk(server)
    wait_until(lambda: len(server.taken) > 20, process)
    process.send_signal(number)
    run = ended(process)
    assert_resumable(run, number)
    taken = {message.recipient for message in server.taken}
    assert {"accepted": len(taken)} == {state: count for state, count in run.counts.items() if state != "unsent"}
    assert {} == failures("in_doubt,failed,deferred")

    run = bulk(server)
    assert (0, {"accepted": 500}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_stop_at_once_and_leave_what_was_in_flight_in_doubt(
    number: signal.Signals, pipelining: bool, serve: Serve
) -> None:
    a_template()
    addresses = a_list(100)
    server = serve(Fault("dot", "", delay_s=20), pipelining=pipelining)
    process = start_bulk(server)
    wait_until(lambda: len(server.taken) == 5, process)
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
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


def test_signal_while_the_pipe_of_the_list_is_silent_ends_the_run(serve: Serve) -> None:
    a_template()
    server = serve()
    process = start_bulk(server, stdin=subprocess.PIPE, list_="-", *("--list-format", "csv", "--batch-size", "2"))
    assert process.stdin is not None
    process.stdin.write("email\nuser0@example.org\nuser1@example.org\n")
    process.stdin.flush()
    wait_until(lambda: len(server.taken) == 2, process)
    process.send_signal(signal.SIGINT)
    began_s = time.monotonic()
    # The pipe stays open, so only the program itself can end the program.
    wait_until(lambda: process.poll() is not None, _Anything(), 10)
    assert time.monotonic() - began_s < 5
    run = ended(process)
    assert_resumable(run, signal.SIGINT, "welcome-stdin")
    assert {"accepted": 2} == run.counts


class _Anything(subprocess.Popen[str]):
    """A process of which nothing is asked."""

    def __init__(self) -> None:
        self.returncode = None

    def poll(self) -> int | None:
        return None

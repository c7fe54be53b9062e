"""The pace of the installed program, as a server sees it."""

from __future__ import annotations

import signal
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import (
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk,
    bulk_words,
    ended,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 14


class Serve(Protocol):
    def __call__(self, *faults: Fault) -> FaultServer: ...


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers = []

    def make(*faults: Fault) -> FaultServer:
        server = FaultServer(tmp_path / "taken.log", Script(faults))
        server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


def times_of(server: FaultServer, domain: str = "") -> list[float]:
    return sorted(each.time_s for each in server.taken if each.recipient.endswith(domain))


def most_in_a_second(times: list[float], jitter_s: float = 0.0) -> int:
    """Return the largest number that arrived within a second, or that less what they may be late by on their way."""
    return max(bisect_left(times, moment + 1.0 - jitter_s) - index for index, moment in enumerate(times))


@pytest.mark.parametrize("words", [("--connections", "5"), ("--processes", "2")])
def test_rate_is_kept_in_each_window_and_used_up(words: tuple[str, ...], serve: Serve) -> None:
    server, addresses = serve(), a_list(4 * RATE)
    run = bulk(server, "--rate", f"{RATE}/s", *words)
    assert (0, {"accepted": len(addresses)}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)
    times = times_of(server)
    assert most_in_a_second(times) <= RATE
    assert (len(times) - 1) / (times[-1] - times[0]) >= 0.97 * RATE


def test_rate_is_kept_over_a_kill_and_by_two_campaigns_together(serve: Serve) -> None:
    server, addresses = serve(), a_list(2 * RATE)
    a_list((f"other{number}@example.org" for number in range(RATE)), name="other.csv")
    first = start(*bulk_words(server, "--rate", f"{RATE}/s"))
    wait_until(lambda: len(server.taken) > 4, first)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    both = [start(*bulk_words(server, "--rate", f"{RATE}/s", list_=name)) for name in ("list.csv", "other.csv")]
    assert {ended(each).code for each in both} <= {0, 1}
    assert_nobody_twice(server)
    times = times_of(server)
    assert len(times) >= len(addresses) + RATE - 6
    assert most_in_a_second(times) <= RATE


def test_daily_cap_is_kept_over_runs_and_says_when_to_go_on(serve: Serve) -> None:
    server = serve()
    a_list(25)
    for sent in (10, 0):
        run = bulk(server, "--daily-cap", "10")
        assert (4, sent) == (run.code, run.this_run.get("accepted", 0))
        assert {"accepted": 10, "unsent": 15} == run.counts
        assert "Daily cap: all 10 are used up. Run the same command again from" in run.err
    run = bulk(server, "--daily-cap", "12", "--processes", "2")
    assert (4, {"accepted": 12, "unsent": 13}) == (run.code, run.counts)
    assert len(server.taken) == 12


def test_warm_up_ends_the_day_at_its_number(serve: Serve) -> None:
    server = serve()
    a_list(60)
    run = bulk(server, "--warm-up")
    assert (4, {"accepted": 50, "unsent": 10}) == (run.code, run.counts)
    assert "Warm-up, day 1 of" in run.err
    Path("ramp.txt").write_text("55\n", encoding="utf-8")
    run = bulk(server, "--warm-up-table", "ramp.txt")
    assert (4, {"accepted": 55, "unsent": 5}) == (run.code, run.counts)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_nine_domains_finish_as_if_the_tenth_were_not_slow(processes: str, serve: Serve) -> None:
    server = serve()
    addresses = [f"user{number}@d{domain}.example" for number in range(150) for domain in range(1, 10)]
    addresses += [f"user{number}@slow.example" for number in range(15)]
    addresses = a_list(sorted(addresses))
    run = bulk(server, "--domain-rate", "slow.example=5/s", "--processes", processes, "--batches", "2")
    assert (0, {"accepted": len(addresses)}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)
    slow, others = times_of(server, "slow.example"), times_of(server, "d9.example")
    assert most_in_a_second(slow, jitter_s=0.02) <= 5
    assert slow[-1] - slow[0] > 2.5
    assert others[-1] < slow[0] + 2


def test_greylisted_are_tried_again_when_the_server_said_and_get_it_once(serve: Serve) -> None:
    addresses = a_list(30)
    server = serve(Fault("rcpt", "451 4.7.1 Greylisted, please try again in 2 seconds", times=len(addresses)))
    run = bulk(server, seconds=20)
    assert (0, {"accepted": len(addresses)}) == (run.code, run.counts)
    assert_everybody_once(server, addresses)


def test_quota_that_is_used_up_stops_the_run_and_fails_nobody(serve: Serve) -> None:
    a_list(700)
    server = serve(Fault("mail", "550 5.4.5 Daily user sending limit exceeded", every=500))
    run = bulk(server)
    assert run.code == 4
    assert {"accepted", "unsent"} == run.counts.keys()
    assert 490 <= run.counts["accepted"] <= 510
    assert_nobody_twice(server)

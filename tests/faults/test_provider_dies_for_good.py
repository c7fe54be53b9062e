"""The first provider dies in the middle of a run: the second one takes over, and nobody gets anything twice."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import (
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk_words,
    ended,
    failures,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from servers.fault_server import Serve

ROWS = 600
CONNECTIONS = 5


def journalled(campaign: str = "welcome-list") -> dict[str, object]:
    """Return the JSON of ``status``."""
    process = start("status", campaign, "--json")
    out, _ = process.communicate(timeout=30)
    found: dict[str, object] = json.loads(out)
    return found


@pytest.mark.parametrize("processes", ["1", "2"])
def test_first_provider_dies_at_half_the_second_finishes(processes: str, serve: Serve) -> None:
    a_template()
    addresses = a_list(ROWS)
    first, second = serve(Fault("dot", "", every=10, delay_s=0.1)), serve()
    process = start(*bulk_words(first, "--via", second.dsn, "--processes", processes))
    wait_until(lambda: len(first.taken) >= ROWS // 2, process)
    first.stop(signal.SIGKILL)
    run = ended(process)
    held = failures("in_doubt")
    assert len(held) <= CONNECTIONS * 2
    assert (1 if held else 0) == run.code, run
    assert ROWS == run.counts["accepted"] + run.counts.get("in_doubt", 0)
    assert "provider smtp:127.0.0.1 stopped: " in run.err
    assert "going on with smtp:127.0.0.1" in run.err
    assert_nobody_twice(second)
    assert set(addresses) == held.keys() | {message.recipient for message in second.taken}


@pytest.mark.parametrize("processes", ["1", "2"])
def test_account_refused_after_some_messages_the_rest_goes_by_the_second(processes: str, serve: Serve) -> None:
    a_template()
    addresses = a_list(ROWS)
    refusal = "550 5.4.5 Daily user sending limit exceeded"
    first, second = serve(*(Fault("mail", refusal, every=number) for number in (200, 201))), serve()
    run = ended(start(*bulk_words(first, "--via", second.dsn, "--processes", processes)))
    assert (0, {"accepted": ROWS}) == (run.code, run.counts), run
    assert "5.4.5" in run.err
    assert_everybody_once(second, addresses)


def test_first_provider_that_is_away_at_the_start_is_passed_over(serve: Serve) -> None:
    a_template()
    addresses = a_list(20)
    first, second = serve(), serve()
    first.stop(signal.SIGKILL)
    run = ended(start(*bulk_words(first, "--via", second.dsn)))
    assert (0, {"accepted": 20}) == (run.code, run.counts)
    assert run.err.count("going on with") == 1
    assert_everybody_once(second, addresses)


@pytest.mark.parametrize("processes", ["1", "2"])
def test_both_providers_refuse_the_run_stops_with_code_four_and_can_go_on(processes: str, serve: Serve) -> None:
    a_template()
    addresses = a_list(ROWS)
    refusals = [Fault("mail", "550 5.4.5 Daily user sending limit exceeded", every=number) for number in (100, 101)]
    first, second, third = serve(*refusals), serve(*refusals), serve()
    run = ended(start(*bulk_words(first, "--via", second.dsn, "--processes", processes)))
    assert run.code == 4
    assert {"accepted", "unsent"} == run.counts.keys()
    assert 0 < len(first.taken) == run.counts["accepted"] < ROWS
    again = ended(start(*bulk_words(third)))
    assert (0, {"accepted": ROWS}) == (again.code, again.counts)
    assert_everybody_once(third, addresses)


def test_no_provider_can_be_reached_code_four(serve: Serve) -> None:
    a_template()
    a_list(20)
    first, second = serve(), serve()
    for server in (first, second):
        server.stop(signal.SIGKILL)
    process = start(*bulk_words(first, "--via", second.dsn))
    _, err = process.communicate(timeout=30)
    assert (4, 1) == (process.returncode, err.count("going on with"))
    assert [] == first.taken


def test_second_provider_that_is_away_too_stops_the_run(serve: Serve) -> None:
    a_template()
    a_list(ROWS)
    first, second = serve(Fault("mail", "550 5.4.5 Daily user sending limit exceeded", every=100)), serve()
    second.stop(signal.SIGKILL)
    run = ended(start(*bulk_words(first, "--via", second.dsn)))
    assert run.code == 4
    assert ROWS == run.counts["accepted"] + run.counts["unsent"]
    assert run.counts["accepted"] == len(first.taken)


def test_mistake_in_the_second_dsn_is_told_before_anything_is_sent(serve: Serve) -> None:
    a_template()
    a_list(20)
    server = serve()
    process = start(*bulk_words(server, "--via", "smpt://mail.example.com"))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "'smpt:' is no kind of provider" in err
    assert [] == server.taken
    assert not Path(".mailblast/welcome-list").exists()


def test_run_names_both_and_outcomes_name_who_took_them(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    a_template()
    a_list(ROWS)
    refusal = "550 5.4.5 Daily user sending limit exceeded"
    first, second = serve(Fault("mail", refusal, every=100)), serve()
    # Two names for one machine, so that they can be told apart; and from the settings.
    other = second.dsn.replace("127.0.0.1", "localhost")
    monkeypatch.setenv("MAILBLAST_VIA", f"{first.dsn} {other}")
    words = ["bulk", "list.csv", "-t", "welcome.html", "--from", "news@example.com", "-q", "--json"]
    run = ended(start(*words))
    assert (0, {"accepted": ROWS}) == (run.code, run.counts)
    assert "smtp:127.0.0.1, smtp:localhost" == run.document["provider"] == journalled()["provider"]
    assert "provider smtp:127.0.0.1 stopped: " in run.err
    report = start("report", "welcome-list", "--json")
    out, _ = report.communicate(timeout=30)
    names = {each["name"] for each in json.loads(out)["providers"]}
    assert {"smtp:127.0.0.1", "smtp:localhost"} <= names

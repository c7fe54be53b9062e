"""Between a killed run and the next one something has changed: who has it stays told apart from who has not."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import (
    Ended,
    a_list,
    a_template,
    assert_nobody_twice,
    bulk,
    bulk_words,
    failures,
    start,
    wait_until,
)

if TYPE_CHECKING:
    from servers.fault_server import Serve

ROWS = 300


@pytest.fixture
def killed(serve: Serve) -> FaultServer:
    """Kill a run somewhere in the middle."""
    a_template()
    a_list(ROWS)
    server = serve(Fault("dot", "", every=20, delay_s=0.2))
    process = start(*bulk_words(server, "--batch-size", "20"))
    wait_until(lambda: len(server.taken) >= ROWS / 3, process)
    process.kill()
    process.communicate()
    server.stop()
    assert len(server.taken) < ROWS
    server.script = Script()
    server.start()
    return server


def assert_complete(server: FaultServer, run: Ended, addresses: set[str], campaign: str = "welcome-list") -> None:
    """Assert that each of these has it once or is held in doubt, and that the counts say so."""
    held = {address.replace("EXAMPLE", "example") for address in failures("in_doubt", campaign)}
    taken = {message.recipient for message in server.taken}
    assert (1 if held & addresses else 0) == run.code, run
    assert len(held) <= 5
    assert addresses <= taken | held
    assert_nobody_twice(server)
    assert run.counts["accepted"] + len(held) == sum(run.counts.values())


def test_rows_inserted_removed_and_reordered(killed: FaultServer) -> None:
    addresses = [f"user{number}@example.org" for number in range(ROWS) if number % 7]
    addresses += [f"new{number}@example.org" for number in range(50)]
    random.shuffle(addresses)
    a_list(addresses)
    before = {message.recipient for message in killed.taken}
    run = bulk(killed)
    removed = {f"user{number}@example.org" for number in range(0, ROWS, 7)}
    # Those who are gone from the list and have not got it do not get it.
    assert removed & before == removed & {message.recipient for message in killed.taken}
    held = failures("in_doubt").keys()
    assert set(addresses) <= {message.recipient for message in killed.taken} | held
    assert_nobody_twice(killed)
    assert len(addresses) == run.document["this_run"]["rows"]
    assert len(held & set(addresses)) == run.document["this_run"]["held"]
    assert run.counts.get("unsent", 0) <= len(removed - before - held)


def test_list_renamed_and_in_another_format_with_the_campaign_named(killed: FaultServer) -> None:
    addresses = [f"user{number}@example.org" for number in range(ROWS)]
    lines = [f'{{"name": "Reader", "email": "{address}"}}' for address in addresses]
    Path("people.jsonl").write_text("\n".join(lines), encoding="utf-8")
    Path("list.csv").unlink()
    run = bulk(killed, "-c", "welcome-list", list_="people.jsonl")
    assert_complete(killed, run, set(addresses))


def test_domains_in_other_case_are_the_same_recipients(killed: FaultServer) -> None:
    a_list(f"user{number}@EXAMPLE.org" for number in range(ROWS))
    run = bulk(killed)
    assert_complete(killed, run, {f"user{number}@example.org" for number in range(ROWS)})


def test_template_changed_continues_with_a_notice(killed: FaultServer) -> None:
    a_template("<p>Something else.</p>")
    words = [word for word in bulk_words(killed) if word not in {"-q", "--json"}]
    process = start(*words)
    out, err = process.communicate(timeout=50)
    assert process.returncode in {0, 1}
    assert "template has changed" in err
    assert "accepted" in out
    run = bulk(killed)
    assert_complete(killed, run, {f"user{number}@example.org" for number in range(ROWS)})


@pytest.mark.parametrize(
    "words",
    [
        ("--batch-size", "7", "--batches", "1"),
        ("--batch-size", "1", "--batches", "50", "--connections", "20"),
        ("--connections", "1", "--messages-per-connection", "1"),
        ("--durable",),
        ("--key", "email"),
    ],
    ids=" ".join,
)
def test_other_settings(words: tuple[str, ...], killed: FaultServer) -> None:
    run = bulk(killed, *words)
    assert_complete(killed, run, {f"user{number}@example.org" for number in range(ROWS)})

"""The queue of one machine: queued at once, delivered by a worker, whatever is killed in between."""

from __future__ import annotations

import json
import resource
import stat
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.fault_server import Fault
from servers.mailblast_process import (
    PROGRAM,
    a_list,
    a_template,
    assert_everybody_once,
    bulk_words,
    ended,
    failures,
    start,
    status,
)
from servers.queue_workers import size, wait_for_taken

if TYPE_CHECKING:
    from servers.fault_server import FaultServer, Serve
    from servers.mailblast_process import Ended

FOLDER = Path(".mailblast/welcome-list")


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


def queue(server: FaultServer, *words: str) -> Ended:
    return ended(start(*bulk_words(server, "--queue", *words)))


def worker(*words: str) -> Ended:
    process = start("worker", "--once", "-q", *words)
    _, err = process.communicate(timeout=50)
    assert "Traceback" not in err, err
    return type(ended(start("status", "--json")))(process.returncode, {}, err)


def test_thousand_rows_are_queued_in_a_second_start_up_included(serve: Serve) -> None:
    a_list(1_000)
    words = bulk_words(serve(), "--queue")
    # The first start compiles.
    subprocess.run([PROGRAM, *words, "--dry-run"], check=True, capture_output=True)
    seconds = []
    for number in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        end = ended(start(*words, "--campaign", f"c{number}", measured=False))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of its own: the machine may be busy with other things.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert (0, 1_000) == (end.code, end.document["queued"])
        assert 1_000 == status(f"c{number}").document["queue"]["queued"]
    assert min(seconds) < 1.0


def test_worker_delivers_with_what_was_stored_and_nothing_else(serve: Serve) -> None:
    addresses = a_list(50)
    server = serve()
    Path("note.txt").write_text("hello", encoding="utf-8")
    assert 0 == queue(server, "--attach", "note.txt").code
    stored = FOLDER / "queued.json"
    assert 0o600 == stat.S_IMODE(stored.stat().st_mode)
    assert "127.0.0.1" in json.loads(stored.read_text(encoding="utf-8"))["delivery"]["via"]
    for name in ("note.txt", "list.csv", "welcome.html"):
        Path(name).unlink()
    assert 0 == worker().code
    assert_everybody_once(server, addresses)
    assert {"accepted": 50} == status().counts
    assert not stored.exists()
    assert not (FOLDER / "queued").exists()


def test_worker_killed_loses_nobody_and_mails_nobody_twice(serve: Serve) -> None:
    addresses = a_list(1_000)
    server = serve()
    assert 0 == queue(server, "--rate", "none").code
    for _ in range(3):
        before = size(server)
        process = start("worker", "--once", "-q", measured=False)
        wait_for_taken(server, before + 1)
        process.kill()
        process.communicate()
    worker()
    in_doubt = failures("in_doubt").keys()
    taken = Counter(message.recipient for message in server.taken)
    assert {1} == set(taken.values())
    assert set() == set(addresses) - taken.keys() - in_doubt
    assert len(in_doubt) <= 3 * 5
    counts = status().counts
    assert 1_000 == counts["accepted"] + counts.get("in_doubt", 0)
    assert status().document["queue"] is None


def test_worker_told_to_end_leaves_the_rest_queued(serve: Serve) -> None:
    addresses = a_list(300)
    server = serve()
    assert 0 == queue(server, "--rate", "100/s").code
    process = start("worker", "-q")
    wait_for_taken(server, 20)
    process.terminate()
    process.communicate(timeout=40)
    assert 143 == process.returncode
    assert 300 - size(server) == status().document["queue"]["queued"]
    assert 0 == worker().code
    assert_everybody_once(server, addresses)


def test_waiting_worker_ends_with_the_signal(serve: Serve) -> None:
    process = start("worker")
    assert process.stderr is not None
    said = ""
    while "waiting for what is queued" not in said:
        said = process.stderr.readline()
        assert said, "it has ended"
    process.terminate()
    process.communicate(timeout=20)
    assert 143 == process.returncode


def test_deferred_are_tried_again_by_a_later_worker(serve: Serve) -> None:
    a_list(2)
    server = serve(Fault("rcpt", "451 4.7.1 later", times=1))
    assert 0 == queue(server, "--connections", "1").code
    assert 1 == worker().code
    assert 1 == status().document["queue"]["queued"]
    # Not due yet.
    assert 0 == worker().code
    assert {"accepted": 1, "deferred": 1} == status().counts
    # Queued once more, everybody in the queue is due.
    assert 0 == queue(server, "--connections", "1").code
    assert 0 == worker().code
    assert {"accepted": 2} == status().counts


def test_second_list_is_added_to_the_queue(serve: Serve) -> None:
    server = serve()
    first = a_list(["a@example.org", "b@example.org"])
    assert 0 == queue(server, "--campaign", "c").code
    second = a_list(["b@example.org", "c@example.org"])
    assert 0 == queue(server, "--campaign", "c").code
    assert 3 == status("c").document["queue"]["queued"]
    assert 0 == worker().code
    assert_everybody_once(server, {*first, *second})


def test_plain_bulk_of_a_queued_campaign_is_refused_until_it_is_cancelled(serve: Serve) -> None:
    addresses = a_list(5)
    server = serve()
    assert 0 == queue(server).code
    refused = ended(start(*bulk_words(server)))
    assert 2 == refused.code
    assert "is queued" in refused.err
    cancel = start("cancel", "welcome-list")
    out, _ = cancel.communicate(timeout=20)
    assert (0, True) == (cancel.returncode, "5 are unsent" in out)
    assert 0 == worker().code
    assert 0 == size(server)
    assert 0 == ended(start(*bulk_words(server))).code
    assert_everybody_once(server, addresses)


def test_who_is_suppressed_after_queueing_gets_nothing(serve: Serve) -> None:
    a_list(3)
    server = serve()
    assert 0 == queue(server).code
    subprocess.run([PROGRAM, "suppress", "add", "user1@example.org"], check=True, capture_output=True)
    worker()
    assert {"accepted": 2, "suppressed": 1} == status().counts
    assert status().document["queue"] is None


def test_bad_rows_are_told_when_queued_and_a_broken_list_queues_what_is_before(serve: Serve) -> None:
    server = serve()
    a_list(["a@example.org", "no address", "a@example.org"])
    end = queue(server)
    assert 1 == end.code
    assert {"invalid": 1, "duplicate": 1, "unsent": 1} == end.counts


def test_provider_away_is_told_and_the_queue_stays(serve: Serve) -> None:
    addresses = a_list(3)
    server = serve()
    assert 0 == queue(server).code
    server.stop()
    end = worker()
    assert 4 == end.code
    assert 3 == status().document["queue"]["queued"]
    server.start()
    assert 0 == worker().code
    assert_everybody_once(server, addresses)


def test_queue_file_that_is_damaged_is_told(serve: Serve) -> None:
    a_list(3)
    server = serve()
    assert 0 == queue(server).code
    (FOLDER / "queued.json").write_text('{"version": 99}', encoding="utf-8")
    end = worker()
    assert 4 == end.code
    assert "Queue the campaign again" in end.err


def test_core_needs_no_package_of_the_queue(serve: Serve) -> None:
    code = (
        "import sys\n"
        "for name in ('redis', 'dramatiq', 'pyrate_limiter'): sys.modules[name] = None\n"
        "from mailblast.cli.app import run\n"
        "sys.exit(run(['worker', '--queue', 'redis://127.0.0.1:1', '--once']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "pip install 'mailblast[queue]'" in done.stderr

"""The queue of one machine: queued at once, delivered by a worker, whatever is killed in between."""

from __future__ import annotations

import json
import re
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
    a_list,
    a_template,
    assert_everybody_once,
    assert_nobody_twice,
    bulk_words,
    ended,
    start,
    wait_until,
)
from servers.queue_workers import (
    counts_on_file,
    here,
    in_doubt,
    size,
    status_here,
    wait_for_taken,
)

from mailblast.journal.lock import is_locked

if TYPE_CHECKING:
    from servers.fault_server import FaultServer, Serve
    from servers.queue_workers import Said

FOLDER = Path(".mailblast/welcome-list")


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


def queue(server: FaultServer, *words: str) -> Said:
    return here(*bulk_words(server, "--queue", *words))


def worker(*words: str) -> Said:
    return here("worker", "--once", "-q", *words)


def queued(campaign: str = "welcome-list") -> int:
    """Return how many are queued by what ``status`` says."""
    told = status_here(campaign).document["queue"]
    assert told is not None
    return int(told["queued"])


def test_thousand_rows_are_queued_in_a_second_start_up_included(serve: Serve) -> None:
    a_list(1_000)
    words = bulk_words(serve(), "--queue")
    seconds = []
    for number in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        end = ended(start(*words, "--campaign", f"c{number}", measured=False))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # Of its own: the machine may be busy with other things.
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert (0, 1_000) == (end.code, end.document["queued"])
        assert 1_000 == queued(f"c{number}")
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
    process = start("worker", "--once", "-q")
    assert re.search(r"accepted +50$", process.communicate(timeout=20)[0], re.MULTILINE)
    assert 0 == process.returncode
    assert_everybody_once(server, addresses)
    assert {"accepted": 50} == status_here().counts
    assert not stored.exists()
    assert not (FOLDER / "queued").exists()


def test_worker_killed_loses_nobody_and_mails_nobody_twice(serve: Serve) -> None:
    addresses = a_list(400)
    server = serve()
    assert 0 == queue(server, "--rate", "300/s").code
    for _ in range(3):
        before = size(server)
        process = start("worker", "--once", "-q", measured=False)
        wait_for_taken(server, before + 1)
        process.kill()
        process.communicate()
    worker()
    doubtful = in_doubt()
    taken = Counter(message.recipient for message in server.taken)
    assert {1} == set(taken.values())
    assert set() == set(addresses) - taken.keys() - doubtful
    assert len(doubtful) <= 3 * 5
    counts = status_here().counts
    assert 400 == counts["accepted"] + counts.get("in_doubt", 0)
    assert status_here().document["queue"] is None


def test_worker_told_to_end_leaves_the_rest_queued(serve: Serve) -> None:
    addresses = a_list(100)
    server = serve()
    assert 0 == queue(server, "--rate", "100/s").code
    process = start("worker", "-q")
    wait_for_taken(server, 20)
    process.terminate()
    process.communicate(timeout=40)
    assert 143 == process.returncode
    assert 100 - size(server) == queued()
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


def test_paused_campaign_waits_and_goes_on_when_resumed(serve: Serve) -> None:
    addresses = a_list(120)
    server = serve()
    assert 0 == queue(server, "--rate", "100/s").code
    process = start("worker", "-q")
    wait_for_taken(server, 10)
    paused = here("pause", "welcome-list")
    assert (0, "welcome-list is paused. To go on: mailblast resume welcome-list\n") == (paused.code, paused.out)
    wait_until(lambda: not is_locked(FOLDER / "lock"), process)
    assert size(server) < 120
    told = status_here()
    assert {"url": None, "queued": 120 - size(server), "state": "paused"} == told.document["queue"]
    assert {"accepted": size(server), "unsent": 120 - size(server)} == told.counts
    assert "on this machine; paused; to go on: mailblast resume" in here("status", "welcome-list").out
    # Another worker has nothing to do either, and that is no trouble.
    assert 0 == worker().code
    assert process.poll() is None
    assert "goes on" in here("resume", "welcome-list").out
    wait_for_taken(server, 120)
    process.terminate()
    _, said = process.communicate(timeout=20)
    assert 1 == said.count("welcome-list is paused. To go on: mailblast resume welcome-list")
    assert_everybody_once(server, addresses)
    assert {"accepted": 120} == status_here().counts


def test_campaign_queued_once_more_is_not_paused_any_more(serve: Serve) -> None:
    addresses = a_list(3)
    server = serve()
    assert 0 == queue(server).code
    assert 0 == here("cancel", "welcome-list", "--pause").code
    assert 0 == worker().code
    assert 0 == size(server)
    assert 0 == queue(server).code
    assert 0 == worker().code
    assert_everybody_once(server, addresses)


def test_cancelled_while_a_worker_is_at_it_ends_there_and_the_rest_is_unsent(serve: Serve) -> None:
    a_list(200)
    server = serve()
    assert 0 == queue(server, "--rate", "100/s").code
    process = start("worker", "--once", "-q")
    wait_for_taken(server, 10)
    cancelled = here("cancel", "welcome-list")
    left = 200 - size(server)
    assert (0, f"welcome-list is out of the queue: {left} are unsent.\n") == (cancelled.code, cancelled.out)
    process.communicate(timeout=20)
    assert 0 == process.returncode
    assert left > 0
    assert {"accepted": 200 - left, "unsent": left} == counts_on_file()
    assert 0 == worker().code
    assert 200 - left == size(server)


def test_doubtful_are_sent_again_from_the_queue_when_that_is_asked_for(serve: Serve) -> None:
    a_list(3)
    server = serve(Fault("dot", "take", times=1))
    assert 0 == queue(server, "--connections", "1").code
    assert 1 == worker().code
    (doubtful,) = in_doubt()
    assert 1 == queue(server).code
    assert 0 == worker().code
    assert 3 == size(server)
    again = queue(server, "--resend-in-doubt")
    assert (0, 1) == (again.code, again.document["queued"])
    assert 0 == worker().code
    assert {"accepted": 3} == status_here().counts
    first, second = (message for message in server.taken if message.recipient == doubtful)
    # Byte for byte.
    assert (first.message_id, first.date, first.digest) == (second.message_id, second.date, second.digest)
    assert 4 == size(server)


def test_doubtful_caught_by_a_kill_when_sent_again_are_not_sent_a_third_time(serve: Serve) -> None:
    a_list(2)
    server = serve(Fault("dot", "take", times=1), Fault("dot", "", every=3, times=1, delay_s=60))
    assert 0 == queue(server, "--connections", "1").code
    assert 1 == worker().code
    assert 0 == queue(server, "--resend-in-doubt").code
    process = start("worker", "--once", "-q")
    wait_for_taken(server, 3)
    process.kill()
    process.communicate()
    worker()
    assert 3 == size(server)
    assert {"accepted": 1, "in_doubt": 1} == status_here().counts
    assert status_here().document["queue"] is None


def test_deferred_are_tried_again_by_a_later_worker(serve: Serve) -> None:
    a_list(2)
    server = serve(Fault("rcpt", "451 4.7.1 later", times=1))
    assert 0 == queue(server, "--connections", "1").code
    assert 1 == worker().code
    assert 1 == queued()
    # Not due yet.
    assert 0 == worker().code
    assert {"accepted": 1, "deferred": 1} == status_here().counts
    # Queued once more, everybody in the queue is due.
    assert 0 == queue(server, "--connections", "1").code
    assert 0 == worker().code
    assert {"accepted": 2} == status_here().counts


def test_second_list_is_added_to_the_queue(serve: Serve) -> None:
    server = serve()
    first = a_list(["a@example.org", "b@example.org"])
    assert 0 == queue(server, "--campaign", "c").code
    second = a_list(["b@example.org", "c@example.org"])
    assert 0 == queue(server, "--campaign", "c").code
    assert 3 == queued("c")
    assert 0 == worker().code
    assert_everybody_once(server, {*first, *second})


def test_plain_bulk_of_a_queued_campaign_is_refused_until_it_is_cancelled(serve: Serve) -> None:
    addresses = a_list(5)
    server = serve()
    assert 0 == queue(server).code
    refused = here(*bulk_words(server))
    assert (2, True) == (refused.code, "is queued" in refused.err)
    cancelled = here("cancel", "welcome-list")
    assert (0, True) == (cancelled.code, "5 are unsent" in cancelled.out)
    assert 0 == worker().code
    assert 0 == size(server)
    assert 0 == here(*bulk_words(server)).code
    assert_everybody_once(server, addresses)


def test_who_is_suppressed_after_queueing_gets_nothing(serve: Serve) -> None:
    a_list(3)
    server = serve()
    assert 0 == queue(server).code
    assert 0 == here("suppress", "add", "user1@example.org").code
    worker()
    assert {"accepted": 2, "suppressed": 1} == status_here().counts
    assert status_here().document["queue"] is None


def test_bad_rows_are_told_when_queued(serve: Serve) -> None:
    server = serve()
    a_list(["a@example.org", "no address", "a@example.org"])
    end = queue(server)
    assert 1 == end.code
    assert {"invalid": 1, "duplicate": 1, "unsent": 1} == end.counts


def test_list_that_breaks_off_queues_what_is_before(serve: Serve) -> None:
    server = serve()
    a_list(3)
    with Path("list.csv").open("a", encoding="utf-8") as file:
        file.write('"never closed\n')
    end = queue(server)
    assert 3 == end.code
    assert 3 == queued()
    assert 0 == worker().code
    assert_nobody_twice(server)
    assert 3 == size(server)


def test_provider_away_is_told_and_the_queue_stays(serve: Serve) -> None:
    addresses = a_list(3)
    server = serve()
    assert 0 == queue(server).code
    server.stop()
    assert 4 == worker().code
    assert 3 == queued()
    server.start()
    assert 0 == worker().code
    assert_everybody_once(server, addresses)


def test_queue_file_that_is_damaged_is_told(serve: Serve) -> None:
    a_list(3)
    assert 0 == queue(serve()).code
    (FOLDER / "queued.json").write_text('{"version": 99}', encoding="utf-8")
    end = worker()
    assert (4, True) == (end.code, "Queue the campaign again" in end.err)


def test_core_needs_no_package_of_the_queue() -> None:
    code = (
        "import sys\n"
        "for name in ('redis', 'dramatiq', 'pyrate_limiter'): sys.modules[name] = None\n"
        "from mailblast.cli.app import run\n"
        "sys.exit(run(['worker', '--queue', 'redis://127.0.0.1:1', '--once']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "pip install 'mailblast[queue]'" in done.stderr

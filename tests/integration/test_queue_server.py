"""A queue at a real Redis: what travels, what is shown, what is paused and ended."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis as client
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import (
    PROGRAM,
    a_list,
    a_template,
    assert_everybody_once,
    ended,
    failures,
    start,
    status,
    wait_until,
)
from servers.queue_workers import queue, queue_words, size, wait_for_quiet, wait_for_taken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.queue_workers import Workers
    from servers.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultServer]:
    server = FaultServer(tmp_path / "taken.log", Script())
    server.start()
    yield server
    server.stop()


def run(*words: str) -> str:
    """Run a command that goes well; return what it says."""
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=50, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def once(redis: RedisServer, *words: str, folder: Path | None = None) -> None:
    """Work until nothing is due, in another folder where one is given."""
    words = ("worker", "--queue", redis.url, "--once", "-q", *words)
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=50, check=False, cwd=folder)
    assert (0, "") == (done.returncode, done.stderr)


def test_worker_elsewhere_delivers_attachments_and_included_files(
    server: FaultServer, redis: RedisServer, tmp_path: Path
) -> None:
    addresses = a_list(4)
    Path("footer.html").write_text("<p>Bye, {{ name }}</p>", encoding="utf-8")
    a_template("{% include 'footer.html' %}")
    Path("note.bin").write_bytes(bytes(range(256)) * 26_000)
    assert 0 == queue(server, redis.url, "--attach", "note.bin").code
    for name in ("footer.html", "welcome.html", "note.bin", "list.csv"):
        Path(name).unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    once(redis, folder=elsewhere)
    assert_everybody_once(server, addresses)
    assert {"accepted": 4} == status().counts
    assert status().document["queue"] is None


def test_nothing_secret_is_at_the_server(
    server: FaultServer, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list(3)
    monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
    monkeypatch.setenv("MAILBLAST_UNSUBSCRIBE_SECRET", "swordfish-swordfish")
    link = "https://example.com/u/{{ token }}"
    assert 0 == queue(server, redis.url, "--unsubscribe", link).code
    redis.stop()
    kept = b"".join(path.read_bytes() for path in redis.folder.rglob("*") if path.is_file())
    assert b"user1@example.org" in kept
    assert b"hunter2" not in kept
    assert b"swordfish-swordfish" not in kept
    redis.start()
    once(redis)
    assert 3 == size(server)


def test_status_shows_what_is_queued_and_takes_home_what_was_delivered(server: FaultServer, redis: RedisServer) -> None:
    a_list(250)
    end = queue(server, redis.url)
    assert {"unsent": 250} == end.counts
    before = status().document["queue"]
    assert (250, 0, "active", 0) == tuple(before[name] for name in ("queued", "sending", "state", "workers"))
    assert f"queued 250 at {redis.url}" in run("status", "welcome-list")
    once(redis)
    assert {"accepted": 250} == status().counts


def test_paused_campaign_waits_and_goes_on_when_resumed(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(300)
    workers.start(2)
    assert 0 == queue(server, redis.url, "--rate", "100/s").code
    wait_for_taken(server, 20)
    assert "is paused" in run("pause", "welcome-list")
    wait_for_quiet(server)
    paused = size(server)
    assert paused < 300
    assert "paused" == status().document["queue"]["state"]
    assert "goes on" in run("resume", "welcome-list", "--queue", redis.url)
    wait_for_taken(server, 300)
    assert_everybody_once(server, addresses)


def test_cancelled_campaign_ends_and_who_is_left_is_unsent(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(300)
    workers.start(2)
    coordinator = start(*queue_words(server, redis.url, "--wait", "--rate", "100/s"))
    wait_for_taken(server, 20)
    assert "is ended" in run("cancel", "welcome-list")
    end = ended(coordinator)
    assert 4 == end.code
    assert "cancelled" in end.err
    wait_for_quiet(server)
    wait_until(lambda: status().document["queue"] is None, seconds=20)
    counts = status().counts
    assert (size(server), 300 - size(server)) == (counts["accepted"], counts["unsent"])
    # The same command goes on with it.
    assert {"accepted": 300} == ended(start(*queue_words(server, redis.url, "--wait", "--rate", "none"))).counts
    assert_everybody_once(server, addresses)


def test_campaign_that_nobody_knows_cannot_be_paused(redis: RedisServer) -> None:
    for words in (["pause", "other"], ["pause", "other", "--queue", redis.url], ["resume", "other"]):
        done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
        assert 2 == done.returncode
        assert "other" in done.stderr


def test_refused_for_now_are_tried_again_and_refused_for_good_are_failed(
    redis: RedisServer, workers: Workers, tmp_path: Path
) -> None:
    addresses = a_list(["a@example.org", "b@example.org", "rcpt-550.x@example.org", "rcpt-451.y@example.org"])
    server = FaultServer(tmp_path / "taken.log", Script((Fault("rcpt", "452 4.2.2 later", times=1),)))
    server.start()
    try:
        words = ("--wait", "--retry-for", "1s", "--connections", "1")
        workers.start()
        end = ended(start(*queue_words(server, redis.url, *words)))
        assert 1 == end.code
        # One of the two good ones met the fault; its second try would be later than the patience.
        assert {"accepted": 1, "deferred": 2, "failed": 1} == end.counts
        assert "rcpt-550.x@example.org" in failures("failed")
        again = ended(start(*queue_words(server, redis.url, *words)))
        assert {"accepted": 2, "deferred": 1, "failed": 1} == again.counts
        assert {*addresses[:2]} == {message.recipient for message in server.taken}
    finally:
        server.stop()


def test_list_is_read_only_as_fast_as_the_queue_drains(server: FaultServer, redis: RedisServer) -> None:
    a_list(1_500)
    words = queue_words(server, redis.url, "--batch-size", "10")
    process = start(*words)
    time.sleep(3)
    with client.Redis(port=redis.port) as connection:
        (token,) = connection.smembers("mailblast:campaigns")
        assert 100 == connection.hlen(f"mailblast:{token.decode()}:batches")
    assert process.poll() is None
    worker = start("worker", "--queue", redis.url, "-q")
    end = ended(process)
    assert 0 == end.code
    assert 1_500 == end.document["queued"]
    assert "No worker is there yet" in end.err or "-q" in words
    wait_for_taken(server, 1_500)
    worker.terminate()
    worker.communicate(timeout=40)


def test_several_campaigns_share_a_worker_and_the_urgent_one_goes_first(
    server: FaultServer, redis: RedisServer
) -> None:
    a_list(200, "list.csv")
    a_list([f"urgent{number}@example.org" for number in range(100)], "urgent.csv")
    assert 0 == queue(server, redis.url, "--batch-size", "20").code
    words = ["bulk", "urgent.csv", "-t", "welcome.html", "--via", server.dsn, "--from", "n@example.com"]
    run(*words, "--queue", redis.url, "--priority", "high", "--batch-size", "20")
    once(redis, "--concurrency", "1")
    taken = [message.recipient for message in server.taken]
    assert 300 == len(set(taken)) == len(taken)
    assert all(recipient.startswith("urgent") for recipient in taken[:100])


def test_plain_bulk_of_a_campaign_at_the_server_is_refused(server: FaultServer, redis: RedisServer) -> None:
    a_list(5)
    assert 0 == queue(server, redis.url).code
    words = ["bulk", "list.csv", "-t", "welcome.html", "--via", server.dsn, "--from", "news@example.com", "-q"]
    done = subprocess.run([PROGRAM, *words], capture_output=True, text=True, check=False)
    assert 2 == done.returncode
    assert "is queued" in done.stderr


def test_worker_gives_metrics(server: FaultServer, redis: RedisServer) -> None:
    a_list(20)
    assert 0 == queue(server, redis.url).code
    once(redis, "--metrics-file", "worker.prom")
    text = Path("worker.prom").read_text(encoding="utf-8")
    assert 'campaign="worker"' in text
    assert json.dumps(20) in text

"""A queue at a real Redis: what travels, what is shown, what comes home."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis as client
from servers.fault_server import Fault, FaultServer, Script
from servers.mailblast_process import a_list, a_template, assert_everybody_once, ended, start, wait_until
from servers.queue_workers import (
    CAMPAIGN,
    HOME,
    counts_on_file,
    here,
    queue,
    queue_here,
    queue_words,
    run_here,
    size,
    status_here,
    wait_for_taken,
    work_once,
)

from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.cli.watch import WatchSettings
from mailblast.cli.worker_options import WorkerOptions
from mailblast.cli.worker_server import ServerWorker
from mailblast.clock import SystemClock
from mailblast.errors import RunInterruptedError
from mailblast.executors.queue.store import Store
from mailblast.journal.journal import Journal
from mailblast.model.outcome import State
from mailblast.providers.transport_cache import TransportCache

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers.queue_workers import Workers
    from servers.redis_server import RedisServer

    from mailblast.clock import Clock
    from mailblast.errors import MailblastError
    from mailblast.providers.provider import Provider
    from mailblast.providers.transport_cache import Key


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


def test_worker_elsewhere_delivers_attachments_and_included_files(
    server: FaultServer, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = a_list(4)
    Path("footer.html").write_text("<p>Bye, {{ name }}</p>", encoding="utf-8")
    a_template("{% include 'footer.html' %}")
    Path("note.bin").write_bytes(bytes(range(256)) * 26_000)
    assert 0 == queue_here(server, redis.url, "--attach", "note.bin").code
    for name in ("footer.html", "welcome.html", "note.bin", "list.csv"):
        Path(name).unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with monkeypatch.context() as context:
        context.chdir(elsewhere)
        work_once(redis)
    assert {"unsent": 4} == counts_on_file()
    assert_everybody_once(server, addresses)
    assert {"accepted": 4} == status_here().counts
    assert status_here().document["queue"] is None


def test_nothing_secret_is_at_the_server(
    server: FaultServer, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list(3)
    monkeypatch.setenv("SMTP_PASSWORD", "hunter2")
    monkeypatch.setenv("MAILBLAST_UNSUBSCRIBE_SECRET", "swordfish-swordfish")
    link = "https://example.com/u/{{ token }}"
    assert 0 == queue_here(server, redis.url, "--unsubscribe", link).code
    redis.stop()
    kept = b"".join(path.read_bytes() for path in redis.folder.rglob("*") if path.is_file())
    assert b"user1@example.org" in kept
    assert b"hunter2" not in kept
    assert b"swordfish-swordfish" not in kept
    redis.start()
    work_once(redis)
    assert 3 == size(server)


def test_status_shows_what_is_queued_and_takes_home_what_was_delivered_elsewhere(
    server: FaultServer, redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_list(250)
    end = queue_here(server, redis.url)
    assert {"unsent": 250} == end.counts
    before = status_here().document["queue"]
    assert (250, 0, "active", 0) == tuple(before[name] for name in ("queued", "sending", "state", "workers"))
    assert f"queued 250 at {redis.url}" in run_here("status", "welcome-list")
    with monkeypatch.context() as context:
        context.setenv("MAILBLAST_HOME", str(tmp_path / "other"))
        work_once(redis)
    assert {"unsent": 250} == counts_on_file()
    assert {"accepted": 250} == status_here().counts


def test_idle_worker_takes_home_what_came_of_campaigns_whose_journals_it_has(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(250)
    # One that ends when nothing is due, and one that stays.
    assert 0 == queue_here(server, redis.url).code
    work_once(redis)
    assert {"accepted": 250} == counts_on_file()
    (worker,) = workers.start()
    assert 0 == queue_here(server, redis.url, "--campaign", "second").code
    wait_until(lambda: counts_on_file("second") == {"accepted": 250}, worker)
    wait_until(lambda: json.loads((HOME / "second" / "queue-server.json").read_text())["is_over"], worker)
    with client.Redis(port=redis.port) as connection:
        assert 0 == connection.scard("mailblast:campaigns")
    redis.stop()
    for campaign in ("welcome-list", "second"):
        told = here("status", campaign, "--json")
        assert (0, "", {"accepted": 250}, None) == (told.code, told.err, told.counts, told.document["queue"])
    assert 2 * len(addresses) == size(server)


def test_idle_worker_leaves_a_journal_to_the_run_that_holds_it(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    a_list(3)
    assert 0 == queue_here(server, redis.url).code
    with Journal.open(HOME, CAMPAIGN, clock=SystemClock()) as journal:
        (worker,) = workers.start()
        wait_for_taken(server, 3)
        with client.Redis(port=redis.port) as connection:
            outcomes = f"mailblast:{journal.token}:outcomes"
            wait_until(lambda: connection.xlen(outcomes) > 0)
            # It has looked meanwhile.
            time.sleep(1.2)
            assert connection.xlen(outcomes) > 0
            assert 3 == journal.counts()[State.UNSENT]
    wait_until(lambda: counts_on_file() == {"accepted": 3}, worker)
    assert worker.poll() is None


def test_refused_for_now_are_tried_again_and_refused_for_good_are_failed(
    redis: RedisServer, workers: Workers, tmp_path: Path
) -> None:
    addresses = a_list(["a@example.org", "b@example.org", "rcpt-550.x@example.org", "rcpt-451.y@example.org"])
    server = FaultServer(tmp_path / "taken.log", Script((Fault("rcpt", "452 4.2.2 later", times=1),)))
    server.start()
    try:
        words = ("--wait", "--retry-for", "1s", "--connections", "1")
        workers.start()
        end = here(*queue_words(server, redis.url, *words))
        assert 1 == end.code
        # One of the two good ones met the fault; its second try would be later than the patience.
        assert {"accepted": 1, "deferred": 2, "failed": 1} == end.counts
        assert "rcpt-550.x@example.org" in run_here("failures", "welcome-list", "--state", "failed")
        again = here(*queue_words(server, redis.url, *words))
        assert {"accepted": 2, "deferred": 1, "failed": 1} == again.counts
        assert {*addresses[:2]} == {message.recipient for message in server.taken}
    finally:
        server.stop()


def test_list_is_read_only_as_fast_as_the_queue_drains(server: FaultServer, redis: RedisServer) -> None:
    a_list(600)
    words = queue_words(server, redis.url, "--batch-size", "5")
    words.remove("-q")
    process = start(*words)
    with client.Redis(port=redis.port) as connection:
        wait_until(lambda: connection.scard("mailblast:campaigns") == 1, process)
        batches = f"mailblast:{connection.smembers('mailblast:campaigns').pop().decode()}:batches"
        wait_until(lambda: connection.hlen(batches) == 100, process)
        time.sleep(0.5)
        assert 100 == connection.hlen(batches)
    assert process.poll() is None
    worker = start("worker", "--queue", redis.url, "-q")
    end = ended(process)
    assert (0, 600) == (end.code, end.document["queued"])
    assert f"No worker is there yet. Start some: mailblast worker --queue {redis.url}" in end.err
    wait_for_taken(server, 600)
    worker.terminate()
    worker.communicate(timeout=40)


def test_several_campaigns_share_a_worker_and_the_urgent_one_goes_first(
    server: FaultServer, redis: RedisServer
) -> None:
    a_list(200, "list.csv")
    a_list([f"urgent{number}@example.org" for number in range(100)], "urgent.csv")
    assert 0 == queue_here(server, redis.url, "--batch-size", "20").code
    words = ["bulk", "urgent.csv", "-t", "welcome.html", "--via", server.dsn, "--from", "n@example.com"]
    run_here(*words, "--queue", redis.url, "--priority", "high", "--batch-size", "20")
    work_once(redis, "--concurrency", "1")
    taken = [message.recipient for message in server.taken]
    assert 300 == len(set(taken)) == len(taken)
    assert all(recipient.startswith("urgent") for recipient in taken[:100])


def test_worker_gives_metrics(server: FaultServer, redis: RedisServer) -> None:
    a_list(20)
    assert 0 == queue_here(server, redis.url).code
    work_once(redis, "--metrics-file", "worker.prom")
    text = Path("worker.prom").read_text(encoding="utf-8")
    assert 'campaign="worker"' in text
    assert json.dumps(20) in text


async def test_provider_that_was_let_go_is_made_and_opened_anew(
    server: FaultServer, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Provider] = []

    class ShortCache(TransportCache):
        """Keeps nothing for long."""

        def __init__(self, make: Callable[[Key], Provider], clock: Clock) -> None:
            super().__init__(lambda key: self.seen(make(key)), clock, max_age_s=0.1)

        def seen(self, provider: Provider) -> Provider:
            made.append(provider)
            return provider

    monkeypatch.setattr("mailblast.cli.worker_server.TransportCache", ShortCache)
    monkeypatch.setattr("mailblast.executors.queue.lane.IDLE_LANE_S", 0.1)
    monkeypatch.setattr("mailblast.executors.queue.worker.LET_GO_S", 0.05)
    addresses = a_list(5)
    working = asyncio.ensure_future(_work(redis))
    for number in (1, 2):
        assert 0 == (await asyncio.to_thread(queue, server, redis.url, "--campaign", f"c{number}")).code
        await asyncio.to_thread(wait_for_taken, server, 5 * number)
        # Idle, let go, and too old for the next one.
        await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    assert isinstance(await working, RunInterruptedError)
    assert 2 == len({id(each) for each in made}) == len(made)
    assert 2 * len(addresses) == size(server)


async def test_campaign_that_was_let_go_is_told_of_when_more_of_it_comes(
    server: FaultServer, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mailblast.executors.queue.lane.IDLE_LANE_S", 0.1)
    monkeypatch.setattr("mailblast.executors.queue.worker.LET_GO_S", 0.05)
    working = asyncio.ensure_future(_work(redis))
    for rows in (5, 8):
        a_list(rows)
        assert 0 == (await asyncio.to_thread(queue, server, redis.url)).code
        await asyncio.to_thread(wait_for_taken, server, rows)
        # Idle, and let go.
        await asyncio.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
    assert isinstance(await working, RunInterruptedError)
    assert {"accepted": 8} == {name: count for name, count in status_here().counts.items() if count}
    assert 8 == size(server)


async def _work(redis: RedisServer) -> MailblastError | None:
    """Work as ``mailblast worker`` does, until a signal."""
    options = WorkerOptions(None, None, None, 4, once=False, json_log=False, watching=WatchSettings())
    store = Store(redis.url, redis.url)
    try:
        return await ServerWorker(store, options, Settings.load(), Terminal(quiet=True)).run()
    finally:
        store.close()

"""Queues at a real Redis that are held, let go and ended, and workers that are told to end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from servers.mailblast_process import a_list, a_template, assert_everybody_once, bulk_words, ended, start, wait_until
from servers.queue_workers import (
    here,
    queue_here,
    queue_words,
    run_here,
    size,
    status_here,
    wait_for_quiet,
    wait_for_taken,
    work_once,
)

if TYPE_CHECKING:
    from servers.fault_server import FaultServer
    from servers.queue_workers import Workers
    from servers.redis_server import RedisServer


@pytest.fixture(autouse=True)
def _template() -> None:
    a_template()


def test_paused_campaign_waits_and_goes_on_when_resumed(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(150)
    workers.start(2)
    assert 0 == queue_here(server, redis.url, "--rate", "100/s").code
    wait_for_taken(server, 10)
    assert "is paused" in run_here("pause", "welcome-list")
    wait_for_quiet(server, 0.7)
    paused = size(server)
    assert paused < 150
    assert "paused" == status_here().document["queue"]["state"]
    assert "goes on" in run_here("resume", "welcome-list", "--queue", redis.url)
    wait_for_taken(server, 150)
    assert_everybody_once(server, addresses)


def test_cancelled_campaign_ends_and_who_is_left_is_unsent(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(150)
    workers.start(2)
    coordinator = start(*queue_words(server, redis.url, "--wait", "--rate", "100/s"))
    wait_for_taken(server, 10)
    assert "is ended" in run_here("cancel", "welcome-list")
    end = ended(coordinator)
    assert 4 == end.code
    assert "cancelled" in end.err
    wait_until(lambda: status_here().document["queue"] is None, seconds=20)
    counts = status_here().counts
    assert (size(server), 150 - size(server)) == (counts["accepted"], counts["unsent"])
    # The same command goes on with it.
    assert {"accepted": 150} == here(*queue_words(server, redis.url, "--wait", "--rate", "none")).counts
    assert_everybody_once(server, addresses)


def test_campaign_that_nobody_knows_cannot_be_paused(redis: RedisServer) -> None:
    for words in (["pause", "other"], ["pause", "other", "--queue", redis.url], ["resume", "other"]):
        said = here(*words)
        assert (2, True) == (said.code, "other" in said.err)


def test_worker_told_to_end_finishes_what_is_in_flight_and_hands_the_rest_back(
    server: FaultServer, redis: RedisServer, workers: Workers
) -> None:
    addresses = a_list(150)
    workers.start()
    assert 0 == queue_here(server, redis.url, "--rate", "100/s").code
    wait_for_taken(server, 20)
    ((code, said),) = workers.end()
    assert (143, True) == (code, "SIGTERM" in said)
    after = status_here()
    assert size(server) == after.counts["accepted"]
    assert 150 - size(server) == after.document["queue"]["queued"]
    work_once(redis)
    assert_everybody_once(server, addresses)
    assert {"accepted": 150} == status_here().counts


def test_plain_bulk_of_a_campaign_at_the_server_is_refused(server: FaultServer, redis: RedisServer) -> None:
    a_list(5)
    assert 0 == queue_here(server, redis.url).code
    said = here(*bulk_words(server))
    assert (2, True) == (said.code, "is queued" in said.err)

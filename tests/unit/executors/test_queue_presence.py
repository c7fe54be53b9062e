from __future__ import annotations

import asyncio

import pytest

from mailblast.errors import RunInterruptedError
from mailblast.executors.queue.patience import Patience
from mailblast.executors.queue.presence import Presence
from mailblast.executors.queue.say_once import saying_once
from mailblast.executors.queue.server import QueueAwayError, QueueError
from mailblast.executors.queue.stopping import Stopping


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailblast.executors.queue.presence.AWAY_S", (0.0, 0.0))
    monkeypatch.setattr("mailblast.executors.queue.patience.AWAY_S", (0.0, 0.0))


class AServer:
    """Gives these answers, in order."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.said: list[str] = []
        self.stopping = Stopping()
        self.lost: list[str] = []
        self.presence = Presence(
            self.stopping, self.come_back, lambda error: self.lost.append(error.message), self.said.append
        )

    async def come_back(self) -> None:
        self.ask()

    def ask(self) -> int:
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return 7


async def test_server_that_was_away_is_found_and_waited_for() -> None:
    server = AServer(QueueAwayError("Still away."), None)
    server.presence.found()
    server.presence.lost(QueueAwayError("Away."))
    # Who notices it next changes nothing.
    server.presence.lost(QueueAwayError("Away, too."))
    assert not server.presence.is_there
    await server.presence.insist()
    assert ["Away."] == server.lost
    assert ["Away. Nothing is sent until it is back.", "The queue is back."] == server.said
    assert [] == server.answers
    await server.presence.close()


async def test_server_that_refuses_when_it_is_back_ends_the_worker() -> None:
    refusal = QueueError("No.")
    server = AServer(refusal)
    server.presence.found()
    server.presence.lost(QueueAwayError("Away."))
    with pytest.raises(QueueAwayError):
        await server.presence.insist()
    assert refusal is server.stopping.reason
    await server.presence.close()


async def test_worker_that_stops_does_not_wait_for_the_server() -> None:
    server = AServer()
    waiting = asyncio.ensure_future(server.presence.insist())
    await asyncio.sleep(0)
    server.stopping.begin(RunInterruptedError("Interrupted."))
    with pytest.raises(QueueAwayError):
        await waiting


async def test_patience_calls_until_there_is_an_answer() -> None:
    server = AServer(QueueAwayError("Away."), QueueAwayError("Away."), None)
    patience = Patience(server.stopping, server.said.append)
    assert 7 == await patience.call(server.ask)
    assert ["Away. Waiting for it.", "The queue is back."] == server.said
    assert not patience.is_away


async def test_patience_ends_with_the_run_and_with_a_refusal() -> None:
    server = AServer(QueueError("No."), QueueAwayError("Away."), None, None)
    patience = Patience(server.stopping, server.said.append)
    assert await patience.call(server.ask) is None
    assert "No." == str(server.stopping.reason)
    assert await patience.call(server.ask) is None
    assert patience.is_away
    # One attempt is made all the same.
    assert 7 == await patience.call(server.ask)
    patience.give_up()
    assert await patience.call(server.ask) is None
    assert [None] == server.answers


def test_first_reason_stays_and_is_told_once() -> None:
    reasons: list[str] = []
    stopping = Stopping(lambda reason: reasons.append(reason.message))
    for text in ("First.", "Second."):
        stopping.begin(RunInterruptedError(text))
    assert ["First."] == reasons
    assert "First." == str(stopping.reason)


def test_same_text_is_said_once() -> None:
    said: list[str] = []
    say = saying_once(said.append)
    for text in ("a", "b", "a"):
        say(text)
    assert ["a", "b"] == said

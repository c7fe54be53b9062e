"""Whole runs on a fake clock whose provider, or whose limits, ask for patience."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from fakes_mailing import QUOTA, Mailing, a_row, answer_by_try, counts, rows, sent_to

from mailblast.delivery import pipeline
from mailblast.delivery.pace import LimitReachedError, PaceSettings
from mailblast.delivery.throttle import Rate
from mailblast.errors import AccountError
from mailblast.executors import inline
from mailblast.executors.run import RunSettings
from mailblast.journal.journal import Journal
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import Advice, Attempt, Disposition, State
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.model.message import Message
    from mailblast.model.recipient import Claim, Recipient
    from mailblast.model.row import BadRow

SMALL = RunSettings(batch_size=4, batches_in_flight=2)
FAST = Reply(450, "4.7.28", "too fast", Stage.RCPT)
SLOW_DOMAIN = Attempt(Disposition.TEMPORARY, FAST, Scope.DOMAIN, advice=Advice.SLOW_DOWN)
LATER = Attempt(Disposition.TEMPORARY, Reply(454, "4.7.0", "try later", Stage.AUTH), Scope.ACCOUNT)
TOMORROW = Attempt(Disposition.TEMPORARY, FAST, Scope.ACCOUNT, advice=Advice.TOMORROW)


class PatientClock(FakeClock):
    """Jumps only when everything else has had its turn."""

    async def sleep(self, seconds: float) -> None:
        for _ in range(300):
            await asyncio.sleep(0)
        await super().sleep(seconds)


@pytest.fixture
def mailing(tmp_path: Path) -> Mailing:
    return Mailing(tmp_path)


def at(domain: str, count: int, first: int = 1) -> list[Recipient | BadRow]:
    found: list[Recipient | BadRow] = []
    for number in range(first, first + count):
        address = f"r{number}@{domain}"
        found.append(a_row(number)._replace(key=address, address=address))
    return found


def mixed(*domains: str, count: int) -> list[Recipient | BadRow]:
    return [row for number in range(count) for domain in domains for row in at(domain, 1, number + 1)]


async def test_slow_domain_holds_up_nobody(mailing: Mailing) -> None:
    mailing.clock = PatientClock()
    provider = MemoryProvider()
    source = mixed("slow.test", "b.test", "c.test", count=40)
    result = await mailing.run(source, provider, SMALL, pace=PaceSettings(domain_rates={"slow.test": Rate(1, 1)}))
    assert counts(result) == {State.ACCEPTED: 120}
    order = sent_to(provider)
    others = [index for index, address in enumerate(order) if not address.endswith("slow.test")]
    assert others[-1] <= 85
    assert len(set(order)) == 120


async def test_too_many_of_a_slow_domain_wait_in_the_journal(mailing: Mailing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "MAX_PARKED", 6)
    monkeypatch.setattr(inline, "MAX_PARKED", 6)
    due, returned = Journal.due, list[int]()

    def noted(journal: Journal, before_s: float, *, limit: int) -> tuple[Claim, ...]:
        claims = due(journal, before_s, limit=limit)
        returned.append(len(claims))
        return claims

    monkeypatch.setattr(Journal, "due", noted)
    mailing.clock = PatientClock()
    provider = MemoryProvider()
    source = [*at("slow.test", 50), *at("b.test", 50)]
    result = await mailing.run(source, provider, SMALL, pace=PaceSettings(domain_rates={"slow.test": Rate(1, 1)}))
    assert counts(result) == {State.ACCEPTED: 100}
    order = sent_to(provider)
    assert len(set(order)) == 100
    assert 10 < sum(returned) < 50
    assert max(index for index, address in enumerate(order) if address.endswith("b.test")) < 60
    assert mailing.count(State.ACCEPTED) == 100


async def test_run_that_stops_counts_those_in_the_journal_as_unsent(
    mailing: Mailing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_PARKED", 6)
    provider = MemoryProvider()
    source = at("slow.test", 50)
    pace = PaceSettings(domain_rates={"slow.test": Rate(1, 1)}, daily_cap=20)
    result = await mailing.run(source, provider, SMALL, pace=pace)
    assert counts(result) == {State.ACCEPTED: 20, State.UNSENT: 30}
    assert isinstance(result.stopped, LimitReachedError)
    assert mailing.count(State.UNSENT) == 30
    result = await mailing.run(source, provider, SMALL)
    assert (20, {State.ACCEPTED: 30}) == (result.skipped, counts(result))


async def test_domain_that_asks_to_slow_down_is_no_failure_and_the_others_go_on(mailing: Mailing) -> None:
    complained: list[str] = []

    def answer(message: Message) -> Attempt:
        if message.recipient.endswith("slow.test") and len(complained) < 3:
            complained.append(message.recipient)
            return SLOW_DOMAIN
        return ACCEPTED

    provider = MemoryProvider(answer)
    result = await mailing.run(mixed("slow.test", "b.test", count=30), provider, SMALL)
    assert counts(result) == {State.ACCEPTED: 60}
    assert 3 == len(complained)
    assert {1} == set(await attempts_of(mailing))


async def attempts_of(mailing: Mailing) -> list[int]:
    with JournalReader(mailing.home, "news") as reader:
        return [outcome.attempts for outcome in reader.outcomes(tuple(State))]


async def test_domain_that_never_takes_anything_is_deferred_and_the_run_ends(mailing: Mailing) -> None:
    def answer(message: Message) -> Attempt:
        return SLOW_DOMAIN if message.recipient.endswith("slow.test") else ACCEPTED

    settings = RunSettings(batch_size=4, batches_in_flight=2, retry_for_s=0)
    result = await mailing.run(mixed("slow.test", "b.test", count=20), MemoryProvider(answer), settings)
    assert counts(result) == {State.ACCEPTED: 20, State.DEFERRED: 20}
    assert result.stopped is None


async def test_account_that_has_to_wait_charges_nobody_and_goes_on(mailing: Mailing) -> None:
    provider = MemoryProvider(answer_by_try(LATER, LATER, ACCEPTED))
    result = await mailing.run(rows(6), provider, SMALL)
    assert counts(result) == {State.ACCEPTED: 6}
    assert result.finished_s - result.started_s > 2
    assert {1} == set(await attempts_of(mailing))


async def test_account_that_has_to_wait_for_ever_stops_the_run(mailing: Mailing) -> None:
    result = await mailing.run(rows(6), MemoryProvider(lambda _: LATER), SMALL)
    assert counts(result) == {State.UNSENT: 6}
    assert isinstance(result.stopped, AccountError)
    assert "takes nothing for now: 454 4.7.0 try later" in str(result.stopped)
    assert 600 <= result.finished_s - result.started_s < 2000


@pytest.mark.parametrize("attempt", [TOMORROW, QUOTA])
async def test_quota_that_is_used_up_stops_the_run(mailing: Mailing, attempt: Attempt) -> None:
    result = await mailing.run(rows(6), MemoryProvider(lambda _: attempt), SMALL)
    assert counts(result) == {State.UNSENT: 6}
    assert isinstance(result.stopped, AccountError)


async def test_deferred_are_tried_when_the_server_said_and_count_once_for_the_day(mailing: Mailing) -> None:
    grey = Attempt(Disposition.TEMPORARY, Reply(451, "4.7.1", "in 9 s", Stage.RCPT), Scope.RECIPIENT, retry_after_s=9.0)
    provider = MemoryProvider(answer_by_try(grey, ACCEPTED))
    result = await mailing.run(rows(6), provider, SMALL, pace=PaceSettings(daily_cap=6))
    assert counts(result) == {State.ACCEPTED: 6}
    assert 9 <= result.finished_s - result.started_s < 60

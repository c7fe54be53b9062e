"""The rules of a message's life, over every provider."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from typing import TYPE_CHECKING, Any

import pytest
from servers.aiosmtpd_server import aiosmtpd_server
from servers.aws_http import ENVIRONMENT
from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.scripted_smtp import Script, ScriptedSmtp
from servers.sendgrid_fake import KEY, SendgridFake, serving
from servers.ses_fake import Script as AccountScript
from servers.ses_fake import SesFake

from mailblast.clock import SystemClock
from mailblast.errors import JournalError
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.memory import MemoryProvider
from mailblast.providers.outbox import OutboxProvider
from mailblast.providers.registry import make_provider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from mailblast.providers.provider import Provider

    Maker = Callable[..., ListDeliveries]


class Subject:
    """A provider, and how to count what arrived."""

    def __init__(self, provider: Provider, arrived: Callable[[], int]) -> None:
        self.provider = provider
        self.arrived = arrived


async def _memory(_: Path) -> AsyncIterator[Subject]:
    provider = MemoryProvider()
    yield Subject(provider, lambda: len(provider.messages))


async def _outbox(folder: Path) -> AsyncIterator[Subject]:
    box = folder / "box"
    yield Subject(OutboxProvider(box, clock=SystemClock()), lambda: len(list((box / "new").glob("*"))))


def _smtp(port: int) -> Provider:
    return make_provider(parse_dsn(f"smtp://127.0.0.1:{port}"), {}, connections=4, clock=SystemClock())


async def _pipelined(_: Path) -> AsyncIterator[Subject]:
    async with ScriptedSmtp() as server:
        yield Subject(_smtp(server.port), lambda: len(server.messages))


async def _one_by_one(_: Path) -> AsyncIterator[Subject]:
    async with ScriptedSmtp(Script(extensions=())) as server:
        yield Subject(_smtp(server.port), lambda: len(server.messages))


async def _aiosmtpd(_: Path) -> AsyncIterator[Subject]:
    with aiosmtpd_server() as (recorder, port):
        yield Subject(_smtp(port), lambda: len(recorder.envelopes))


async def _ses(_: Path) -> AsyncIterator[Subject]:
    async with SesFake() as server:
        provider = make_provider(parse_dsn(server.dsn("concurrency=4")), ENVIRONMENT, clock=SystemClock())
        yield Subject(provider, lambda: len(server.sent))


async def _ses_bulk(_: Path) -> AsyncIterator[Subject]:
    # The account's rate bounds what goes into one call.
    async with SesFake(AccountScript(rate_per_s=20, burst=1_000_000)) as server:
        dsn = parse_dsn(server.dsn("mode=bulk&concurrency=2"))
        provider = make_provider(dsn, ENVIRONMENT, clock=SystemClock())
        yield Subject(provider, lambda: len(server.sent))


async def _sendgrid(_: Path) -> AsyncIterator[Subject]:
    with serving(SendgridFake()) as fake:
        dsn = parse_dsn(f"sendgrid://?batch=10&endpoint=http://127.0.0.1:{fake.port}")
        provider = make_provider(dsn, {"SENDGRID_API_KEY": KEY}, connections=4, clock=SystemClock())
        yield Subject(provider, lambda: len(fake.mails))


@pytest.fixture(params=[False, True], ids=["local", "remote"])
def deliveries_of(request: pytest.FixtureRequest) -> Maker:
    """Where marks are kept: on this machine, or on another one."""
    return functools.partial(ListDeliveries, commit_is_remote=request.param)


@pytest.fixture(
    params=[_memory, _outbox, _pipelined, _one_by_one, _aiosmtpd, _ses, _ses_bulk, _sendgrid],
    ids=lambda maker: maker.__name__[1:],
)
async def subject(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Subject]:
    made: Any = request.param(tmp_path)
    async with contextlib.aclosing(made) as subjects:
        subject = await anext(subjects)
        yield subject
        await subject.provider.close()


async def test_deliver_many_accepts_each_exactly_once(subject: Subject, deliveries_of: Maker) -> None:
    deliveries = deliveries_of(messages(250))
    await subject.provider.open()
    await subject.provider.deliver(deliveries)
    assert dict.fromkeys(range(1, 251), Disposition.ACCEPTED) == deliveries.dispositions
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())
    assert 250 == subject.arrived()


async def test_deliver_marks_and_commits_before_it_finishes(subject: Subject, deliveries_of: Maker) -> None:
    deliveries = deliveries_of(messages(30))
    await subject.provider.open()
    await subject.provider.deliver(deliveries)
    calls = deliveries.calls
    for number in range(1, 31):
        begun, finished = calls.index(("begin", number)), calls.index(("finish", number))
        assert calls.index(("take", number)) < begun < finished
        assert ("commit", 0) in calls[begun:finished]


async def test_deliver_nothing_returns(subject: Subject, deliveries_of: Maker) -> None:
    await subject.provider.open()
    await subject.provider.deliver(deliveries_of([]))
    assert 0 == subject.arrived()


async def test_deliver_twice_sends_both_times(subject: Subject, deliveries_of: Maker) -> None:
    await subject.provider.open()
    await subject.provider.deliver(deliveries_of([a_message(1)]))
    await subject.provider.deliver(deliveries_of([a_message(2)]))
    assert 2 == subject.arrived()


async def test_deliver_waits_for_messages_that_come_later(subject: Subject, deliveries_of: Maker) -> None:
    deliveries = deliveries_of([a_message(1)], stay_open=True)
    await subject.provider.open()
    delivering = asyncio.create_task(subject.provider.deliver(deliveries))
    await deliveries.until_finished(1)
    assert not delivering.done()
    deliveries.add(a_message(2))
    await deliveries.until_finished(2)
    deliveries.close()
    await asyncio.wait_for(delivering, 5)
    assert 2 == subject.arrived()


async def test_deliver_cancelled_finishes_everything_taken(subject: Subject, deliveries_of: Maker) -> None:
    deliveries = deliveries_of(messages(5000), stay_open=True)
    await subject.provider.open()
    delivering = asyncio.create_task(subject.provider.deliver(deliveries))
    await deliveries.until_finished(20)
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert deliveries.all_finished
    assert all(len(attempts) == 1 for attempts in deliveries.attempts.values())
    accepted = sum(disposition is Disposition.ACCEPTED for disposition in deliveries.dispositions.values())
    doubtful = sum(disposition is Disposition.IN_DOUBT for disposition in deliveries.dispositions.values())
    await asyncio.sleep(0.05)
    assert accepted <= subject.arrived() <= accepted + doubtful


async def test_commit_fails_nothing_of_that_turn_is_sent(subject: Subject, deliveries_of: Maker) -> None:
    deliveries = deliveries_of(messages(50))

    def fail() -> None:
        raise JournalError("disk full")

    deliveries.on_commit = fail
    await subject.provider.open()
    with pytest.raises(JournalError, match="disk full"):
        await subject.provider.deliver(deliveries)
    await asyncio.sleep(0.02)
    assert deliveries.all_finished
    assert {Disposition.NOT_SENT} == set(deliveries.dispositions.values())
    assert 0 == subject.arrived()


async def test_commit_fails_later_what_was_sent_keeps_its_answer(subject: Subject, deliveries_of: Maker) -> None:
    deliveries = deliveries_of(messages(200))
    commits = 0

    def fail_at_the_fifth() -> None:
        nonlocal commits
        commits += 1
        if commits == 5:
            raise JournalError("disk full")

    deliveries.on_commit = fail_at_the_fifth
    await subject.provider.open()
    with pytest.raises(JournalError):
        await subject.provider.deliver(deliveries)
    await asyncio.sleep(0.02)
    assert deliveries.all_finished
    values = list(deliveries.dispositions.values())
    assert {Disposition.ACCEPTED, Disposition.NOT_SENT} == set(values)
    assert values.count(Disposition.ACCEPTED) == subject.arrived()


async def test_probe_sends_no_mail(subject: Subject, deliveries_of: Maker) -> None:
    probe: Any = subject.provider
    facts = await probe.probe("sender@example.org")
    assert "connect" == facts[0][0]
    assert 0 == subject.arrived()


async def test_close_without_open_does_nothing(subject: Subject, deliveries_of: Maker) -> None:
    await subject.provider.close()
    assert 0 == subject.arrived()

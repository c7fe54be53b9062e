"""Requests to SendGrid whose marks are on their way to another machine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from servers.held_marks import HeldMarks
from servers.sendgrid_fake import KEY, SendgridFake, serving

from mailblast.clock import SystemClock
from mailblast.errors import JournalError
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.providers.provider import Provider


@pytest.fixture
def fake() -> Iterator[SendgridFake]:
    with serving(SendgridFake()) as running:
        yield running


@pytest.fixture
def provider(fake: SendgridFake) -> Provider:
    dsn = parse_dsn(f"sendgrid://?batch=1&endpoint=http://127.0.0.1:{fake.port}")
    return make_provider(dsn, {"SENDGRID_API_KEY": KEY}, connections=2, clock=SystemClock())


async def test_request_is_made_when_its_marks_are_on_file(fake: SendgridFake, provider: Provider) -> None:
    deliveries = HeldMarks(1)
    delivering = asyncio.create_task(provider.deliver(deliveries))
    await deliveries.until_asked()
    await asyncio.sleep(0.02)
    assert [] == fake.mails
    deliveries.written[0].set_result(None)
    await delivering
    assert 1 == len(fake.mails)
    assert {1: Disposition.ACCEPTED} == deliveries.dispositions


async def test_run_that_fails_meanwhile_makes_no_request(fake: SendgridFake, provider: Provider) -> None:
    deliveries = HeldMarks(2)
    delivering = asyncio.create_task(provider.deliver(deliveries))
    while len(deliveries.written) < 2:
        await deliveries.until_asked()
    deliveries.written[0].set_exception(JournalError("It is full."))
    await asyncio.sleep(0)
    deliveries.written[1].set_result(None)
    with pytest.raises(JournalError, match="It is full"):
        await delivering
    assert [] == fake.mails
    assert {1: Disposition.NOT_SENT, 2: Disposition.NOT_SENT} == deliveries.dispositions


async def test_run_that_is_cancelled_meanwhile_makes_no_request(fake: SendgridFake, provider: Provider) -> None:
    deliveries = HeldMarks(1)
    delivering = asyncio.create_task(provider.deliver(deliveries))
    await deliveries.until_asked()
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert deliveries.written[0].cancelled()
    assert [] == fake.mails
    assert {1: Disposition.NOT_SENT} == deliveries.dispositions

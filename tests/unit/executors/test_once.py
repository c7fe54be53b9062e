from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock
from fakes_provider import FailingProvider

from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.errors import AccountError, MailblastError, ProviderUnavailableError, TemplateError
from mailblast.executors.once import deliver_claims
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.outcome import Attempt, Disposition, Outcome, State
from mailblast.model.recipient import Recipient
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailblast.model.message import Message
    from mailblast.providers.provider import Provider

TEMPLATE = Template("t.txt", "", "Hello", "Hi {{ name }}\n", None)
QUOTA = Attempt(Disposition.PERMANENT, Reply(550, "5.4.5", "daily quota", Stage.MAIL), Scope.ACCOUNT)
GONE = Attempt(Disposition.PERMANENT, Reply(550, "5.1.1", "no such user", Stage.RCPT), Scope.RECIPIENT)


def a_pace() -> Pace:
    return Pace(PaceSettings(), FakeClock())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path, "send", clock=FakeClock()) as opened:
        opened.begin_run(provider="memory", template_fingerprint="1")
        yield opened


async def deliver(
    journal: Journal, provider: Provider, *names: str, template: Template = TEMPLATE, seen: list[Outcome] | None = None
) -> tuple[list[Outcome], MailblastError | None]:
    recipients = [
        Recipient(row, f"{name}@x.test", f"{name}@x.test", {"name": name}, {"email": f"{name}@x.test"})
        for row, name in enumerate(names, 1)
    ]
    claims = journal.claim(recipients, ClaimPolicy()).claims
    campaign = Campaign("send", journal.token, template, Mailbox("", "s@x.test"))
    told = [] if seen is None else seen
    return await deliver_claims(claims, campaign, provider, a_pace, journal, FakeClock(), told.append)


def answer(message: Message) -> Attempt:
    return {"gone@x.test": GONE, "quota@x.test": QUOTA}.get(message.recipient, ACCEPTED)


async def test_outcomes_come_in_the_order_of_claims_and_are_recorded(journal: Journal) -> None:
    seen: list[Outcome] = []
    outcomes, stopped = await deliver(journal, MemoryProvider(answer), "ann", "gone", "bob", seen=seen)
    assert stopped is None
    assert [State.ACCEPTED, State.FAILED, State.ACCEPTED] == [outcome.state for outcome in outcomes]
    assert outcomes == seen
    assert (2, 1) == (journal.counts()[State.ACCEPTED], journal.counts()[State.FAILED])


async def test_refused_account_is_told_with_the_outcomes_before_it(journal: Journal) -> None:
    outcomes, stopped = await deliver(journal, MemoryProvider(answer), "ann", "quota", "bob")
    assert isinstance(stopped, AccountError)
    assert [State.ACCEPTED, State.UNSENT, State.UNSENT] == [outcome.state for outcome in outcomes]
    assert (1, 2) == (journal.counts()[State.ACCEPTED], journal.counts()[State.UNSENT])


async def test_provider_that_stays_away_is_told(journal: Journal) -> None:
    _, stopped = await deliver(journal, FailingProvider(*[ProviderUnavailableError("away")] * 7), "ann")
    assert isinstance(stopped, ProviderUnavailableError)
    assert journal.counts()[State.UNSENT] == 1


async def test_broken_template_contacts_nobody(journal: Journal) -> None:
    provider = MemoryProvider()
    with pytest.raises(TemplateError):
        await deliver(journal, provider, "ann", template=TEMPLATE._replace(text="{% if %}"))
    assert [] == provider.messages

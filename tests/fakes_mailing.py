"""A campaign on disk that tests run again and again, with the real journal, composer and executor."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fakes import FakeClock

from mailblast.delivery.composer import Composer
from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.delivery.pipeline import Pipeline
from mailblast.errors import (
    MailblastError,
)
from mailblast.executors.inline import InlineExecutor
from mailblast.executors.run import CampaignRun, RunResult, RunSettings, Source
from mailblast.journal.journal import Journal
from mailblast.journal.reading import JournalReader
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.outcome import Attempt, Disposition, State
from mailblast.model.recipient import Recipient
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.monitor.metrics import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from mailblast.delivery.throttle import Rate
    from mailblast.executors.executor import OnDone, OnOutcome
    from mailblast.model.message import Message
    from mailblast.model.row import BadRow
    from mailblast.providers.memory import MemoryProvider
    from mailblast.providers.provider import Provider

TEMPLATE = Template("t.txt", "", "Hello", "Hi {{ name }}, {{ plan }}\n", None)
GREY = Attempt(Disposition.TEMPORARY, Reply(451, "4.7.1", "greylisted", Stage.RCPT), Scope.RECIPIENT)
GONE = Attempt(Disposition.PERMANENT, Reply(550, "5.1.1", "no such user", Stage.RCPT), Scope.RECIPIENT)
QUOTA = Attempt(Disposition.PERMANENT, Reply(550, "5.4.5", "daily quota", Stage.MAIL), Scope.ACCOUNT)
SMALL = RunSettings(batch_size=4, batches_in_flight=2)


def a_row(number: int, *, plan: bool = True) -> Recipient:
    address = f"r{number}@example.com"
    fields = {"email": address, "plan": "gold"} if plan else {"email": address}
    return Recipient(number, address, address, {**fields, "name": "there"}, fields)


def rows(count: int, first: int = 1) -> list[Recipient | BadRow]:
    return [a_row(number) for number in range(first, first + count)]


class StandingClock(FakeClock):
    """A clock whose sleepers never wake, though the test may end them."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.asleep.set()
        await asyncio.Event().wait()


class Mailing:
    """One campaign on one disk; each ``run()`` is a run of it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = FakeClock()

    async def run(
        self,
        source: Iterable[Recipient | BadRow],
        provider: Provider,
        settings: RunSettings = SMALL,
        *,
        rates: tuple[Rate, ...] = (),
        pace: PaceSettings | None = None,
        may_block: bool = False,
    ) -> RunResult:
        earlier = asyncio.all_tasks()
        settings_of_pace = pace or PaceSettings(rates)
        with Journal.open(self.home, "news", clock=self.clock) as journal:
            journal.begin_run(provider=provider.name, template_fingerprint="1")
            campaign = Campaign("news", journal.token, TEMPLATE, Mailbox("News", "news@example.com"))

            def make_executor(on_outcome: OnOutcome, on_done: OnDone) -> InlineExecutor:
                pipeline = Pipeline(
                    Composer(campaign),
                    journal.segment(),
                    Pace(settings_of_pace, self.clock),
                    provider_name=provider.name,
                    clock=self.clock,
                    on_outcome=on_outcome,
                )
                batches = settings.batches_in_flight
                return InlineExecutor(
                    pipeline, provider, self.clock, batches_in_flight=batches, on_done=on_done, group=1
                )

            run = CampaignRun(
                journal,
                make_executor,
                Source(iter(source), may_block, lambda: 0),
                settings,
                clock=self.clock,
                monitor=Monitor(self.clock),
            )
            result = await run.run()
        assert result.rows == result.skipped + sum(result.counts.values())
        await asyncio.sleep(0)
        assert set() == asyncio.all_tasks() - earlier
        return result

    def states(self) -> dict[str, State]:
        with JournalReader(self.home, "news") as reader:
            return {outcome.key: outcome.state for outcome in reader.outcomes(tuple(State))}

    def count(self, state: State) -> int:
        return sum(each is state for each in self.states().values())


def counts(result: RunResult) -> dict[State, int]:
    return {state: count for state, count in result.counts.items() if count}


def sent_to(provider: MemoryProvider) -> list[str]:
    return [message.recipient for message in provider.messages]


def answer_by_try(*attempts: Attempt) -> Callable[[Message], Attempt]:
    """Answer each recipient's first message with the first attempt, and so on; the last one stays."""
    tries: dict[str, int] = {}

    def answer(message: Message) -> Attempt:
        number = tries[message.recipient] = tries.get(message.recipient, -1) + 1
        return attempts[min(number, len(attempts) - 1)]

    return answer


async def ended(running: asyncio.Task[RunResult]) -> RunResult:
    result = await asyncio.wait_for(running, 5)
    assert isinstance(result.stopped, MailblastError)
    return result

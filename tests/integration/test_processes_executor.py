"""The parent's side alone: children that are played, a journal that is real."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import JournalError, ProviderUnavailableError
from mailblast.executors.child import ChildWork
from mailblast.executors.gathering import GROUP
from mailblast.executors.processes import ProcessesExecutor
from mailblast.executors.spares import Spare
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Batch, Recipient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Accepts everybody, and writes down what it hears.
PLAYED = """
import asyncio, socket, sys
from mailblast.executors.frames import Channel
from mailblast.model.outcome import Outcome, State

async def main():
    channel = Channel(*await asyncio.open_connection(sock=socket.socket(fileno=int(sys.argv[1]))))
    with open("heard.jsonl", "a") as heard:
        while (message := await channel.receive()) is not None:
            kind, value = message
            ids = [claim.id for claim in value.claims] if kind == "batch" else value if kind == "settled" else []
            print(f'{{"kind": "{kind}", "ids": {ids}}}', file=heard, flush=True)
            if kind == "batch":
                channel.send("done", [
                    Outcome(each.id, each.recipient.key, each.recipient.address, each.recipient.row, State.ACCEPTED,
                            1.0, attempts=1) for each in value.claims
                ])
            elif kind == "end":
                break
    await channel.close()

asyncio.run(main())
"""


@pytest.fixture
def journal() -> Iterator[Journal]:
    with Journal.open(Path("home"), "campaign", clock=FakeClock()) as opened:
        opened.begin_run(provider="played", template_fingerprint="x")
        yield opened


def an_executor(
    journal: Journal,
    on_done: Callable[[Sequence[Outcome]], None],
    states: list[State],
    words: Sequence[str] = (sys.executable, "-c", PLAYED),
    spares: Sequence[Spare] = (),
) -> ProcessesExecutor:
    campaign = Campaign("campaign", journal.token, Template("t", "", "Subject", "Text", None), Mailbox("", "s@x.test"))
    return ProcessesExecutor(
        lambda _index, fd: [*words, str(fd)],
        ChildWork(campaign, journal.folder, durable=False),
        journal,
        FakeClock(),
        count=2,
        batches_in_flight=2,
        on_outcome=lambda outcome: states.append(outcome.state),
        on_done=on_done,
        spares=spares,
    )


def a_batch(journal: Journal, first: int, size: int = GROUP) -> Batch:
    recipients = [
        Recipient(row, f"u{row}@x.test", f"u{row}@x.test", {"email": ""}, {}) for row in range(first, first + size)
    ]
    return Batch(0, journal.claim(recipients, ClaimPolicy()).claims)


def a_spare_that_is_gone() -> Spare:
    ours, theirs = socket.socketpair()
    theirs.close()
    return Spare(os.posix_spawn("/bin/true", ["true"], {}), ours)


def heard(kind: str) -> list[int]:
    lines = map(json.loads, Path("heard.jsonl").read_text(encoding="utf-8").splitlines())
    return [claim_id for line in lines if line["kind"] == kind for claim_id in line["ids"]]


def heard_kinds() -> list[str]:
    return [json.loads(line)["kind"] for line in Path("heard.jsonl").read_text(encoding="utf-8").splitlines()]


async def test_children_hear_what_is_settled_once_it_is_folded(journal: Journal) -> None:
    states: list[State] = []
    folded: set[int] = set()

    def fold(outcomes: Sequence[Outcome]) -> None:
        assert not Path("heard.jsonl").exists() or not {each.id for each in outcomes} & set(heard("settled"))
        journal.fold(outcomes)
        folded.update(outcome.id for outcome in outcomes)

    async with an_executor(journal, fold, states) as executor:
        for first in range(1, 4 * GROUP, GROUP // 2):
            await executor.submit(a_batch(journal, first, GROUP // 2))
        await executor.drain()
    assert [State.ACCEPTED] * 4 * GROUP == states
    assert folded == set(heard("batch")) == set(heard("settled"))
    assert 4 * GROUP == len(heard("settled")) == journal.counts()[State.ACCEPTED]


async def test_children_never_hear_of_what_could_not_be_folded(journal: Journal) -> None:
    states: list[State] = []
    failures = [JournalError("The disk is full.")]

    def fold(outcomes: Sequence[Outcome]) -> None:
        if failures:
            raise failures.pop()
        journal.fold(outcomes)

    async with an_executor(journal, fold, states) as executor:
        await executor.submit(a_batch(journal, 1))
        await executor.drain()
        # The disk has room again, and these are folded.
        await executor.submit(a_batch(journal, GROUP + 1))
        await executor.drain()
    assert "The disk is full." == str(executor.stopped)
    assert [State.ACCEPTED] * GROUP + [State.UNSENT] * GROUP == states
    assert [] == heard("settled")


async def test_program_that_cannot_be_started_is_told(journal: Journal) -> None:
    with pytest.raises(ProviderUnavailableError, match="cannot be started: No such file"):
        async with an_executor(journal, journal.fold, [], ["/nowhere/python"]):
            pass


async def test_process_made_ahead_that_is_gone_is_replaced(journal: Journal) -> None:
    states: list[State] = []
    gone = a_spare_that_is_gone()
    async with an_executor(journal, journal.fold, states, spares=[gone]) as executor:
        await executor.submit(a_batch(journal, 1))
        await executor.drain()
    assert [State.ACCEPTED] * GROUP == states
    assert 0 == gone.returncode


async def test_defect_in_the_parent_ends_the_children_and_is_raised(journal: Journal) -> None:
    def fold(_: Sequence[Outcome]) -> None:
        raise ZeroDivisionError

    executor = an_executor(journal, fold, [])

    async def run() -> None:
        async with executor:
            await executor.submit(a_batch(journal, 1))
            await executor.drain()

    with pytest.raises(ZeroDivisionError):
        await run()
    assert executor.stopped is not None
    # It happened with one of them, which was killed; the other one was told to end.
    assert 1 == heard_kinds().count("end")

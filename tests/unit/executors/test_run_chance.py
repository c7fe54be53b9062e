"""Whole runs with failures by chance, again and again until the list is through: nobody is lost, nobody gets two."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from fakes_mailing import GONE, GREY, QUOTA, Mailing, rows, sent_to

from mailblast.delivery.intake import Selection
from mailblast.errors import JournalError, ListError, ProviderUnavailableError
from mailblast.executors.run import RunSettings
from mailblast.journal.segment import Segment
from mailblast.journal.table import RecipientTable
from mailblast.model.outcome import Attempt, Disposition, State
from mailblast.model.reply import Scope
from mailblast.providers.memory import ACCEPTED, MemoryProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mailblast.model.message import Message
    from mailblast.model.recipient import Recipient
    from mailblast.model.row import BadRow

LOST = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)
NOT_SENT = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)
ROWS = 60


class Weather:
    """Answers, lists and a disk that fail by chance; fair weather ends all of it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.fair = False
        #: Recipients whose message the provider may have: taken, or complete when the reply was lost.
        self.complete: list[str] = []

    def answer(self, message: Message) -> Attempt:
        draw = 1.0 if self.fair else self.chance.random()
        if draw < 0.02:
            raise ProviderUnavailableError("away")
        for limit, attempt in ((0.08, NOT_SENT), (0.14, GREY), (0.15, QUOTA), (0.19, GONE), (0.22, LOST)):
            if draw < limit:
                if attempt is LOST:
                    self.complete.append(message.recipient)
                return attempt
        self.complete.append(message.recipient)
        return ACCEPTED

    def source(self) -> Iterator[Recipient | BadRow]:
        order = rows(ROWS)
        if not self.fair:
            self.chance.shuffle(order)
        for row in order:
            if not self.fair and self.chance.random() < 0.01:
                raise ListError("broken")
            yield row

    def fails(self) -> bool:
        return not self.fair and self.chance.random() < 0.01

    def settings(self) -> RunSettings:
        if self.fair:
            return RunSettings()
        return RunSettings(
            batch_size=self.chance.randint(1, 10),
            batches_in_flight=self.chance.randint(1, 4),
            retry_for_s=self.chance.choice([0, 500, 3600]),
            selection=Selection(self.chance.choice([None, 5, 20]), self.chance.choice([0.3, 1.0])),
        )


@pytest.mark.parametrize("seed", range(25))
async def test_runs_with_failures_by_chance_lose_nobody_and_send_nobody_twice(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weather, mailing = Weather(seed), Mailing(tmp_path)
    write, fold, claim = Segment._write, RecipientTable.fold, RecipientTable.claim

    def failing_write(self: Segment, data: bytes) -> None:
        if weather.fails():
            raise JournalError("disk full")
        write(self, data)

    def failing_fold(self: RecipientTable, *arguments: object) -> None:
        if weather.fails():
            raise JournalError("disk full")
        fold(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

    def failing_claim(self: RecipientTable, *arguments: object) -> None:
        if weather.fails():
            raise JournalError("disk full")
        claim(self, *arguments)  # type: ignore[arg-type]  # passed on as they came

    monkeypatch.setattr(Segment, "_write", failing_write)
    monkeypatch.setattr(RecipientTable, "fold", failing_fold)
    monkeypatch.setattr(RecipientTable, "claim", failing_claim)
    for _ in range(8):
        try:
            await mailing.run(weather.source(), MemoryProvider(weather.answer), weather.settings())
        except JournalError:
            # Closing could not write either; the next run settles it.
            continue
    weather.fair = True
    last = MemoryProvider()
    result = await mailing.run(weather.source(), last, weather.settings())
    assert result.stopped is None
    complete = weather.complete + sent_to(last)
    assert len(complete) == len(set(complete))
    states = mailing.states()
    assert len(states) == ROWS
    assert set(states.values()) <= {State.ACCEPTED, State.FAILED, State.IN_DOUBT}
    assert {key for key, state in states.items() if state is not State.FAILED} == set(complete)

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.delivery.intake import Intake, Selection
from mailblast.errors import JournalError
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Recipient
from mailblast.model.row import BadRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mailblast.model.recipient import Batch


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path, "news", clock=FakeClock()) as opened:
        opened.begin_run(provider="memory", template_fingerprint="1")
        yield opened


class Desk:
    """An intake with what it gives and what it tells."""

    def __init__(
        self, journal: Journal, selection: Selection | None = None, policy: ClaimPolicy | None = None, size: int = 3
    ) -> None:
        self.journal = journal
        self.seen: list[Outcome] = []
        self.batches: list[Batch] = []
        self.intake = Intake(
            journal,
            policy or ClaimPolicy(),
            selection or Selection(),
            batch_size=size,
            clock=FakeClock(),
            on_outcome=self.seen.append,
        )

    def take(self, *rows: Recipient | BadRow) -> None:
        self.batches.extend(self.intake.take(rows))

    def rest(self) -> None:
        self.batches.extend(self.intake.rest())

    @property
    def keys(self) -> list[str]:
        return [claim.recipient.key for batch in self.batches for claim in batch.claims]

    @property
    def adds_up(self) -> bool:
        return self.intake.rows == self.intake.skipped + len(self.seen) + len(self.keys)


def a_recipient(number: int, key: str = "") -> Recipient:
    address = key or f"r{number}@example.com"
    fields = {"email": address}
    return Recipient(number, address, address, {**fields, "name": "there", "data": ""}, fields)


def recipients(count: int, first: int = 1) -> list[Recipient]:
    return [a_recipient(number) for number in range(first, first + count)]


def settle(journal: Journal, batches: Sequence[Batch], state: State) -> None:
    for batch in batches:
        outcomes = [
            Outcome(each.id, each.recipient.key, each.recipient.address, each.recipient.row, state, 0.0, attempts=1)
            for each in batch.claims
        ]
        for outcome in outcomes:
            journal.segment().finish(outcome)
        journal.fold(outcomes)


def test_batches_are_full_numbered_and_in_the_order_of_the_list(journal: Journal) -> None:
    desk = Desk(journal)
    desk.take(*recipients(4))
    desk.take(*recipients(4, first=5))
    assert [(0, 3), (1, 3)] == [(batch.sequence, len(batch.claims)) for batch in desk.batches]
    desk.rest()
    desk.rest()
    assert [3, 3, 2] == [len(batch.claims) for batch in desk.batches]
    assert [f"r{number}@example.com" for number in range(1, 9)] == desk.keys
    assert desk.adds_up


def test_bad_row_is_invalid_with_its_column_and_recorded(journal: Journal) -> None:
    desk = Desk(journal)
    desk.take(BadRow(2, "is empty", "email", fields={"plan": "x"}), a_recipient(3), BadRow(4, "Too many cells."))
    desk.rest()
    assert [(2, State.INVALID, "column 'email': is empty"), (4, State.INVALID, "Too many cells.")] == [
        (each.row, each.state, each.text) for each in desk.seen
    ]
    assert {"plan": "x"} == desk.seen[0].fields
    assert journal.counts()[State.INVALID] == 2
    assert (3, 0) == (desk.intake.rows, desk.intake.skipped)
    assert desk.adds_up


def test_key_seen_before_is_a_duplicate_in_a_chunk_and_between_chunks(journal: Journal) -> None:
    desk = Desk(journal)
    desk.take(a_recipient(1, "a@x.test"), a_recipient(2, "a@x.test"))
    desk.take(a_recipient(3, "a@x.test"))
    desk.rest()
    assert [(2, State.DUPLICATE), (3, State.DUPLICATE)] == [(each.row, each.state) for each in desk.seen]
    assert ["a@x.test"] == desk.keys
    assert desk.adds_up


def test_accepted_are_skipped_by_the_next_run_and_in_doubt_are_held(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        first = Desk(journal, size=2)
        first.take(*recipients(4))
        settle(journal, first.batches[:1], State.ACCEPTED)
        settle(journal, first.batches[1:], State.IN_DOUBT)
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        desk = Desk(journal)
        desk.take(*recipients(5))
        desk.rest()
        assert ["r5@example.com"] == desk.keys
        assert (5, 4, 2) == (desk.intake.rows, desk.intake.skipped, desk.intake.held)
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        again = Desk(journal, policy=ClaimPolicy(resend_in_doubt=True))
        again.take(*recipients(4))
        again.rest()
        assert ["r3@example.com", "r4@example.com"] == again.keys
        assert again.adds_up


def test_limit_counts_claims_and_leaves_rows_behind_it_to_the_next_run(journal: Journal) -> None:
    desk = Desk(journal, Selection(limit=3), size=2)
    desk.take(a_recipient(1), a_recipient(2, "r1@example.com"), BadRow(3, "bad"), *recipients(1, first=4))
    fullness = [desk.intake.full]
    desk.take(*recipients(6, first=5))
    fullness.append(desk.intake.full)
    assert [False, True] == fullness
    desk.rest()
    assert ["r1@example.com", "r4@example.com", "r5@example.com"] == desk.keys
    assert desk.intake.rows == 5
    assert desk.adds_up
    assert journal.counts()[State.SENDING] == 3


def test_limit_is_not_used_up_by_rows_that_are_skipped(journal: Journal) -> None:
    first = Desk(journal, size=2)
    first.take(*recipients(2))
    settle(journal, first.batches, State.ACCEPTED)
    journal.close()
    with Journal.open(journal.folder.parent, "news", clock=FakeClock()) as resumed:
        desk = Desk(resumed, Selection(limit=2))
        desk.take(*recipients(8))
        desk.rest()
        assert ["r3@example.com", "r4@example.com"] == desk.keys
        assert (4, 2) == (desk.intake.rows, desk.intake.skipped)


def test_sample_takes_about_its_share_and_always_the_same(journal: Journal) -> None:
    chosen: list[set[str]] = []
    for _ in range(2):
        with Journal.rehearse(journal.folder.parent, "news", clock=FakeClock()) as rehearsal:
            desk = Desk(rehearsal, Selection(sample=0.1))
            desk.take(*recipients(5000))
            desk.rest()
            assert desk.adds_up
            chosen.append(set(desk.keys))
    assert chosen[0] == chosen[1]
    assert 350 < len(chosen[0]) < 650


@pytest.mark.parametrize(("share", "expected"), [(1.0, 50), (0.0, 0)])
def test_sample_of_all_or_nothing(journal: Journal, share: float, expected: int) -> None:
    desk = Desk(journal, Selection(sample=share))
    desk.take(*recipients(50))
    desk.rest()
    assert expected == len(desk.keys)
    assert desk.adds_up


def test_sample_grows_without_letting_anybody_go(journal: Journal) -> None:
    picked = []
    for share in (0.05, 0.2):
        with Journal.rehearse(journal.folder.parent, "news", clock=FakeClock()) as rehearsal:
            desk = Desk(rehearsal, Selection(sample=share))
            desk.take(*recipients(500))
            desk.rest()
            picked.append(set(desk.keys))
    assert picked[0] < picked[1]


def test_key_with_half_a_character_is_sampled_and_claimed(journal: Journal) -> None:
    desk = Desk(journal, Selection(sample=0.999_999))
    desk.take(a_recipient(1)._replace(key="\ud83d"))
    desk.rest()
    assert [1] == [claim.recipient.row for batch in desk.batches for claim in batch.claims]


def test_claim_that_cannot_be_written_leaves_counts_that_add_up(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(journal)
    desk.take(*recipients(2))

    def full(*_: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(journal._table, "claim", full)
    with pytest.raises(JournalError):
        desk.take(*recipients(3, first=3))
    desk.rest()
    assert ["r1@example.com", "r2@example.com"] == desk.keys
    assert desk.intake.rows == 2
    assert desk.adds_up


def test_faults_that_cannot_be_written_leave_counts_that_add_up(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(journal)

    def full(*_: object) -> None:
        raise JournalError("disk full")

    monkeypatch.setattr(journal._table, "record_faults", full)
    with pytest.raises(JournalError):
        desk.take(BadRow(1, "bad"), *recipients(1, first=2))
    desk.rest()
    assert ["r2@example.com"] == desk.keys
    assert desk.adds_up


def test_nothing_is_kept_of_what_was_handed_out(journal: Journal) -> None:
    desk = Desk(journal, size=10)
    for first in range(1, 1001, 100):
        desk.take(*recipients(100, first=first))
        settle(journal, desk.batches, State.ACCEPTED)
        desk.batches.clear()
        assert [] == desk.intake._waiting
    assert Counter({State.ACCEPTED: 1000}) == Counter(journal.counts())

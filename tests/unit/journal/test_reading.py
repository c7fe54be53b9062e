from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import JournalDamagedError, JournalError, UsageError
from mailblast.journal import database
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.journal.reading import JournalReader, list_campaigns
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000.0


def a_recipient(key: str, row: int = 2) -> Recipient:
    return Recipient(row, key, key, {"email": key}, {"email": key})


def an_outcome(claim: Claim, state: State = State.ACCEPTED) -> Outcome:
    recipient = claim.recipient
    return Outcome(claim.id, recipient.key, recipient.address, recipient.row, state, START, attempts=1)


def a_run(home: Path, keys: str, state: State = State.ACCEPTED) -> None:
    with Journal.open(home, "news", clock=FakeClock()) as journal:
        journal.begin_run(provider="smtp:mx", template_fingerprint="t1")
        claims = journal.claim([a_recipient(f"{key}@x.y") for key in keys], ClaimPolicy()).claims
        journal.fold([an_outcome(claim, state) for claim in claims])
        journal.end_run(counts={state: len(claims)}, rows=len(keys), exit_code=0, grade="A")


def test_reader_of_unknown_campaign_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no campaign news in .*No run has been recorded"):
        JournalReader(tmp_path, "news")
    a_run(tmp_path, "a")
    with pytest.raises(UsageError, match=r"no campaign old in .*Known ones: news\."):
        JournalReader(tmp_path, "old")
    assert ("news",) == list_campaigns(tmp_path)


def test_reader_shows_runs_with_their_own_counts(tmp_path: Path) -> None:
    a_run(tmp_path, "ab", State.DEFERRED)
    a_run(tmp_path, "abc")
    with JournalReader(tmp_path, "news") as reader:
        first, second = reader.runs()
        assert (START, False, None) == (reader.created_s, reader.running, reader.owner)
        assert 16 == len(reader.token)
    assert {state: 2 * (state is State.DEFERRED) for state in State} == first.counts
    assert (2, START, START, os.getpid(), "smtp:mx", "t1", 3, True, 0, "A") == (
        second.id,
        second.started_s,
        second.finished_s,
        second.pid,
        second.provider,
        second.template,
        second.rows,
        second.whole_list,
        second.exit_code,
        second.grade,
    )


def test_reader_beside_a_run_shows_claims_as_sending_and_progress_as_noted(tmp_path: Path) -> None:
    a_run(tmp_path, "a")
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        journal.begin_run(provider="smtp:mx", template_fingerprint="t1")
        journal.claim([a_recipient("a@x.y"), a_recipient("b@x.y", 3)], ClaimPolicy())
        journal.record_faults([Outcome(0, "", "", 4, State.INVALID, START)])
        journal.note_progress(counts={State.ACCEPTED: 1}, rows=3)
        with JournalReader(tmp_path, "news") as reader:
            assert reader.running
            assert reader.owner is not None
            assert reader.owner.pid == os.getpid()
            counts = reader.counts()
            assert [1, 1, 1] == [counts[state] for state in (State.ACCEPTED, State.SENDING, State.INVALID)]
            run = reader.runs()[-1]
            assert (None, None, 3, 1, False) == (
                run.finished_s,
                run.exit_code,
                run.rows,
                run.counts[State.ACCEPTED],
                run.whole_list,
            )
        journal.claim([a_recipient("c@x.y", 4)], ClaimPolicy())


def test_reader_yields_recipients_then_faults_in_order(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        journal.begin_run(provider="x", template_fingerprint="t")
        journal.record_faults([Outcome(0, "", "bad", 4, State.INVALID, START, text="why", fields={"email": "bad"})])
        claims = journal.claim([a_recipient(f"{n}@x.y", n) for n in range(4)], ClaimPolicy()).claims
        states = [State.FAILED, State.ACCEPTED, State.INVALID, State.FAILED]
        journal.fold([an_outcome(claim, state) for claim, state in zip(claims, states, strict=True)])
    with JournalReader(tmp_path, "news") as reader:
        wanted = [State.FAILED, State.INVALID]
        assert ["0@x.y", "2@x.y", "3@x.y", "bad"] == [outcome.address for outcome in reader.outcomes(wanted)]
        assert [] == list(reader.outcomes([]))
        assert 1 == len(list(reader.outcomes([State.ACCEPTED])))


def test_reader_where_nothing_can_be_written_reads_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_run(tmp_path, "a")
    tried: list[bool] = []
    real = database.connect_overlay

    def connect_overlay(path: Path, *, created_s: float, unchanging: bool) -> object:
        tried.append(unchanging)
        if not unchanging:
            raise JournalError("read-only file system")
        return real(path, created_s=created_s, unchanging=unchanging)

    monkeypatch.setattr("mailblast.journal.reading.connect_overlay", connect_overlay)
    with JournalReader(tmp_path, "news") as reader:
        assert reader.counts()[State.ACCEPTED] == 1
    assert [False, True] == tried


def test_reader_of_damaged_journal_is_refused(tmp_path: Path) -> None:
    a_run(tmp_path, "a")
    (tmp_path / "news" / "journal.sqlite3").write_bytes(b"x" * 5000)

    with pytest.raises(JournalDamagedError):
        JournalReader(tmp_path, "news")

"""What a killed run leaves, and what the next one makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import JournalDamagedError, JournalError
from mailblast.journal import recovery
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.journal.reading import JournalReader
from mailblast.journal.records import encode_header, encode_mark, encode_outcome
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000.0


def a_recipient(key: str) -> Recipient:
    return Recipient(2, key, key, {"email": key}, {"email": key})


def an_outcome(claim_id: int, state: State = State.ACCEPTED, attempts: int = 1) -> Outcome:
    return Outcome(claim_id, "", "", 0, state, START, attempts=attempts, fields={"n": claim_id})


def a_journal(home: Path) -> Journal:
    journal = Journal.open(home, "news", clock=FakeClock())
    journal.begin_run(provider="smtp:mx", template_fingerprint="1")
    return journal


def claim(journal: Journal, count: int) -> tuple[Claim, ...]:
    return journal.claim([a_recipient(f"{n}@x.y") for n in range(count)], ClaimPolicy()).claims


def kill(journal: Journal) -> None:
    """Let go of everything as the kernel does for a killed process; what was not written is lost."""
    journal._segment._pending.clear()
    journal._segment.close()
    journal._table.close()
    assert journal._lock is not None
    journal._lock.release()
    journal._closed = True


def states(home: Path) -> list[State]:
    with JournalReader(home, "news") as reader:
        return [outcome.state for outcome in reader.outcomes(tuple(State))]


def test_open_after_kill_settles_every_claim(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claims = claim(journal, 5)
    for each in claims[:4]:
        journal.segment().begin(each.id, 9, START + 1)
    journal.segment().commit()
    journal.segment().finish(an_outcome(1))
    journal.segment().finish(an_outcome(2, State.DEFERRED))
    journal.segment().revoke(3)
    journal.segment().flush()
    journal.segment().finish(an_outcome(4))
    kill(journal)

    expected = [State.ACCEPTED, State.DEFERRED, State.UNSENT, State.IN_DOUBT, State.UNSENT]
    assert expected == states(tmp_path)
    with a_journal(tmp_path) as journal:
        assert journal.recovered == 1
        in_doubt = next(iter(journal._table.outcomes([State.IN_DOUBT])))
        assert (4, 9, 1, START + 1) == (in_doubt.id, in_doubt.digest, in_doubt.attempts, in_doubt.time_s)
        deferred = next(iter(journal._table.outcomes([State.DEFERRED])))
        assert {"n": 2} == deferred.fields
    assert expected == states(tmp_path)


def test_open_after_kill_without_any_claim_is_as_new(tmp_path: Path) -> None:
    kill(a_journal(tmp_path))

    with a_journal(tmp_path) as journal:
        assert journal.recovered == 0


def test_open_after_kill_during_recovery_comes_to_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 2)
    journal.segment().begin(1, 9, START)
    journal.segment().begin(2, 9, START)
    journal.segment().commit()
    journal.segment().finish(an_outcome(2))
    journal.segment().flush()
    kill(journal)
    with monkeypatch.context() as patch:
        patch.setattr("mailblast.journal.journal.remove_segments", _fail)
        for _ in range(2):
            with pytest.raises(JournalError):
                a_journal(tmp_path)
    with a_journal(tmp_path) as journal:
        assert journal.recovered == 0
    assert [State.IN_DOUBT, State.ACCEPTED] == states(tmp_path)


def _fail(*_: object) -> None:
    raise JournalError("stopped here")


@pytest.mark.parametrize("folded", [State.ACCEPTED, State.FAILED, State.DEFERRED])
def test_open_after_kill_does_not_undo_what_was_folded_later(tmp_path: Path, folded: State) -> None:
    """A process may still hold its outcome of an attempt that another one has overtaken."""
    journal = a_journal(tmp_path)
    claim(journal, 1)
    worker = journal.folder / "segment-77-1.log"
    worker.write_bytes(encode_header() + encode_mark(1, 9, START) + encode_outcome(an_outcome(1, State.DEFERRED)))
    journal.fold([an_outcome(1, folded, attempts=2)])
    kill(journal)

    a_journal(tmp_path).close()
    assert [folded] == states(tmp_path)
    assert not worker.exists()


def test_open_after_kill_takes_a_late_answer_over_doubt(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 2)
    worker = journal.folder / "segment-77-1.log"
    worker.write_bytes(encode_header() + encode_outcome(an_outcome(1)) + encode_outcome(an_outcome(2, State.DEFERRED)))
    journal.fold([an_outcome(n, State.IN_DOUBT) for n in (1, 2)])
    kill(journal)

    a_journal(tmp_path).close()
    assert [State.ACCEPTED, State.IN_DOUBT] == states(tmp_path)


@pytest.mark.parametrize("record", [encode_outcome(an_outcome(5)), encode_mark(6, 9, START)])
def test_open_with_segment_of_claims_that_the_table_has_lost_is_refused(tmp_path: Path, record: bytes) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 3)
    (journal.folder / "segment-77-1.log").write_bytes(encode_header() + record)
    kill(journal)

    for _ in range(2):
        with pytest.raises(JournalDamagedError, match=r"has lost recipients"):
            a_journal(tmp_path)


@pytest.mark.parametrize("cut", [0, 10, 100, 200, -2])
def test_open_with_segment_shorter_than_at_the_last_fold_is_refused(tmp_path: Path, cut: int) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 3)
    for n in (1, 2):
        journal.segment().begin(n, 9, START)
        journal.segment().finish(an_outcome(n))
    journal.fold([an_outcome(1), an_outcome(2)])
    journal.segment().begin(3, 9, START)
    journal.segment().commit()
    kill(journal)
    path = journal.segment().path
    whole = path.read_bytes()
    end = whole.rindex(b"\n", 0, -1) + 1
    path.write_bytes(whole[: cut % end])

    for _ in range(2):
        with pytest.raises(JournalDamagedError, match=r"which it had when a batch was recorded"):
            a_journal(tmp_path)
    path.write_bytes(whole)
    with a_journal(tmp_path) as again:
        assert (2, 1) == (again.counts()[State.ACCEPTED], again.recovered)


def test_open_with_damaged_segment_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 3)
    for n in (1, 2):
        journal.segment().begin(n, 9, START)
    journal.segment().finish(an_outcome(1))
    journal.segment().commit()
    kill(journal)
    path = journal.segment().path
    spoilt = path.read_bytes().replace(b'"m",2', b'"m",3')
    path.write_bytes(spoilt)

    for _ in range(2):
        with pytest.raises(JournalDamagedError, match=r"damaged at line 3"):
            a_journal(tmp_path)
    assert spoilt == path.read_bytes()
    with pytest.raises(JournalDamagedError):
        JournalReader(tmp_path, "news")
    with pytest.raises(JournalDamagedError):
        Journal.rehearse(tmp_path, "news", clock=FakeClock())


def test_open_with_segment_declared_damaged_holds_all_that_it_may_have_settled(tmp_path: Path) -> None:
    test_open_with_damaged_segment_is_refused_and_changes_nothing(tmp_path)
    (path,) = (tmp_path / "news").glob("segment-*.log")
    path.rename(path.with_suffix(".damaged"))

    with a_journal(tmp_path) as journal:
        assert journal.recovered == 2
    assert [State.ACCEPTED, State.IN_DOUBT, State.IN_DOUBT] == states(tmp_path)
    assert path.with_suffix(".kept").exists()
    with a_journal(tmp_path) as journal:
        assert journal.recovered == 0


def test_open_with_damaged_and_whole_segments_uses_both(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 4)
    (journal.folder / "segment-5-1.damaged").write_bytes(
        encode_outcome(an_outcome(1))
        + b"?\n"
        + encode_outcome(an_outcome(2, State.FAILED))
        + encode_outcome(an_outcome(3))
    )
    journal.segment().begin(2, 9, START)
    journal.segment().finish(an_outcome(4))
    journal.segment().commit()
    kill(journal)

    a_journal(tmp_path).close()
    assert [State.ACCEPTED, State.IN_DOUBT, State.ACCEPTED, State.ACCEPTED] == states(tmp_path)


def test_open_after_kill_with_segments_removed_holds_all_in_flight(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 3)
    journal.fold([an_outcome(1)])
    kill(journal)
    journal.segment().path.unlink()

    with a_journal(tmp_path) as journal:
        assert journal.recovered == 2
    assert [State.ACCEPTED, State.IN_DOUBT, State.IN_DOUBT] == states(tmp_path)


def test_open_after_kill_with_segments_that_cannot_be_removed_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(a_journal(tmp_path))

    def unlink(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.unlink", unlink)
    with pytest.raises(JournalError, match="segments in .* cannot be removed: Permission denied"):
        a_journal(tmp_path)


def test_held_in_doubt_learns_its_columns_from_the_list(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claim(journal, 1)
    journal.segment().begin(1, 9, START)
    journal.segment().commit()
    kill(journal)

    with a_journal(tmp_path) as journal:
        assert 1 == journal.claim([a_recipient("0@x.y")._replace(row=8)], ClaimPolicy()).held
        (outcome,) = journal._table.outcomes([State.IN_DOUBT])
        assert (8, {"email": "0@x.y"}) == (outcome.row, outcome.fields)


def test_segment_cut_at_any_byte_loses_nobody_and_doubles_nobody(tmp_path: Path) -> None:
    """Every cut: each is settled as its whole records say; whoever's mark is on file is never free to be sent."""
    journal = a_journal(tmp_path)
    claim(journal, 3)
    for n in (1, 2, 3):
        journal.segment().begin(n, 9, START)
    journal.segment().commit()
    for n in (1, 2):
        journal.segment().finish(an_outcome(n))
    journal.segment().flush()
    kill(journal)
    segment = journal.segment().path
    database = journal.folder / "journal.sqlite3"
    files = {path: path.read_bytes() for path in journal.folder.iterdir()}
    data = files[segment]
    ends = [at for at in range(len(data)) if data[at : at + 1] == b"\n"]
    assert len(ends) == 6

    for cut in range(len(data) + 1):
        for path, content in files.items():
            path.write_bytes(content)
        segment.write_bytes(data[:cut])
        for extra in ("-wal", "-shm"):
            database.with_name(database.name + extra).unlink(missing_ok=True) if database.with_name(
                database.name + extra
            ) not in files else None
        whole = sum(end <= cut for end in ends)
        # Without its first line it may be a file that was emptied.
        expected = [State.UNSENT if whole else State.IN_DOUBT] * 3
        for n in range(min(max(whole - 1, 0), 3)):
            expected[n] = State.IN_DOUBT
        for n in range(max(whole - 4, 0)):
            expected[n] = State.ACCEPTED
        assert expected == states(tmp_path)
        table = a_journal(tmp_path)
        assert table.recovered == expected.count(State.IN_DOUBT)
        table.close()
        assert expected == states(tmp_path)


def test_is_open_is_set_only_while_a_run_holds_the_journal(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    assert recovery.is_open(journal._table)
    journal.close()
    with Journal.rehearse(tmp_path, "news", clock=FakeClock()) as rehearsal:
        assert not recovery.is_open(rehearsal._table)

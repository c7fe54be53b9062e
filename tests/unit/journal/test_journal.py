from __future__ import annotations

import os
import sqlite3
import stat
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock

from mailblast.errors import CampaignLockedError, JournalDamagedError, JournalError, UsageError
from mailblast.journal.journal import ClaimPolicy, Journal, RunStart
from mailblast.journal.reading import JournalReader
from mailblast.journal.segment import Segment
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1_700_000_000.0
ANY = ClaimPolicy()


def a_recipient(key: str = "ann@example.com", row: int = 2, **variables: object) -> Recipient:
    fields = {"email": key, "name": ""}
    return Recipient(row, key, key, {**fields, "name": "there", **variables}, fields)


def an_outcome(claim: Claim, state: State = State.ACCEPTED, **changes: Any) -> Outcome:
    recipient = claim.recipient
    outcome = Outcome(
        claim.id, recipient.key, recipient.address, recipient.row, state, START + 0.5, "smtp:mx", attempts=1
    )
    return outcome._replace(**changes)


def a_journal(home: Path, clock: FakeClock | None = None, *, durable: bool = False) -> Journal:
    journal = Journal.open(home, "news", clock=clock or FakeClock(), durable=durable)
    journal.begin_run(provider="smtp:mx", template_fingerprint="1")
    return journal


def outcomes(home: Path, *states: State) -> list[Outcome]:
    with JournalReader(home, "news") as reader:
        return list(reader.outcomes(states or tuple(State)))


def test_open_makes_private_files(tmp_path: Path) -> None:
    journal = a_journal(tmp_path / "home")
    journal.claim([a_recipient()], ANY)

    modes = {path.name.split("-")[0]: stat.S_IMODE(path.stat().st_mode) for path in journal.folder.iterdir()}
    assert {"journal.sqlite3": 0o600, "lock": 0o600, "segment": 0o600} == modes
    journal.close()
    assert {"journal.sqlite3", "lock"} == {path.name for path in journal.folder.iterdir()}


def test_open_again_keeps_token_and_creation(tmp_path: Path) -> None:
    with a_journal(tmp_path) as first:
        pass
    with a_journal(tmp_path, FakeClock(START + 50)) as second:
        assert ("news", first.token, START) == (second.campaign, second.token, second.created_s)
        assert len(second.token) == 16
        assert second.recovered == 0


def test_open_of_two_campaigns_gives_each_its_token(tmp_path: Path) -> None:
    clock = FakeClock()
    with Journal.open(tmp_path, "a", clock=clock) as one, Journal.open(tmp_path, "b", clock=clock) as two:
        assert one.token != two.token


def test_open_of_held_campaign_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        with pytest.raises(CampaignLockedError):
            a_journal(tmp_path)
        journal.fold([an_outcome(claim) for claim in journal.claim([a_recipient()], ANY).claims])
    assert 1 == len(outcomes(tmp_path, State.ACCEPTED))


def test_open_with_bad_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Journal.open(tmp_path, "../news", clock=FakeClock())


def test_begin_run_tells_of_the_runs_before(tmp_path: Path) -> None:
    def begin(fingerprint: str) -> RunStart:
        with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
            return journal.begin_run(provider="x", template_fingerprint=fingerprint)

    assert RunStart(1, template_changed=False, previous_runs=0) == begin("a")
    assert RunStart(2, template_changed=False, previous_runs=1) == begin("a")
    assert RunStart(3, template_changed=True, previous_runs=2) == begin("b")


def test_fold_keeps_all_of_an_outcome(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        (claim,) = journal.claim([a_recipient()], ANY).claims
        outcome = an_outcome(
            claim,
            State.FAILED,
            code=550,
            enhanced="5.1.1",
            text="no such user",
            attempts=2,
            duration_s=0.25,
            provider_id="x",
            digest=5,
            fields=claim.recipient.fields,
        )
        journal.fold([outcome])
    assert [outcome] == outcomes(tmp_path)


@pytest.mark.parametrize(
    ("state", "fields"), [(State.ACCEPTED, None), (State.FAILED, {"email": "ann@example.com", "name": ""})]
)
def test_fold_keeps_fields_of_all_but_accepted(tmp_path: Path, state: State, fields: object) -> None:
    with a_journal(tmp_path) as journal:
        journal.fold([an_outcome(claim, state) for claim in journal.claim([a_recipient()], ANY).claims])
    (outcome,) = outcomes(tmp_path)
    assert fields == outcome.fields


def test_fold_of_reply_that_is_no_text_keeps_what_can_be_kept(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        claims = journal.claim([a_recipient("a@x.y"), a_recipient("b@x.y")], ANY).claims
        journal.fold([an_outcome(claims[0], text="fine"), an_outcome(claims[1], text="bad \udcff")])
    assert ["fine", "bad \\udcff"] == [outcome.text for outcome in outcomes(tmp_path)]


def test_fold_never_changes_accepted(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        (claim,) = journal.claim([a_recipient()], ANY).claims
        journal.fold([an_outcome(claim)])
        journal.fold([an_outcome(claim, State.FAILED)])
        assert journal.counts()[State.ACCEPTED] == 1


def test_fold_puts_outcomes_in_the_segment_first(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        (claim,) = journal.claim([a_recipient()], ANY).claims
        journal.segment().begin(claim.id, 9, START)
        journal.segment().commit()
        journal.segment().finish(an_outcome(claim))
        length = journal.segment().path.stat().st_size
        journal.fold([an_outcome(claim)])
        assert length < journal.segment().path.stat().st_size


def test_fold_bounds_the_segment(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        journal.segment()._roll_at = journal.segment()._roll_limit = 3000
        for n in range(40):
            claims = journal.claim([a_recipient(f"{n}-{m}@x.y") for m in range(5)], ANY).claims
            for claim in claims:
                journal.segment().begin(claim.id, 9, START)
            journal.segment().commit()
            for claim in claims:
                journal.segment().finish(an_outcome(claim))
            journal.fold([an_outcome(claim) for claim in claims])
        assert 1 == len(list(journal.folder.glob("segment-*")))
        assert journal.segment().path.stat().st_size < 5000
    assert 200 == len(outcomes(tmp_path, State.ACCEPTED))


def test_record_faults_counts_them_until_the_list_is_read_again(tmp_path: Path) -> None:
    fault = Outcome(0, "", "b@d", 7, State.INVALID, START, text="no\udc80", fields={"email": "b@d"})
    with a_journal(tmp_path) as journal:
        journal.record_faults([fault, fault._replace(state=State.DUPLICATE, row=8, text="")])
        assert (1, 1) == (journal.counts()[State.INVALID], journal.counts()[State.DUPLICATE])
    assert [fault._replace(text="no\\udc80")] == outcomes(tmp_path, State.INVALID)
    with a_journal(tmp_path) as journal:
        assert 0 == sum(journal.counts().values())


def test_counts_have_all_nine_and_add_up(tmp_path: Path) -> None:
    states = [state for state in State if state is not State.DUPLICATE]
    with a_journal(tmp_path) as journal:
        claims = journal.claim([a_recipient(f"{n}@x.y") for n in range(8)], ANY).claims
        journal.fold(
            [an_outcome(c, s) for c, s in zip(claims, states, strict=True) if s is not State.SENDING],
        )
        assert {state: int(state is not State.DUPLICATE) for state in State} == journal.counts()


def test_due_gives_those_whose_time_has_come_oldest_first(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        recipients = [a_recipient(f"{n}@x.y", n, extra=[n, {"a": None}]) for n in range(4)]
        claims = journal.claim(recipients, ANY).claims
        at = {claims[0].id: START + 30, claims[1].id: START + 10, claims[2].id: START + 20}
        journal.fold([an_outcome(claim, State.DEFERRED) for claim in claims], retry_at=at)

        assert START + 10 == journal.next_due_s()
        assert () == journal.due(START + 9, limit=10)
        first = journal.due(START + 30, limit=2)
        assert [claims[1]._replace(attempts=1), claims[2]._replace(attempts=1)] == [*first]
        assert (2, 2) == (journal.counts()[State.SENDING], journal.counts()[State.DEFERRED])
        (last,) = journal.due(START + 30, limit=2)
        assert claims[0]._replace(attempts=1) == last
        assert journal.next_due_s() is None

        journal.fold([an_outcome(last, State.DEFERRED, attempts=2)], retry_at={last.id: START + 50})
        (again,) = journal.due(START + 50, limit=1)
        assert claims[0]._replace(attempts=2) == again


def test_due_of_one_in_doubt_keeps_its_digest(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        journal.fold([an_outcome(journal.claim([a_recipient()], ANY).claims[0], State.IN_DOUBT, digest=7)])
    with a_journal(tmp_path) as journal:
        (claim,) = journal.claim([a_recipient()], ClaimPolicy(resend_in_doubt=True)).claims
        journal.fold([an_outcome(claim, State.DEFERRED, attempts=2)], retry_at={claim.id: START})
        (again,) = journal.due(START, limit=1)
        assert (7, 2) == (again.digest, again.attempts)
        assert journal.counts()[State.IN_DOUBT] == 1


def test_due_is_forgotten_by_the_next_run(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        claims = journal.claim([a_recipient()], ANY).claims
        journal.fold([an_outcome(claims[0], State.DEFERRED)], retry_at={claims[0].id: START})
    with a_journal(tmp_path) as journal:
        assert () == journal.due(START + 1000, limit=10)


def test_due_without_variables_of_their_own_rebuilds_them_from_the_fields(tmp_path: Path) -> None:
    recipient = Recipient(2, "a@x.y", "a@x.y", {"email": "a@x.y"}, {"email": "a@x.y"})
    with a_journal(tmp_path) as journal:
        claims = journal.claim([recipient], ANY).claims
        journal.fold([an_outcome(claims[0], State.DEFERRED)], retry_at={claims[0].id: START})
        assert (recipient,) == tuple(claim.recipient for claim in journal.due(START, limit=1))


def test_close_leaves_no_claim_open(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    claims = journal.claim([a_recipient(f"{n}@x.y") for n in range(3)], ANY).claims
    journal.segment().begin(claims[0].id, 9, START)
    journal.segment().begin(claims[1].id, 9, START)
    journal.segment().commit()
    journal.segment().finish(an_outcome(claims[1]))
    journal.close()
    journal.close()

    assert [State.IN_DOUBT, State.ACCEPTED, State.UNSENT] == [outcome.state for outcome in outcomes(tmp_path)]
    assert [] == list(journal.folder.glob("segment-*"))


def test_close_that_cannot_be_written_lets_the_campaign_go_and_is_made_good_by_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = a_journal(tmp_path)
    (claim,) = journal.claim([a_recipient()], ANY).claims
    journal.segment().begin(claim.id, 9, START)
    journal.segment().commit()
    journal.segment().finish(an_outcome(claim))
    with monkeypatch.context() as patch:
        patch.setattr("mailblast.journal.journal.recover", _full)
        with pytest.raises(JournalError):
            journal.close()
    with a_journal(tmp_path) as journal:
        assert journal.counts()[State.ACCEPTED] == 1


def _full(*_: object) -> int:
    raise JournalError("full")


def test_transaction_that_fails_changes_nothing(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        claims = journal.claim([a_recipient("a@x.y"), a_recipient("b@x.y")], ANY).claims
        with pytest.raises(JournalError, match=r"journal.* cannot be used: .*run the same command again"):
            journal.fold([an_outcome(claims[0]), an_outcome(claims[1], code=object())])
        assert journal.counts()[State.SENDING] == 2
        journal.fold([an_outcome(claim) for claim in claims])
        assert journal.counts()[State.ACCEPTED] == 2


def test_disk_full_is_one_line_with_path_and_remedy(tmp_path: Path) -> None:
    journal = a_journal(tmp_path)
    journal.fold([an_outcome(claim) for claim in journal.claim([a_recipient()], ANY).claims])
    pages = journal._table.database.execute("PRAGMA page_count").fetchone()[0]
    journal._table.database.execute(f"PRAGMA max_page_count = {pages}")

    many = [a_recipient(f"{n}-{'x' * 200}@x.y") for n in range(1000)]
    with pytest.raises(JournalError, match=r"sqlite3 cannot be used: .*full\. Make room on the disk") as caught:
        journal.claim(many, ANY)
    assert "\n" not in str(caught.value)
    assert journal.counts()[State.ACCEPTED] == 1
    journal.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"not a database, but a text of some length" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:100]),
        lambda path: path.write_bytes(path.read_bytes()[:5000]),
        lambda path: (path.unlink(), (path.parent / "segment-1-1.log").write_text("")),
        lambda path: (path.unlink(), (path.parent / "segment-1-1.damaged").write_text("")),
    ],
)
def test_open_of_damaged_journal_is_refused_and_never_begins_anew(
    tmp_path: Path, spoil: Callable[[Path], object]
) -> None:
    with a_journal(tmp_path) as journal:
        journal.fold([an_outcome(claim) for claim in journal.claim([a_recipient()], ANY).claims])
    spoil(journal.folder / "journal.sqlite3")
    before = {path.name: path.read_bytes() for path in journal.folder.iterdir() if path.name != "lock"}

    for _ in range(2):
        with pytest.raises(JournalDamagedError, match="journal.sqlite3 is damaged: .* left as it is"):
            a_journal(tmp_path)
    after = {path.name: path.read_bytes() for path in journal.folder.iterdir() if path.name in before}
    assert before == after


def test_open_of_journal_cut_at_any_page_is_refused(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal:
        journal.fold([an_outcome(c) for c in journal.claim([a_recipient(f"{n}@x.y") for n in range(300)], ANY).claims])
    path = journal.folder / "journal.sqlite3"
    data = path.read_bytes()

    for cut in range(0, len(data), 1000):
        path.write_bytes(data[:cut])
        with pytest.raises(JournalDamagedError):
            a_journal(tmp_path)
    path.write_bytes(data)
    with a_journal(tmp_path) as journal:
        assert journal.counts()[State.ACCEPTED] == 300


def test_open_of_newer_journal_asks_for_update(tmp_path: Path) -> None:
    a_journal(tmp_path).close()
    with sqlite3.connect(tmp_path / "news" / "journal.sqlite3") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()

    for start in (Journal.open, Journal.rehearse):
        with pytest.raises(JournalError, match=r"newer version \(format 99, this one knows 1\)\. Update mailblast"):
            start(tmp_path, "news", clock=FakeClock())


def test_open_of_foreign_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "news").mkdir()
    with sqlite3.connect(tmp_path / "news" / "journal.sqlite3") as database:
        database.execute("CREATE TABLE recipient (id)")
    database.close()

    with pytest.raises(JournalDamagedError, match="it is not a journal"):
        a_journal(tmp_path)


def test_open_where_shared_memory_is_impossible_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_journal(tmp_path).close()

    class Cursor:
        def __init__(self, row: tuple[object, ...]) -> None:
            self.row = row

        def fetchone(self) -> tuple[object, ...]:
            return self.row

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> Any:
            return Cursor(("delete",)) if "journal_mode" in sql else super().execute(sql, *args)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **more: connect(*args, factory=Connection, **more))
    with pytest.raises(JournalError, match="local disk"):
        a_journal(tmp_path)


def test_open_without_room_for_a_new_journal_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "news" / "journal.sqlite3.new").mkdir(parents=True)

    with pytest.raises(JournalError, match="cannot be made"):
        a_journal(tmp_path)


def test_open_durable_waits_for_the_disk(tmp_path: Path) -> None:
    with a_journal(tmp_path, durable=True) as journal:
        assert (2,) == journal._table.database.execute("PRAGMA synchronous").fetchone()
    with a_journal(tmp_path) as journal:
        assert (1,) == journal._table.database.execute("PRAGMA synchronous").fetchone()


def test_outcomes_of_dead_process_are_what_its_segment_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with a_journal(tmp_path) as journal:
        claims = journal.claim([a_recipient(f"{n}@x.y", n) for n in range(4)], ANY).claims
        monkeypatch.setattr(os, "getpid", lambda: 4242)
        worker = Segment(journal.folder)
        for claim in claims[:3]:
            worker.begin(claim.id, 9, START)
        worker.commit()
        worker.finish(an_outcome(claims[0]))
        worker.finish(an_outcome(claims[2], State.UNSENT, attempts=0))
        worker.close()

        found = journal.outcomes_of(4242, claims)

        assert [State.ACCEPTED, State.IN_DOUBT, State.UNSENT, State.UNSENT] == [each.state for each in found]
        assert [claim.recipient.key for claim in claims] == [each.key for each in found]
        assert [9, 1, START] == [found[1].digest, found[1].attempts, found[1].time_s]
        journal.fold(found)
    assert [State.ACCEPTED, State.IN_DOUBT, State.UNSENT, State.UNSENT] == [each.state for each in outcomes(tmp_path)]
    assert [] == list(journal.folder.glob("segment-*"))


def test_lock_descriptor_is_the_lock(tmp_path: Path) -> None:
    with a_journal(tmp_path) as journal, Journal.rehearse(tmp_path, "news", clock=FakeClock()) as rehearsal:
        descriptor = journal.lock_descriptor()
        assert descriptor is not None
        assert os.fstat(descriptor).st_ino == (journal.folder / "lock").stat().st_ino
        assert rehearsal.lock_descriptor() is None


def test_scratch_journal_claims_and_leaves_nothing(tmp_path: Path) -> None:
    with Journal.scratch(clock=FakeClock()) as journal:
        claims = journal.claim([a_recipient()], ANY).claims
        journal.release(claims)
        assert journal._claimer.recipient(claims[0].id) is None
        assert 1 == len(journal.claim([a_recipient()], ANY).duplicates)
    assert [] == list(tmp_path.iterdir())

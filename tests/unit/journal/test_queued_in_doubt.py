"""Recipients in doubt that are queued to be sent again: once, whatever is killed, and not a third time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import State, unsent
from mailblast.model.recipient import Recipient

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mailblast.model.recipient import Claim

START = 1_700_000_000.0
FRONT = (-1.0, 0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A campaign of four, of whom two are in doubt, queued to be sent again with the other two."""
    journal = a_journal(tmp_path)
    queued(journal)
    for each in due(journal)[:2]:
        journal.segment().begin(each.id, 9, START)
    journal.segment().commit()
    kill(journal)
    with a_journal(tmp_path) as journal:
        assert 2 == journal.recovered
        assert 2 == journal.trim_queue()
        queued(journal)
        assert 4 == journal.trim_queue()
    return tmp_path


def a_journal(home: Path) -> Journal:
    journal = Journal.open(home, "news", clock=FakeClock())
    journal.begin_run(provider="smtp:mx", template_fingerprint="1", keeps_queue=True)
    return journal


def queued(journal: Journal) -> None:
    recipients = [Recipient(n, f"{n}@x.y", f"{n}@x.y", {"email": f"{n}@x.y"}, {"email": f"{n}@x.y"}) for n in range(4)]
    claims = journal.claim(recipients, ClaimPolicy(resend_in_doubt=True)).claims
    journal.fold([unsent(claim, START) for claim in claims], retry_at={claim.id: 0.0 for claim in claims})


def due(journal: Journal) -> Sequence[Claim]:
    return journal.queued_due(START, FRONT, limit=10)[0]


def kill(journal: Journal) -> None:
    """Let go of everything as the kernel does for a killed process."""
    journal._segment.close()
    journal._table.close()
    assert journal._lock is not None
    journal._lock.release()
    journal._closed = True


def test_queued_in_doubt_are_given_out_as_they_were_sent(home: Path) -> None:
    with a_journal(home) as journal:
        assert [9, 9, None, None] == [claim.digest for claim in due(journal)]


def test_queued_in_doubt_that_was_not_begun_before_a_kill_stays_queued(home: Path) -> None:
    journal = a_journal(home)
    due(journal)
    kill(journal)
    with a_journal(home) as journal:
        assert 4 == journal.trim_queue()
        assert [9, 9, None, None] == [claim.digest for claim in due(journal)]


def test_queued_in_doubt_caught_by_a_kill_is_not_given_out_again(home: Path) -> None:
    journal = a_journal(home)
    first = due(journal)[0]
    journal.segment().begin(first.id, 9, START)
    journal.segment().commit()
    kill(journal)
    with a_journal(home) as journal:
        assert 3 == journal.trim_queue()
        assert first.id not in {claim.id for claim in due(journal)}
        assert 2 == journal.counts()[State.IN_DOUBT]


def test_queued_in_doubt_whose_lost_answer_is_in_the_segment_is_not_given_out_again(home: Path) -> None:
    journal = a_journal(home)
    first = due(journal)[0]
    journal.segment().begin(first.id, 9, START)
    journal.segment().finish(unsent(first, START)._replace(state=State.IN_DOUBT, attempts=2))
    journal.segment().commit()
    kill(journal)
    with a_journal(home) as journal:
        assert 3 == journal.trim_queue()
        assert first.id not in {claim.id for claim in due(journal)}


def test_queued_in_doubt_of_whom_the_segment_was_lost_are_not_given_out_again(home: Path) -> None:
    journal = a_journal(home)
    due(journal)
    kill(journal)
    for path in journal.folder.glob("segment-*.log"):
        path.unlink()
    with a_journal(home) as journal:
        assert 0 == journal.trim_queue()
        assert {State.IN_DOUBT: 4} == {state: count for state, count in journal.counts().items() if count}


@pytest.mark.parametrize(("state", "left"), [(State.ACCEPTED, 3), (State.IN_DOUBT, 3), (State.UNSENT, 4)])
def test_queued_in_doubt_is_out_of_the_queue_with_its_outcome(home: Path, state: State, left: int) -> None:
    with a_journal(home) as journal:
        claims, places = journal.queued_due(START, FRONT, limit=10)
        done = [] if state is State.UNSENT else [places[0]]
        journal.fold([unsent(claims[0], START)._replace(state=state)], done=done)
        journal.fold([unsent(claim, START) for claim in claims[1:]])
    with a_journal(home) as journal:
        assert left == journal.trim_queue()

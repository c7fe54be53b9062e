"""What a journal answers, in earnest and in rehearsal; and between processes."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock

from mailblast.errors import CampaignLockedError
from mailblast.journal.journal import ClaimPolicy, Claims, Journal
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from pathlib import Path

START = 1_700_000_000.0
KEYS = ["accepted", "deferred", "failed", "doubt", "unsent", "marked", "settled", "claimed"]


def a_recipient(key: str, row: int = 2) -> Recipient:
    return Recipient(row, key, f"{key}@x.y", {"email": key, "name": "there"}, {"email": key})


def an_outcome(claim: Claim, state: State = State.ACCEPTED) -> Outcome:
    recipient = claim.recipient
    return Outcome(
        claim.id, recipient.key, recipient.address, recipient.row, state, START, attempts=claim.attempts + 1, digest=7
    )


def a_history(home: Path) -> None:
    """One run that ended, and one that was killed, with everything that can be found."""
    with Journal.open(home, "news", clock=FakeClock()) as journal:
        journal.begin_run(provider="x", template_fingerprint="old")
        claims = journal.claim([a_recipient(key, row) for row, key in enumerate(KEYS[:5], 2)], ClaimPolicy()).claims
        states = [State.ACCEPTED, State.DEFERRED, State.FAILED, State.IN_DOUBT, State.UNSENT]
        journal.fold([an_outcome(claim, state) for claim, state in zip(claims, states, strict=True)])
        journal.record_faults([Outcome(0, "", "bad", 9, State.INVALID, START)])
    code = f"""
import os, signal
from pathlib import Path
from mailblast.clock import SystemClock
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Recipient
journal = Journal.open(Path({str(home)!r}), "news", clock=SystemClock())
journal.begin_run(provider="x", template_fingerprint="new")
claims = journal.claim([Recipient(9, key, key + "@x.y", {{}}, {{}}) for key in {KEYS[5:]}], ClaimPolicy()).claims
journal.segment().begin(claims[0].id, 5, 1.0)
journal.segment().begin(claims[1].id, 5, 1.0)
journal.segment().commit()
journal.segment().finish(Outcome(claims[1].id, "", "", 0, State.ACCEPTED, 1.0, attempts=1))
journal.segment().flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert -signal.SIGKILL == subprocess.run([sys.executable, "-c", code], check=False, timeout=30).returncode


def picture(folder: Path) -> dict[str, str]:
    # SQLite's shared memory (-shm) is no record: it is rebuilt from the log.
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def everything(journal: Journal, policy: ClaimPolicy) -> list[Any]:
    start = journal.begin_run(provider="x", template_fingerprint="new")
    told: list[Any] = [journal.recovered, start, journal.counts()]
    first: Claims = journal.claim([a_recipient(key, row) for row, key in enumerate([*KEYS, "new"], 2)], policy)
    told += [first, journal.counts()]
    told.append(journal.claim([a_recipient(key, row) for row, key in enumerate(["new", "newer", *KEYS], 20)], policy))
    journal.record_faults([Outcome(0, "", "bad", 40, State.INVALID, START)])
    outcomes = [an_outcome(claim, State.DEFERRED) for claim in first.claims]
    journal.fold(outcomes, retry_at={outcome.id: START + outcome.id for outcome in outcomes})
    told += [journal.counts(), journal.next_due_s(), journal.due(START + 100, limit=3), journal.counts()]
    return told


@pytest.mark.parametrize(
    "policy", [ClaimPolicy(), ClaimPolicy(retry_failed=True), ClaimPolicy(resend_in_doubt=True)], ids=repr
)
def test_rehearsal_gives_the_answers_of_a_run_and_changes_nothing(tmp_path: Path, policy: ClaimPolicy) -> None:
    a_history(tmp_path)
    before = picture(tmp_path)
    with Journal.rehearse(tmp_path, "news", clock=FakeClock(START + 50)) as journal:
        rehearsed = everything(journal, policy)
        token = journal.token
    assert before == picture(tmp_path)

    with Journal.open(tmp_path, "news", clock=FakeClock(START + 50)) as journal:
        assert rehearsed == everything(journal, policy)
        assert token == journal.token
    assert rehearsed[0] == 1


def test_rehearsal_of_ended_campaign_changes_nothing_at_all(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        journal.begin_run(provider="x", template_fingerprint="old")
        journal.fold([an_outcome(c) for c in journal.claim([a_recipient("a"), a_recipient("b")], ClaimPolicy()).claims])
    names = sorted(path.name for path in (tmp_path / "news").iterdir())
    before = picture(tmp_path)

    with Journal.rehearse(tmp_path, "news", clock=FakeClock()) as journal:
        everything(journal, ClaimPolicy())

    assert names == sorted(path.name for path in (tmp_path / "news").iterdir())
    assert before == picture(tmp_path)


def test_rehearsal_of_new_campaign_makes_nothing(tmp_path: Path) -> None:
    with Journal.rehearse(tmp_path / "home", "news", clock=FakeClock()) as journal:
        rehearsed = everything(journal, ClaimPolicy())
    assert [] == list(tmp_path.iterdir())

    with Journal.open(tmp_path / "home", "news", clock=FakeClock()) as journal:
        assert rehearsed == everything(journal, ClaimPolicy())


def test_rehearsal_beside_a_run_is_not_refused(tmp_path: Path) -> None:
    with Journal.open(tmp_path, "news", clock=FakeClock()) as running:
        running.begin_run(provider="x", template_fingerprint="old")
        running.fold([an_outcome(claim) for claim in running.claim([a_recipient("a")], ClaimPolicy()).claims])
        with Journal.rehearse(tmp_path, "news", clock=FakeClock()) as journal:
            assert 1 == journal.claim([a_recipient("a")], ClaimPolicy()).skipped
        running.claim([a_recipient("b")], ClaimPolicy())


HOLD = """
import sys, time
from pathlib import Path
from mailblast.clock import SystemClock
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.recipient import Recipient
journal = Journal.open(Path(sys.argv[1]), "news", clock=SystemClock())
journal.begin_run(provider="x", template_fingerprint="new")
claims = journal.claim([Recipient(2, str(n), f"{n}@x.y", {}, {}) for n in range(3)], ClaimPolicy()).claims
journal.segment().begin(claims[0].id, 5, 1.0)
journal.segment().commit()
print("held", flush=True)
time.sleep(60)
"""


def test_second_process_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        with pytest.raises(CampaignLockedError, match=rf"Process {first.pid} on "):
            Journal.open(tmp_path, "news", clock=FakeClock())
        with JournalReader(tmp_path, "news") as reader:
            assert reader.running
            assert reader.counts()[State.SENDING] == 3
        first.kill()
        first.wait()

    with JournalReader(tmp_path, "news") as reader:
        assert not reader.running
        assert [1, 2] == [reader.counts()[state] for state in (State.IN_DOUBT, State.UNSENT)]
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        assert journal.recovered == 1
        journal.begin_run(provider="x", template_fingerprint="new")
        claims = journal.claim([a_recipient(str(n)) for n in range(3)], ClaimPolicy())
        assert (["1", "2"], 1) == ([claim.recipient.key for claim in claims.claims], claims.held)


FILL = """
import resource, sys
from pathlib import Path
from mailblast.clock import SystemClock
from mailblast.errors import JournalError
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Recipient
journal = Journal.open(Path(sys.argv[1]), "news", clock=SystemClock())
journal.begin_run(provider="x", template_fingerprint="new")
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
accepted = 0
try:
    for n in range(10_000):
        claims = journal.claim([Recipient(2, f"{n}-{m}", "a@x.y", {}, {}) for m in range(10)], ClaimPolicy()).claims
        for claim in claims:
            journal.segment().begin(claim.id, 5, 1.0)
        journal.segment().commit()
        for claim in claims:
            # From here on the provider has it.
            accepted += 1
            journal.segment().finish(Outcome(claim.id, "", "", 0, State.ACCEPTED, 1.0, attempts=1))
        journal.segment().flush()
        if n % 3 == 0:
            journal.fold([Outcome(claim.id, "", "", 0, State.ACCEPTED, 1.0, attempts=1) for claim in claims])
except JournalError as error:
    print(accepted, str(error).replace(chr(10), "|"), flush=True)
try:
    journal.close()
except JournalError:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
"""


@pytest.mark.parametrize("limit", [40_000, 100_000, 300_000])
def test_disk_full_stops_in_one_line_and_loses_nothing(tmp_path: Path, limit: int) -> None:
    """A limit on the length of files stands for the full disk: write() fails with part of the data written."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path), str(limit)], capture_output=True, text=True, check=False, timeout=50
    )

    assert done.stderr == ""
    accepted, _, message = done.stdout.partition(" ")
    assert "|" not in message
    assert str(tmp_path / "news") in message
    with Journal.open(tmp_path, "news", clock=FakeClock()) as journal:
        counts = journal.counts()
        # Those of the last group whose outcome found no room are in doubt; nobody is free to be sent again.
        assert int(accepted) == counts[State.ACCEPTED] + counts[State.IN_DOUBT]
        assert counts[State.IN_DOUBT] <= 10
        assert counts[State.UNSENT] <= 10
        assert counts[State.SENDING] == 0

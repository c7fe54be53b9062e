from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Recipient
from mailblast.report.summary import rfc3339, summarise

if TYPE_CHECKING:
    from pathlib import Path

KEYS = ["campaign", "state", "rows", "counts", "provider", "started", "finished", "duration_s", "rate_per_s", "grade"]


def a_journal(home: Path, clock: FakeClock) -> Journal:
    journal = Journal.open(home, "news", clock=clock)
    journal.begin_run(provider="smtp:mx", template_fingerprint="1")
    return journal


def send(journal: Journal, *states: State) -> None:
    recipients = [Recipient(n, f"{n}@x.y", f"{n}@x.y", {}, {}) for n in range(len(states))]
    claims = journal.claim(recipients, ClaimPolicy()).claims
    journal.fold(
        [
            Outcome(claim.id, claim.recipient.key, claim.recipient.address, claim.recipient.row, state, 1.0, attempts=1)
            for claim, state in zip(claims, states, strict=True)
        ]
    )


@pytest.mark.parametrize(
    ("states", "exit_code", "whole_list", "expected"),
    [
        ([State.ACCEPTED], 0, True, "complete"),
        ([State.ACCEPTED, State.FAILED, State.IN_DOUBT, State.SUPPRESSED], 1, True, "complete"),
        ([], 0, True, "complete"),
        ([State.ACCEPTED], 0, False, "resumable"),
        ([State.DEFERRED], 1, True, "resumable"),
        ([State.UNSENT], 130, True, "resumable"),
        ([State.ACCEPTED], 130, True, "resumable"),
        ([State.ACCEPTED], 3, True, "resumable"),
        ([State.UNSENT], 4, True, "stopped"),
        ([State.ACCEPTED], None, True, "resumable"),
    ],
)
def test_summary_after_a_run_tells_how_the_campaign_stands(
    tmp_path: Path, states: list[State], exit_code: int | None, *, whole_list: bool, expected: str
) -> None:
    with a_journal(tmp_path, FakeClock()) as journal:
        send(journal, *states)
        if exit_code is not None:
            journal.end_run(counts={}, rows=len(states), exit_code=exit_code, whole_list=whole_list)
    with JournalReader(tmp_path, "news") as reader:
        assert expected == summarise(reader).state


def test_summary_without_any_run_is_resumable(tmp_path: Path) -> None:
    Journal.open(tmp_path, "news", clock=FakeClock()).close()
    with JournalReader(tmp_path, "news") as reader:
        summary = summarise(reader)
    assert ("resumable", 0, "", None, None, None, 0.0, 0) == (
        summary.state,
        summary.rows,
        summary.provider,
        summary.started_s,
        summary.finished_s,
        summary.duration_s,
        summary.rate_per_s,
        summary.runs,
    )
    assert None is summary.to_json()["started"]


def test_summary_of_ended_run_has_the_shape_that_scripts_rely_on(tmp_path: Path) -> None:
    clock = FakeClock(1_700_000_000.0)
    with a_journal(tmp_path, clock) as journal:
        send(journal, State.ACCEPTED, State.ACCEPTED, State.FAILED)
        journal.record_faults([Outcome(0, "", "", 9, State.INVALID, 1.0)])
        clock.advance(4.5)
        journal.end_run(counts={State.ACCEPTED: 2, State.FAILED: 1}, rows=4, exit_code=1, grade="B")
    with JournalReader(tmp_path, "news") as reader:
        told = json.loads(json.dumps(summarise(reader).to_json()))
    zero = {state.value: 0 for state in State}
    assert {
        "campaign": "news",
        "state": "complete",
        "rows": 4,
        "counts": zero | {"accepted": 2, "failed": 1, "invalid": 1},
        "this_run": {"rows": 4, "counts": zero | {"accepted": 2, "failed": 1}},
        "provider": "smtp:mx",
        "started": "2023-11-14T22:13:20Z",
        "finished": "2023-11-14T22:13:24.500Z",
        "duration_s": 4.5,
        "rate_per_s": 0.444,
        "grade": "B",
        "exit_code": 1,
        "runs": 1,
    } == told
    assert set(KEYS) < set(told)


def test_summary_beside_a_run_is_running(tmp_path: Path) -> None:
    clock = FakeClock(1000.0)
    with a_journal(tmp_path, clock) as journal:
        journal.note_progress(counts={State.ACCEPTED: 30}, rows=30)
        with JournalReader(tmp_path, "news") as reader:
            summary = summarise(reader, now_s=1010.0)
            assert summarise(reader).duration_s is None
    assert ("running", 10.0, 3.0, None, None) == (
        summary.state,
        summary.duration_s,
        summary.rate_per_s,
        summary.finished_s,
        summary.exit_code,
    )


def test_rfc3339_has_milliseconds_only_where_there_are_any() -> None:
    assert "1970-01-01T00:00:05Z" == rfc3339(5.0)
    assert "1970-01-01T00:00:05.250Z" == rfc3339(5.25)

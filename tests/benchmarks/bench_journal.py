"""What the journal costs a run, for each recipient, and how long the resume of a large one takes.

The number of recipients is ``MAILBLAST_BENCH_ROWS``, by default 200,000; budgets hold at a million.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailblast.clock import SystemClock
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

# Taken at import: tests run with an environment of their own.
ROWS = int(os.environ.get("MAILBLAST_BENCH_ROWS", "200000"))
BATCH = 100
GROUP = 5

CLAIM_BUDGET_US = 12.0
SEGMENT_BUDGET_US = 6.0
FOLD_BUDGET_US = 7.0
RESUME_BUDGET_US = 7.0
MEMORY_BUDGET_MB = 100


def batches() -> Iterator[list[Recipient]]:
    for start in range(0, ROWS, BATCH):
        recipients = []
        for row in range(start, min(start + BATCH, ROWS)):
            # Multiplied so that the keys come in no order.
            key = f"user{row * 2_654_435_761 % 2**32}@example{row % 97}.com"
            fields = {"email": key, "name": "Ann"}
            recipients.append(Recipient(row + 2, key, key, fields, fields))
        yield recipients


def an_outcome(claim: Claim) -> Outcome:
    recipient = claim.recipient
    return Outcome(
        claim.id,
        recipient.key,
        recipient.address,
        recipient.row,
        State.ACCEPTED,
        1_700_000_000.123,
        "smtp:mx.example.com",
        250,
        "2.0.0",
        "2.0.0 Ok: queued as 4XyZabc123",
        1,
        0.0123,
        "",
        "4XyZabc123",
        123_456_789,
    )


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_journal_costs_at_most_its_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spent = dict.fromkeys(("claim", "segment", "fold"), 0.0)
    clock, timer = SystemClock(), time.perf_counter
    before_mb = resident_mb()
    with Journal.open(tmp_path, "bench", clock=clock) as journal:
        journal.begin_run(provider="bench", template_fingerprint="1")
        segment, policy = journal.segment(), ClaimPolicy()
        for recipients in batches():
            at = timer()
            claims = journal.claim(recipients, policy).claims
            spent["claim"] += timer() - at
            outcomes = [an_outcome(claim) for claim in claims]
            at = timer()
            for start in range(0, len(outcomes), GROUP):
                group = outcomes[start : start + GROUP]
                for outcome in group:
                    segment.begin(outcome.id, 123_456_789, outcome.time_s)
                segment.commit()
                for outcome in group:
                    segment.finish(outcome)
            spent["segment"] += timer() - at
            at = timer()
            journal.fold(outcomes)
            spent["fold"] += timer() - at
        used_mb = resident_mb() - before_mb

    at = timer()
    skipped = 0
    with Journal.open(tmp_path, "bench", clock=clock) as journal:
        journal.begin_run(provider="bench", template_fingerprint="1")
        spent["resume"] = timer() - at
        for recipients in batches():
            at = timer()
            skipped += journal.claim(recipients, policy).skipped
            spent["resume"] += timer() - at
    assert skipped == ROWS

    cost_us = {name: seconds / ROWS * 1e6 for name, seconds in spent.items()}
    with capsys.disabled():
        told = ", ".join(f"{name} {cost:.2f} us" for name, cost in cost_us.items())
        print(f"\njournal, {ROWS:,} recipients: {told}; {used_mb:.0f} MB")
    assert cost_us["claim"] <= CLAIM_BUDGET_US
    assert cost_us["segment"] <= SEGMENT_BUDGET_US
    assert cost_us["fold"] <= FOLD_BUDGET_US
    assert cost_us["resume"] <= RESUME_BUDGET_US
    assert used_mb <= MEMORY_BUDGET_MB

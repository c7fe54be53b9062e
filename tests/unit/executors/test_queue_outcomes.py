"""Outcomes as they travel from workers to the journal."""

from __future__ import annotations

from mailblast.executors.queue.outcomes import from_text
from mailblast.journal.records import outcome_json
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

CLAIM = Claim(7, Recipient(12, "key 7", "a@b.co", {"email": "a@b.co"}, {"email": "a@b.co"}), 1_700_000_000)
ACCEPTED = Outcome(
    id=7,
    key="key 7",
    address="a@b.co",
    row=12,
    state=State.ACCEPTED,
    time_s=1_700_000_000.25,
    provider="smtp:mx",
    code=250,
    enhanced="2.0.0",
    text='2.0.0 Ok: "quoted", é',
    attempts=2,
    duration_s=0.125,
    provider_id="4XyZ",
    digest=2**32 - 1,
)
FAILED = ACCEPTED._replace(id=8, state=State.FAILED, code=550, enhanced="5.1.1", text="5.1.1 No", fields={"email": "é"})


def test_outcomes_come_back_with_the_names_of_their_claims() -> None:
    text = f"{outcome_json(ACCEPTED)},{outcome_json(FAILED)}".encode("ascii")
    claims = {7: CLAIM, 8: CLAIM._replace(id=8)}
    assert [ACCEPTED, FAILED] == list(from_text(text, claims))


def test_outcomes_of_unknown_claims_come_back_without_names() -> None:
    nobody = ACCEPTED._replace(key="", address="", row=0)
    assert [nobody] == list(from_text(outcome_json(ACCEPTED).encode("ascii"), {8: CLAIM}))


def test_no_text_gives_no_outcomes() -> None:
    assert [] == list(from_text(b"", {}))

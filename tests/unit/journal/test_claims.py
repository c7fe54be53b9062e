"""Who may be sent to, by what is on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock

from mailblast.journal import table
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

START = 1_700_000_000


def a_recipient(key: str = "ann@example.com", row: int = 2, address: str = "", **variables: object) -> Recipient:
    fields = {"email": address or key}
    return Recipient(row, key, address or key, {**fields, "name": "Ann", **variables}, fields)


def an_outcome(claim: Claim, state: State = State.ACCEPTED, **changes: Any) -> Outcome:
    recipient = claim.recipient
    attempts = claim.attempts + (state is not State.UNSENT)
    outcome = Outcome(
        claim.id, recipient.key, recipient.address, recipient.row, state, START + 0.5, "smtp:mx", attempts=attempts
    )
    return outcome._replace(**changes)


class Campaign:
    """Runs of one campaign, one after the other."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock(START)
        self.home = home
        self.journal = self._open()

    def _open(self) -> Journal:
        journal = Journal.open(self.home, "news", clock=self.clock)
        journal.begin_run(provider="smtp:mx", template_fingerprint="1")
        return journal

    def next_run(self, after_s: float = 100.0) -> None:
        self.journal.close()
        self.clock.advance(after_s)
        self.journal = self._open()

    def claim(self, *recipients: Recipient, **policy: bool) -> Sequence[Claim]:
        return self.journal.claim(recipients, ClaimPolicy(**policy)).claims


@pytest.fixture
def campaign(tmp_path: Path) -> Iterator[Campaign]:
    campaign = Campaign(tmp_path)
    yield campaign
    campaign.journal.close()


def test_claim_of_new_keys_numbers_them_from_one(campaign: Campaign) -> None:
    one, two = a_recipient("a@x.y", 2), a_recipient("b@x.y", 3)

    assert (Claim(1, one, START), Claim(2, two, START)) == campaign.claim(one, two)
    (three,) = campaign.claim(a_recipient("c@x.y", 4))
    assert three.id == 3


def test_claim_of_nothing_is_nothing(campaign: Campaign) -> None:
    assert ((), (), 0, 0) == campaign.journal.claim([], ClaimPolicy())


@pytest.mark.parametrize("state", [State.DEFERRED, State.UNSENT, State.SUPPRESSED, State.INVALID])
def test_claim_of_open_state_claims_again_with_its_attempts(campaign: Campaign, state: State) -> None:
    (first,) = campaign.claim(a_recipient())
    campaign.journal.fold([an_outcome(first, state, attempts=3)])
    campaign.next_run()

    (again,) = campaign.claim(a_recipient(row=9))

    assert (first.id, 3, None) == (again.id, again.attempts, again.digest)
    assert again.recipient.row == 9


@pytest.mark.parametrize(
    ("state", "policy", "claimed", "skipped", "held"),
    [
        (State.ACCEPTED, ClaimPolicy(), 0, 1, 0),
        (State.ACCEPTED, ClaimPolicy(retry_failed=True, resend_in_doubt=True), 0, 1, 0),
        (State.FAILED, ClaimPolicy(resend_in_doubt=True), 0, 1, 0),
        (State.FAILED, ClaimPolicy(retry_failed=True), 1, 0, 0),
        (State.IN_DOUBT, ClaimPolicy(retry_failed=True), 0, 1, 1),
        (State.IN_DOUBT, ClaimPolicy(resend_in_doubt=True), 1, 0, 0),
    ],
)
def test_claim_of_settled_state_follows_the_policy(
    campaign: Campaign, state: State, policy: ClaimPolicy, claimed: int, skipped: int, held: int
) -> None:
    campaign.journal.fold([an_outcome(campaign.claim(a_recipient())[0], state)])
    campaign.next_run()

    claims = campaign.journal.claim([a_recipient()], policy)

    assert (claimed, 0, skipped, held) == (len(claims.claims), len(claims.duplicates), claims.skipped, claims.held)


def test_claim_in_doubt_to_be_sent_again_brings_digest_and_date(campaign: Campaign) -> None:
    (first,) = campaign.claim(a_recipient())
    campaign.journal.fold([an_outcome(first, State.IN_DOUBT, digest=77)])
    campaign.next_run()

    (again,) = campaign.claim(a_recipient(), resend_in_doubt=True)

    assert (first.id, START, 1, 77) == (again.id, again.dated_s, again.attempts, again.digest)


@pytest.mark.parametrize("state", [State.UNSENT, State.DEFERRED, State.SUPPRESSED, State.INVALID, None])
def test_claim_in_doubt_that_gets_no_answer_stays_in_doubt(campaign: Campaign, state: State | None) -> None:
    campaign.journal.fold([an_outcome(campaign.claim(a_recipient())[0], State.IN_DOUBT, digest=77)])
    campaign.next_run()
    (again,) = campaign.claim(a_recipient(), resend_in_doubt=True)
    if state is not None:
        campaign.journal.fold([an_outcome(again, state)])
    campaign.next_run()

    claims = campaign.journal.claim([a_recipient()], ClaimPolicy())

    assert ((), 1) == (claims.claims, claims.held)
    assert campaign.journal.counts()[State.IN_DOUBT] == 1


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FAILED])
def test_claim_in_doubt_that_gets_an_answer_is_settled_by_it(campaign: Campaign, state: State) -> None:
    campaign.journal.fold([an_outcome(campaign.claim(a_recipient())[0], State.IN_DOUBT, digest=77)])
    campaign.next_run()
    campaign.journal.fold([an_outcome(campaign.claim(a_recipient(), resend_in_doubt=True)[0], state)])

    assert campaign.journal.counts()[state] == 1


@pytest.mark.parametrize(
    ("state", "attempts", "dated_s"),
    [(State.UNSENT, 0, START + 100), (State.DEFERRED, 1, START), (State.UNSENT, 2, START)],
)
def test_claim_is_dated_anew_only_while_no_attempt_was_made(
    campaign: Campaign, state: State, attempts: int, dated_s: int
) -> None:
    campaign.journal.fold([an_outcome(campaign.claim(a_recipient())[0], state, attempts=attempts)])
    campaign.next_run(100)

    assert dated_s == campaign.claim(a_recipient())[0].dated_s


def test_claim_of_key_seen_in_this_run_is_a_duplicate_that_names_the_first_row(campaign: Campaign) -> None:
    campaign.claim(a_recipient(row=5))
    second = a_recipient(row=8, extra=1)

    claims = campaign.journal.claim([second, a_recipient("b@x.y", 9), a_recipient("b@x.y", 10)], ClaimPolicy())

    first, last = claims.duplicates
    assert (0, State.DUPLICATE, 8, second.fields) == (first.id, first.state, first.row, first.fields)
    assert first.text == "The key ann@example.com was seen before, in row 5."
    assert last.text == "The key b@x.y was seen before, in row 9."
    assert [9] == [claim.recipient.row for claim in claims.claims]


def test_claim_of_key_settled_by_an_earlier_run_is_a_duplicate_only_the_second_time(campaign: Campaign) -> None:
    campaign.journal.fold([an_outcome(campaign.claim(a_recipient(row=2))[0])])
    campaign.next_run()

    claims = campaign.journal.claim([a_recipient(row=30), a_recipient(row=31)], ClaimPolicy())

    assert (1, 0) == (claims.skipped, len(claims.claims))
    assert ["The key ann@example.com was seen before, in row 30."] == [each.text for each in claims.duplicates]


def test_claim_of_rows_inserted_removed_and_reordered_goes_by_key(campaign: Campaign) -> None:
    first = campaign.claim(*[a_recipient(f"{n}@x.y", n + 2) for n in range(5)])
    campaign.journal.fold([an_outcome(claim) for claim in first[:3]])
    campaign.next_run()

    order = ["4@x.y", "new@x.y", "1@x.y", "0@x.y", "3@x.y"]
    again = campaign.claim(*[a_recipient(key, row) for row, key in enumerate(order, 2)])

    assert ["4@x.y", "new@x.y", "3@x.y"] == [claim.recipient.key for claim in again]
    assert [5, 6, 4] == [claim.id for claim in again]


def test_claim_with_key_apart_from_address_takes_the_new_address(campaign: Campaign) -> None:
    (first,) = campaign.claim(a_recipient("INV-1", address="old@x.y"))
    campaign.journal.fold([an_outcome(first, State.DEFERRED)])
    campaign.next_run()
    campaign.claim(a_recipient("INV-1", address="new@x.y"))

    (outcome,) = campaign.journal._table.outcomes([State.SENDING])
    assert ("INV-1", "new@x.y") == (outcome.key, outcome.address)


def test_claim_is_found_before_and_after_the_key_index_is_brought_up_to_date(
    campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_INDEX_AT", 7)
    monkeypatch.setattr(table, "_KEYS_AT_ONCE", 3)
    keys = [f"{n}@x.y" for n in range(20)]
    for start in range(0, 20, 5):
        campaign.claim(*[a_recipient(key) for key in keys[start : start + 5]])

    claims = campaign.journal.claim([a_recipient(key, 99) for key in keys], ClaimPolicy())

    assert 20 == len(claims.duplicates)
    assert ((), 0) == (claims.claims, claims.skipped)


def test_claim_of_keys_with_the_same_hash_keeps_them_apart(campaign: Campaign, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "key_hash", lambda _: 1)
    campaign.journal._table.database.create_function("key_hash", 1, lambda _: 1)
    campaign.claim(a_recipient("a@x.y"))
    campaign.journal._table.index()
    campaign.claim(a_recipient("b@x.y"))
    campaign.journal._table.index()

    claims = campaign.journal.claim([a_recipient(key) for key in ("a@x.y", "b@x.y", "c@x.y")], ClaimPolicy())

    assert (2, 1) == (len(claims.duplicates), len(claims.claims))


@pytest.mark.parametrize(
    "key", ["a\0b", "a\nb", "'; DROP TABLE recipient; --", "é", "e\u0301", "\ud800", "A", "a", " a"]
)
def test_claim_of_hostile_key_is_its_own(campaign: Campaign, key: str) -> None:
    others = ["a\0c", "E\u0301", "plain"]
    claims = campaign.claim(*[a_recipient(each) for each in [key, *others]])
    assert len(claims) == 4
    campaign.journal.fold([an_outcome(claims[0])])
    campaign.next_run()

    claims = campaign.claim(*[a_recipient(each) for each in [*others, key]])

    assert others == [claim.recipient.key for claim in claims]

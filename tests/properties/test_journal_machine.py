"""A run that is killed anywhere, again and again: nobody is lost, nobody is mailed twice.

The real journal on real files, with two processes' segments that are replaced often. A kill keeps what was written
and nothing else; it may cut the write that it interrupts at any byte.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fakes import FakeClock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mailblast.journal import table
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.journal.segment import Segment
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient

KEYS = [f"{name}@example.com" for name in "abcdefghij"]
OPEN = {State.UNSENT, State.DEFERRED, State.SUPPRESSED, State.INVALID, State.SENDING}
WORKER_PID = 99_999_999


class Campaign(RuleBasedStateMachine):
    @initialize()
    def start(self) -> None:
        self.home = Path(tempfile.mkdtemp())
        self.kills = 0
        self.clock = FakeClock()
        #: What the journal must say about each key.
        self.states: dict[str, State] = {}
        self.attempts: dict[str, int] = {}
        #: Keys of messages that have reached the provider, and may have been read.
        self.delivered: dict[str, int] = {}
        self.allowed: dict[str, int] = {}
        self.dated: dict[str, int] = {}
        self.open()

    def open(self) -> None:
        self.clock.advance(60)
        self.journal = Journal.open(self.home, "c", clock=self.clock)
        self.journal.begin_run(provider="x", template_fingerprint="t")
        with patch("os.getpid", lambda: WORKER_PID):
            worker = Segment(self.journal.folder)
        self.segments = [self.journal.segment(), worker]
        for segment in self.segments:
            # The first line and one mark: nearly every group that is written begins a new file.
            segment._roll_at = segment._roll_limit = 80
        self.seen: set[str] = set()
        self.claims: dict[int, Claim] = {}
        #: Of claims: begun in this segment; on file as begun; answered, with the outcome; answer on file.
        self.begun: dict[int, int] = {}
        self.marked: set[int] = set()
        self.answered: dict[int, Outcome] = {}
        self.answer_on_file: dict[int, Outcome] = {}
        #: What is buffered in each segment, in order.
        self.buffered: list[list[tuple[str, int]]] = [[], []]
        self.waiting: dict[int, float] = {}

    def claim_of(self, data: st.DataObject, ids: list[int]) -> Claim:
        return self.claims[data.draw(st.sampled_from(sorted(ids)))]

    # What a run does.

    @rule(
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6),
        retry_failed=st.booleans(),
        resend_in_doubt=st.sampled_from([False, False, False, True]),
    )
    def claim(self, keys: list[str], *, retry_failed: bool, resend_in_doubt: bool) -> None:
        self.clock.advance(1)
        recipients = [
            Recipient(row, key, key, {"email": key, "n": row}, {"email": key}) for row, key in enumerate(keys)
        ]
        policy = ClaimPolicy(retry_failed=retry_failed, resend_in_doubt=resend_in_doubt)
        claims = self.journal.claim(recipients, policy)
        assert len(keys) == len(claims.claims) + len(claims.duplicates) + claims.skipped

        expected, held = [], 0
        for key in keys:
            state = self.states.get(key)
            if key in self.seen:
                continue
            self.seen.add(key)
            held += state is State.IN_DOUBT and not resend_in_doubt
            if (
                state is None
                or state in OPEN
                or (state is State.FAILED and retry_failed)
                or (state is State.IN_DOUBT and resend_in_doubt)
            ):
                expected.append(key)
        assert expected == [claim.recipient.key for claim in claims.claims]
        assert held == claims.held
        for claim in claims.claims:
            self.take(claim)

    def take(self, claim: Claim) -> None:
        key = claim.recipient.key
        if self.states.get(key) is State.IN_DOUBT:
            self.allowed[key] = self.allowed.get(key, 1) + 1
        else:
            assert claim.digest is None
            self.states[key] = State.SENDING
        assert self.attempts.get(key, 0) == claim.attempts
        if claim.attempts:
            assert self.dated[key] == claim.dated_s
        self.dated[key] = claim.dated_s
        self.claims[claim.id] = claim

    @precondition(lambda self: self.claims.keys() - self.begun.keys() - self.answered.keys())
    @rule(data=st.data(), segment=st.integers(0, 1))
    def begin(self, data: st.DataObject, segment: int) -> None:
        claim = self.claim_of(data, [*(self.claims.keys() - self.begun.keys() - self.answered.keys())])
        self.segments[segment].begin(claim.id, 7, self.clock.now())
        self.begun[claim.id] = segment
        self.buffered[segment].append(("mark", claim.id))

    @rule(segment=st.integers(0, 1), reaches=st.integers(0, 63))
    def commit(self, segment: int, reaches: int) -> None:
        """Write the group; then its messages leave, and some of them reach the provider."""
        self.segments[segment].commit()
        for n, (kind, claim_id) in enumerate(self.buffered[segment]):
            self.on_file(kind, claim_id)
            # Answered already if it was taken back before the group was written.
            if kind == "mark" and claim_id not in self.answered and reaches >> n & 1:
                key = self.claims[claim_id].recipient.key
                self.delivered[key] = self.delivered.get(key, 0) + 1
                assert self.delivered[key] <= self.allowed.get(key, 1)
                self.claims[claim_id] = self.claims[claim_id]._replace(digest=1)
        self.buffered[segment].clear()

    def on_file(self, kind: str, claim_id: int) -> None:
        if kind == "mark":
            self.marked.add(claim_id)
        elif kind == "void":
            self.marked.discard(claim_id)
        else:
            self.answer_on_file[claim_id] = self.answered[claim_id]

    def reached(self, claim: Claim) -> bool:
        return claim.digest == 1

    @precondition(lambda self: self.begun.keys() - self.answered.keys())
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        claim = self.claim_of(data, [*(self.begun.keys() - self.answered.keys())])
        if claim.id in self.marked and self.reached(claim):
            state = data.draw(st.sampled_from([State.ACCEPTED, State.ACCEPTED, State.IN_DOUBT]))
        else:
            states = [State.DEFERRED, State.FAILED, State.UNSENT]
            state = data.draw(st.sampled_from([*states, State.IN_DOUBT] if claim.id in self.marked else states))
        self.finish(claim, state, segment=self.begun[claim.id])

    @precondition(lambda self: self.claims.keys() - self.begun.keys() - self.answered.keys())
    @rule(data=st.data(), state=st.sampled_from([State.UNSENT, State.SUPPRESSED, State.INVALID]))
    def never_begin(self, data: st.DataObject, state: State) -> None:
        self.finish(self.claim_of(data, [*(self.claims.keys() - self.begun.keys() - self.answered.keys())]), state)

    def finish(self, claim: Claim, state: State, segment: int | None = None) -> None:
        recipient = claim.recipient
        attempts = claim.attempts + (state in {State.ACCEPTED, State.FAILED, State.DEFERRED, State.IN_DOUBT})
        self.answered[claim.id] = outcome = Outcome(
            claim.id, recipient.key, recipient.address, recipient.row, state, self.clock.now(), attempts=attempts
        )
        if segment is not None:
            self.segments[segment].finish(outcome)
            self.buffered[segment].append(("answer", claim.id))

    @precondition(lambda self: any(i in self.marked and not self.reached(self.claims[i]) for i in self.unanswered()))
    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        ids = [each for each in self.unanswered() if each in self.marked and not self.reached(self.claims[each])]
        claim = self.claim_of(data, ids)
        segment = self.begun.pop(claim.id)
        self.segments[segment].revoke(claim.id)
        self.segments[segment].flush()
        for kind, claim_id in self.buffered[segment]:
            self.on_file(kind, claim_id)
        # Other marks of that group are on file; their messages never got away.
        self.buffered[segment].clear()
        self.marked.discard(claim.id)

    def unanswered(self) -> set[int]:
        return self.begun.keys() - self.answered.keys()

    @precondition(lambda self: self.answered)
    @rule(data=st.data(), again_after=st.sampled_from([None, 5.0, 500.0]))
    def fold(self, data: st.DataObject, again_after: float | None) -> None:
        ids = data.draw(st.lists(st.sampled_from(sorted(self.answered)), min_size=1, unique=True))
        outcomes = [self.answered[claim_id] for claim_id in ids]
        retry_at = {}
        if again_after is not None:
            retry_at = {o.id: self.clock.now() + again_after for o in outcomes if o.state is State.DEFERRED}
        for segment in self.segments:
            segment.flush()
        for buffered in self.buffered:
            for kind, claim_id in buffered:
                self.on_file(kind, claim_id)
            buffered.clear()
        self.journal.fold(outcomes, retry_at=retry_at)
        self.segments[1].settled(ids)
        for outcome in outcomes:
            self.settle(outcome)
            for kept in (self.claims, self.begun, self.answered, self.answer_on_file):
                kept.pop(outcome.id, None)
            self.marked.discard(outcome.id)
        self.waiting |= retry_at

    def settle(self, outcome: Outcome) -> None:
        key = self.claims[outcome.id].recipient.key
        if self.states[key] is not State.IN_DOUBT or outcome.state in {State.ACCEPTED, State.FAILED}:
            self.states[key] = outcome.state
        self.attempts[key] = outcome.attempts

    @precondition(lambda self: self.waiting)
    @rule(seconds=st.sampled_from([1, 100, 1000]), limit=st.integers(1, 4))
    def due(self, seconds: int, limit: int) -> None:
        self.clock.advance(seconds)
        claims = self.journal.due(self.clock.now(), limit=limit)
        ready = sorted((at, claim_id) for claim_id, at in self.waiting.items() if at <= self.clock.now())
        assert [claim_id for _, claim_id in ready[:limit]] == [claim.id for claim in claims]
        for claim in claims:
            del self.waiting[claim.id]
            key = claim.recipient.key
            if self.states[key] is State.IN_DOUBT:
                # Chosen to be sent again once; a further attempt is the same choice.
                self.allowed[key] -= 1
            self.take(claim)

    # What ends it.

    @precondition(lambda self: self.marked or any(self.buffered))
    @rule(segment=st.integers(0, 1), cut=st.floats(0, 1))
    def kill(self, segment: int, cut: float) -> None:
        """Stop dead, perhaps in the middle of a write that has not returned, so that its messages are still here."""
        lines = self.segments[segment]._pending
        data = b"".join(lines)[: int(cut * sum(map(len, lines)))]
        os.write(self.segments[segment]._descriptor, data)
        length = 0
        for line, (kind, claim_id) in zip(lines, self.buffered[segment], strict=True):
            length += len(line)
            # A record is whole without its line feed.
            if length - 1 <= len(data):
                self.on_file(kind, claim_id)
        folder = self.journal.folder
        self.kills += 1
        home = self.home.with_name(f"{self.home.name}-{self.kills}")
        shutil.copytree(folder, home / "c")
        self.let_go()
        shutil.rmtree(self.home)
        self.home = home
        in_doubt = self.expect_after_kill()
        self.open()
        assert in_doubt == self.journal.recovered

    def let_go(self) -> None:
        for segment in self.segments:
            segment._pending.clear()
            segment.close()
        self.journal._table.close()
        assert self.journal._lock is not None
        self.journal._lock.release()
        self.journal._closed = True

    def expect_after_kill(self) -> int:
        in_doubt = 0
        for claim_id, claim in self.claims.items():
            key = claim.recipient.key
            if claim_id in self.answer_on_file:
                self.settle(self.answer_on_file[claim_id])
            elif self.states[key] is State.IN_DOUBT:
                continue
            elif claim_id in self.marked:
                in_doubt += 1
                self.states[key] = State.IN_DOUBT
                self.attempts[key] = claim.attempts + 1
            else:
                self.states[key] = State.UNSENT
        assert in_doubt <= len(self.marked)
        return in_doubt

    @precondition(lambda self: self.answered)
    @rule()
    def end(self) -> None:
        """End in an orderly way, though perhaps in the middle: what is open is settled by ``close()``."""
        self.segments[1].close()
        for buffered in self.buffered:
            for kind, claim_id in buffered:
                self.on_file(kind, claim_id)
        self.journal.close()
        self.expect_after_kill()
        assert [] == [*self.journal.folder.glob("segment-*")]
        self.open()
        assert self.journal.recovered == 0

    # What always holds.

    @invariant()
    def the_journal_says_what_happened(self) -> None:
        counts = self.journal.counts()
        assert {state: [*self.states.values()].count(state) for state in State} == counts
        assert len(self.states) == sum(counts.values())

    @invariant()
    def whoever_may_have_it_is_not_free(self) -> None:
        for key, state in self.states.items():
            if self.delivered.get(key) and state in OPEN - {State.SENDING}:
                assert key in {claim.recipient.key for claim in self.claims.values()}

    @invariant()
    def segments_stay_short(self) -> None:
        for segment in self.segments:
            assert segment.path.stat().st_size < 6000

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.let_go()
            shutil.rmtree(self.home)


class CampaignOfManyIndexings(Campaign):
    """The same with the key index brought up to date all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.patch: Any = patch.object(table, "_INDEX_AT", 3)
        self.patch.start()

    def teardown(self) -> None:
        self.patch.stop()
        super().teardown()


TestCampaign = Campaign.TestCase
TestCampaign.settings = settings(stateful_step_count=40)
TestCampaignOfManyIndexings = CampaignOfManyIndexings.TestCase
TestCampaignOfManyIndexings.settings = settings(stateful_step_count=40)

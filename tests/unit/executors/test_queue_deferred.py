from __future__ import annotations

import random

from fakes import FakeClock

from mailblast.delivery.retry import deferred_delay_s
from mailblast.executors.queue.deferred import Deferred
from mailblast.model.outcome import Outcome, State
from mailblast.model.recipient import Claim, Recipient


def a_claim(number: int) -> Claim:
    return Claim(number, Recipient(number, f"k{number}", f"u{number}@x.test", {}, {}), 0, 0, 0)


def an_outcome(number: int, state: State, attempts: int = 1) -> Outcome:
    return Outcome(number, "k", "a@x.test", 1, state, 0.0, attempts=attempts, retry_after_s=60.0 * number)


def test_deferred_recipients_of_a_batch_are_tried_again_after_the_longest_of_their_delays() -> None:
    clock = FakeClock()
    deferred = Deferred(clock.now() + 86_400, clock, random.Random(1))
    outcomes = [an_outcome(1, State.DEFERRED, 2), an_outcome(2, State.ACCEPTED), an_outcome(90, State.DEFERRED)]
    assert all(deferred.is_tried_again(each) for each in outcomes if each.state is State.DEFERRED)
    later, delay_s = deferred.take([a_claim(1), a_claim(2), a_claim(90)], outcomes)
    assert [(1, 2), (90, 1)] == [(claim.id, claim.attempts) for claim in later]
    chance = random.Random(1)
    delays = [deferred_delay_s(2, chance.random(), 60.0), deferred_delay_s(1, chance.random(), 5400.0)]
    assert max(delays) == delay_s
    assert delays[0] != delays[1]
    # They are told once.
    assert ([], 0.0) == deferred.take([a_claim(1)], outcomes[:1])


def test_deferred_recipient_beyond_the_patience_is_not_tried_again() -> None:
    clock = FakeClock()
    deferred = Deferred(clock.now() + 60, clock, random.Random(1))
    assert not deferred.is_tried_again(an_outcome(2, State.DEFERRED))
    assert ([], 0.0) == deferred.take([a_claim(2)], [an_outcome(2, State.DEFERRED)])

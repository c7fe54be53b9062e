from __future__ import annotations

import asyncio
import gc
from types import FrameType
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.clock import SystemClock
from mailblast.delivery.composer import ContentChangedError
from mailblast.delivery.pace import Pace, PaceSettings
from mailblast.delivery.pipeline import OUTCOMES_WAIT_S, Pipeline
from mailblast.delivery.retry import MAX_REQUEUES
from mailblast.delivery.throttle import Rate
from mailblast.errors import AccountError, JournalError, ProviderUnavailableError, RowFaultError
from mailblast.model.message import Message
from mailblast.model.outcome import Advice, Attempt, Disposition, Outcome, State
from mailblast.model.recipient import Batch, Claim, Recipient
from mailblast.model.reply import Reply, Scope, Stage

if TYPE_CHECKING:
    from mailblast.errors import MailblastError

OK = Attempt(Disposition.ACCEPTED, Reply(250, "2.0.0", "queued as 1", Stage.BODY), Scope.MESSAGE, 0.1, "1")
LOST = Attempt(Disposition.NOT_SENT, None, Scope.CONNECTION)
DOUBT = Attempt(Disposition.IN_DOUBT, None, Scope.CONNECTION)
GREY = Attempt(Disposition.TEMPORARY, Reply(451, "4.7.1", "greylisted", Stage.RCPT), Scope.RECIPIENT)
QUOTA = Attempt(Disposition.PERMANENT, Reply(550, "5.4.5", "daily quota", Stage.MAIL), Scope.ACCOUNT)


class OneLineComposer:
    """Makes a message of its claim's address; rows named ``bad`` cannot be rendered, ``changed`` have changed.

    ``row`` is at fault as a whole, ``defect`` is one of ours.
    """

    def compose(self, claim: Claim) -> Message:
        address = claim.recipient.address
        if address.startswith("row"):
            raise RowFaultError("has no content")
        if address.startswith("defect"):
            raise ZeroDivisionError
        if address.startswith("bad"):
            raise RowFaultError("is undefined", column="plan")
        if address.startswith("changed"):
            raise ContentChangedError
        return Message(claim.id, "s@x.test", address, f"<{claim.id}@x.test>", (address.encode(),), claim.id)


class RecordingLog:
    """Keeps what is written, in order; fails from a given commit on."""

    def __init__(self, *, is_remote: bool = False) -> None:
        self.is_remote = is_remote
        self.lines: list[str] = []
        self.buffered: list[str] = []
        self.fails = False

    def begin(self, claim_id: int, digest: int, time_s: float) -> None:
        self.buffered.append(f"begin {claim_id}")

    def finish(self, outcome: Outcome) -> None:
        self.buffered.append(f"{outcome.state} {outcome.id}")

    def commit(self) -> None:
        if self.fails and self.buffered:
            raise JournalError("disk full")
        self.lines += self.buffered
        self.buffered.clear()


class Bench:
    """A pipeline with everything around it visible."""

    def __init__(self, *rates: Rate, is_remote: bool = False) -> None:
        self.clock = FakeClock()
        self.log = RecordingLog(is_remote=is_remote)
        self.seen: list[Outcome] = []
        self.pipeline = Pipeline(
            OneLineComposer(),  # type: ignore[arg-type]  # stands in for rendering, which has its own tests
            self.log,
            Pace(PaceSettings(rates), self.clock),
            provider_name="test",
            clock=self.clock,
            on_outcome=self.seen.append,
        )

    def submit(self, *addresses: str, attempts: int = 0) -> asyncio.Task[list[Outcome]]:
        claims = tuple(
            Claim(number, Recipient(number + 1, address, address, {}, {"email": address}), 0, attempts)
            for number, address in enumerate(addresses, 1)
        )
        return asyncio.create_task(self.pipeline.deliver_batch(Batch(0, claims)))

    def send(self, attempt: Attempt) -> Message:
        message = self.pipeline.take()
        assert message is not None
        self.pipeline.begin(message)
        self.pipeline.commit()
        self.pipeline.finish(message, attempt)
        return message


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_batch_outcomes_come_in_the_order_of_claims() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "bad@x.test", "c@x.test", attempts=2)
    await turn()
    first, second = bench.pipeline.take(), bench.pipeline.take()
    assert first is not None
    assert second is not None
    assert bench.pipeline.take() is None
    for message, attempt in ((second, GREY), (first, OK)):
        bench.pipeline.begin(message)
        bench.pipeline.commit()
        bench.pipeline.finish(message, attempt)
    outcomes = await batch
    assert [State.ACCEPTED, State.INVALID, State.DEFERRED] == [outcome.state for outcome in outcomes]
    assert [3, 2, 3] == [outcome.attempts for outcome in outcomes]
    assert (250, "2.0.0", "queued as 1", "1", "<1@x.test>", "test") == (
        outcomes[0].code,
        outcomes[0].enhanced,
        outcomes[0].text,
        outcomes[0].provider_id,
        outcomes[0].message_id,
        outcomes[0].provider,
    )
    assert outcomes[0].fields is None
    assert outcomes[2].fields == {"email": "c@x.test"}
    assert outcomes[1].text == "column 'plan': is undefined"
    assert len(bench.seen) == 3


async def test_outcome_waits_a_moment_for_marks_where_a_commit_is_a_round_trip() -> None:
    bench = Bench(is_remote=True)
    batch = bench.submit("a@x.test", "b@x.test")
    await turn()
    bench.send(OK)
    await turn()
    assert ["begin 1"] == bench.log.lines

    bench.send(OK)
    assert ["begin 1", "accepted 1", "begin 2"] == bench.log.lines
    # Its timer is the earlier one, however late both are.
    await asyncio.sleep(2 * OUTCOMES_WAIT_S)
    assert "accepted 2" == bench.log.lines[-1]
    await batch


async def test_mark_is_on_file_before_and_outcome_after() -> None:
    bench = Bench()
    bench.submit("a@x.test")
    await turn()
    bench.send(OK)
    assert bench.log.lines == ["begin 1"]
    await turn()
    assert bench.log.lines == ["begin 1", "accepted 1"]


async def test_lost_connection_goes_back_to_the_queue_and_takes_its_mark_back() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test")
    await turn()
    bench.send(LOST)
    bench.send(OK)
    (outcome,) = await batch
    await turn()
    assert (State.ACCEPTED, 1) == (outcome.state, outcome.attempts)
    assert bench.log.lines == ["begin 1", "unsent 1", "begin 1", "accepted 1"]


async def test_connection_that_is_lost_again_and_again_defers_after_bounded_attempts() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test")
    await turn()
    tries = 0
    while not batch.done():
        assert await bench.pipeline.wait()
        bench.send(LOST)
        tries += 1
        await turn()
    assert tries == MAX_REQUEUES + 1
    assert [State.DEFERRED] == [outcome.state for outcome in await batch]
    assert sum(bench.clock.slept) == pytest.approx(0.25 + 0.5 + 1 + 2 + 4 + 8 + 16)


async def test_lost_reply_is_in_doubt_and_not_repeated() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test")
    await turn()
    bench.send(DOUBT)
    (outcome,) = await batch
    assert (State.IN_DOUBT, 1) == (outcome.state, outcome.digest)
    assert bench.pipeline.take() is None


async def test_changed_content_stays_in_doubt() -> None:
    bench = Bench()
    batch = bench.submit("changed@x.test")
    await turn()
    assert bench.pipeline.take() is None
    (outcome,) = await batch
    assert outcome.state is State.IN_DOUBT
    assert "changed" in outcome.text


async def test_account_refusal_stops_the_run_and_leaves_the_rest_unsent() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "b@x.test", "c@x.test")
    await turn()
    bench.send(QUOTA)
    assert [State.UNSENT] * 3 == [outcome.state for outcome in await batch]
    assert [0, 0, 0] == [outcome.attempts for outcome in await batch]
    assert isinstance(bench.pipeline.stopped, AccountError)
    assert "550 5.4.5 daily quota" in str(bench.pipeline.stopped)
    assert not await bench.pipeline.wait()
    assert [State.UNSENT] == [outcome.state for outcome in await bench.submit("d@x.test")]


async def test_stop_lets_what_is_in_flight_finish() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "b@x.test")
    await turn()
    message = bench.pipeline.take()
    assert message is not None
    reason = ProviderUnavailableError("gone")
    bench.pipeline.stop(reason)
    bench.pipeline.stop(AccountError("later"))
    assert bench.pipeline.take() is None
    assert bench.pipeline.in_flight == 1
    bench.pipeline.finish(message, OK)
    assert [State.ACCEPTED, State.UNSENT] == [outcome.state for outcome in await batch]
    assert bench.pipeline.stopped is reason


async def test_lost_connection_after_stop_is_unsent() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test")
    await turn()
    message = bench.pipeline.take()
    assert message is not None
    bench.pipeline.begin(message)
    bench.pipeline.stop(AccountError("no"))
    bench.pipeline.finish(message, LOST)
    assert [State.UNSENT] == [outcome.state for outcome in await batch]
    await turn()
    assert bench.log.lines == ["begin 1", "unsent 1"]


async def test_wait_ends_when_closed_and_everything_is_finished() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test")
    bench.pipeline.close()
    await turn()
    assert await bench.pipeline.wait()
    message = bench.pipeline.take()
    assert message is not None
    waiting = asyncio.create_task(bench.pipeline.wait())
    await turn()
    assert not waiting.done()
    bench.pipeline.finish(message, OK)
    assert not await waiting
    await batch


async def test_wait_wakes_for_a_batch_that_comes_later() -> None:
    bench = Bench()
    waiting = asyncio.create_task(bench.pipeline.wait())
    await turn()
    assert not waiting.done()
    bench.submit("a@x.test")
    assert await waiting


async def test_rate_holds_messages_back_until_their_time() -> None:
    bench = Bench(Rate(2, 1))
    bench.submit("a@x.test", "b@x.test")
    await turn()
    bench.send(OK)
    assert bench.pipeline.take() is None
    before = bench.clock.now()
    assert await bench.pipeline.wait()
    assert bench.clock.now() - before == pytest.approx(0.5, abs=0.005)
    bench.send(OK)


async def test_row_that_cannot_be_rendered_spends_no_permit() -> None:
    bench = Bench(Rate(1, 1))
    bench.submit("bad@x.test", "b@x.test")
    await turn()
    assert bench.send(OK).recipient == "b@x.test"


async def test_full_disk_stops_the_run() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "b@x.test")
    await turn()
    message = bench.pipeline.take()
    assert message is not None
    bench.pipeline.begin(message)
    bench.pipeline.commit()
    bench.log.fails = True
    bench.pipeline.finish(message, OK)
    await turn()
    assert isinstance(bench.pipeline.stopped, JournalError)
    assert [State.ACCEPTED, State.UNSENT] == [outcome.state for outcome in await batch]


async def test_provider_that_ends_early_leaves_nobody_waiting() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "b@x.test", "c@x.test")
    await turn()
    begun, taken = bench.pipeline.take(), bench.pipeline.take()
    assert begun is not None
    assert taken is not None
    bench.pipeline.begin(begun)
    reason: MailblastError = ProviderUnavailableError("ended")
    bench.pipeline.stop_if_unfinished(reason)
    assert [State.IN_DOUBT, State.UNSENT, State.UNSENT] == [outcome.state for outcome in await batch]
    assert bench.pipeline.stopped is reason


async def test_always_broken_connection_stops_the_run() -> None:
    bench = Bench()
    addresses = [f"r{number}@x.test" for number in range(40)]
    batch = bench.submit(*addresses)
    while bench.pipeline.stopped is None:
        assert await bench.pipeline.wait()
        bench.send(LOST)
        await turn()
    assert isinstance(bench.pipeline.stopped, ProviderUnavailableError)
    assert {State.UNSENT} == {outcome.state for outcome in await batch}


async def test_lost_replies_in_a_row_stop_the_run() -> None:
    bench = Bench()
    batch = bench.submit(*(f"r{number}@x.test" for number in range(40)))
    await turn()
    while bench.pipeline.stopped is None:
        bench.send(DOUBT)
    states = [outcome.state for outcome in await batch]
    assert (25, 15) == (states.count(State.IN_DOUBT), states.count(State.UNSENT))


async def test_restart_of_a_server_with_many_messages_in_flight_does_not_stop_the_run() -> None:
    bench = Bench()
    batch = bench.submit(*(f"r{number}@x.test" for number in range(60)))
    await turn()
    held = [bench.pipeline.take() for _ in range(60)]
    for message in held:
        assert message is not None
        bench.pipeline.finish(message, LOST)
    assert bench.pipeline.stopped is None
    for _ in range(60):
        bench.send(OK)
    assert {State.ACCEPTED} == {outcome.state for outcome in await batch}


async def test_row_at_fault_as_a_whole_is_told_without_a_column() -> None:
    bench = Bench()
    batch = bench.submit("row@x.test")
    await turn()
    assert bench.pipeline.take() is None
    assert [(State.INVALID, "has no content", 0)] == [(each.state, each.text, each.attempts) for each in await batch]


async def test_defect_while_composing_leaves_nobody_waiting() -> None:
    bench = Bench()
    batch = bench.submit("defect@x.test", "b@x.test")
    await turn()
    with pytest.raises(ZeroDivisionError):
        bench.pipeline.take()
    bench.pipeline.stop_if_unfinished(ProviderUnavailableError("ended"))
    assert [State.UNSENT] * 2 == [outcome.state for outcome in await batch]


async def test_provider_that_ends_early_with_nothing_to_do_still_stops_the_run() -> None:
    bench = Bench()
    bench.pipeline.stop_if_unfinished(ProviderUnavailableError("ended"))
    assert bench.pipeline.stopped is not None
    assert [State.UNSENT] == [outcome.state for outcome in await bench.submit("a@x.test")]


async def test_provider_that_ends_when_all_is_done_does_not_stop_the_run() -> None:
    bench = Bench()
    bench.pipeline.close()
    bench.pipeline.stop_if_unfinished(ProviderUnavailableError("ended"))
    assert bench.pipeline.stopped is None


async def test_message_in_doubt_without_an_answer_counts_as_an_attempt() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "b@x.test", attempts=1)
    await turn()
    begun, taken = bench.pipeline.take(), bench.pipeline.take()
    assert begun is not None
    assert taken is not None
    bench.pipeline.begin(begun)
    bench.pipeline.stop_if_unfinished(ProviderUnavailableError("ended"))
    assert [2, 1] == [outcome.attempts for outcome in await batch]


async def test_settled_message_is_not_kept_until_its_batch_is_done() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test", "b@x.test")
    await turn()
    message = bench.send(OK)
    await turn()
    gc.collect()
    assert not batch.done()
    holders = [holder for holder in gc.get_referrers(message) if not isinstance(holder, FrameType)]
    assert [] == holders


async def test_waiter_without_work_is_woken_although_another_waits_for_its_time() -> None:
    bench = Bench(Rate(1, 1))
    first = bench.submit("a@x.test")
    await turn()
    bench.send(OK)
    await first
    # All three begin in one turn of the loop.
    idle = asyncio.create_task(bench.pipeline.wait())
    batch = bench.submit("b@x.test")
    limited = asyncio.create_task(bench.pipeline.wait())
    assert await asyncio.wait_for(idle, 1)
    assert await asyncio.wait_for(limited, 1)
    bench.send(OK)
    await batch


async def test_stop_wakes_who_waits_for_a_delayed_message() -> None:
    bench = Bench()
    bench.pipeline._clock = SystemClock()
    batch = bench.submit("a@x.test")
    await turn()
    bench.send(LOST)
    bench.send(LOST)
    waiting = asyncio.create_task(bench.pipeline.wait())
    await turn()
    assert not waiting.done()
    bench.pipeline.stop(AccountError("no"))
    assert not await asyncio.wait_for(waiting, 0.2)
    assert [State.UNSENT] == [outcome.state for outcome in await batch]


async def test_batch_whose_waiter_has_gone_is_settled_all_the_same() -> None:
    bench = Bench()
    batch = bench.submit("a@x.test")
    await turn()
    batch.cancel()
    await turn()
    bench.send(OK)
    assert [State.ACCEPTED] == [outcome.state for outcome in bench.seen]


async def test_empty_batch_is_done_at_once() -> None:
    assert await Bench().pipeline.deliver_batch(Batch(0, ())) == []


async def test_what_limits_is_told() -> None:
    assert Bench().pipeline.limiting() == ""
    bench = Bench(Rate(1, 1))
    bench.submit("a@x.test", "b@x.test")
    await turn()
    bench.send(OK)
    assert bench.pipeline.take() is None
    assert bench.pipeline.limiting() == "rate 1/s"
    slow = Attempt(Disposition.TEMPORARY, GREY.reply, Scope.DOMAIN, advice=Advice.SLOW_DOWN)
    bench.clock.advance(2)
    bench.send(slow)
    assert "x.test slowed: 451 4.7.1 greylisted" in bench.pipeline.limiting()

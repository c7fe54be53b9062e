"""The side of a campaign that has its list and its journal: puts batches, takes outcomes home."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Self, TypeVar

from mailblast.errors import MailblastError, ProviderError, RunInterruptedError
from mailblast.executors.gathering import Gathering
from mailblast.executors.queue.engine import LEASE_S
from mailblast.executors.queue.rows import encode_row
from mailblast.executors.queue.states import CODES, FIRST_SLOT
from mailblast.executors.queue.store import QueueAwayError, QueueError
from mailblast.journal.codes import STATES
from mailblast.journal.records import encode_outcome
from mailblast.model.outcome import Outcome, State, unsent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from mailblast.clock import Clock
    from mailblast.executors.executor import OnDone, OnOutcome
    from mailblast.executors.queue.engine import Engine
    from mailblast.executors.queue.store import Store
    from mailblast.journal.journal import Journal
    from mailblast.model.recipient import Batch, Claim

T = TypeVar("T")
#: So many batches are always let into the queue; more where there are workers for them.
MIN_OPEN = 100
#: Batches for each one that workers have under way.
OPEN_EACH = 4
#: How often the stream is looked at, and how often the workers.
POLL_S = (0.02, 0.25)
WORKERS_S = 2.0
AWAY_S = (0.2, 5.0)
#: Entries of the stream that are taken home at once.
ENTRIES = 200
#: Characters of a line before its JSON.
CHECKSUM = 9
IN_DOUBT_TEXT = "the worker that was sending it is gone, and whether the message was complete is not known"


class CancelledError(ProviderError):
    """Somebody has ended the campaign."""


def read_entry(fields: dict[bytes, bytes]) -> tuple[list[Outcome], list[Outcome]]:
    """Return what an entry of the stream tells: final outcomes, and those that are to be tried again."""
    return _outcomes(fields.get(b"o", b"")), _outcomes(fields.get(b"r", b""))


def take_home(
    store: Store,
    token: str,
    fold: Callable[[Sequence[Outcome]], None],
    goes_on: Callable[[], bool] = lambda: True,
) -> int:
    """Take all outcomes that are at the server into the journal; return how many.

    Args:
        store: The server.
        token: The campaign's.
        fold: Records outcomes; they are removed at the server afterwards.
        goes_on: Returns whether there is time for more.

    Raises:
        QueueError: The server is away or refuses.
        JournalError: They cannot be recorded; they stay at the server.
    """
    count = 0
    while goes_on() and (entries := store.read_outcomes(token, ENTRIES)):
        outcomes: dict[int, Outcome] = {}
        for _, fields in entries:
            final, again = read_entry(fields)
            outcomes.update((outcome.id, outcome) for outcome in (*final, *again))
        fold(list(outcomes.values()))
        store.drop_outcomes(token, [entry for entry, _ in entries])
        count += len(outcomes)
    return count


def dead_slots(store: Store) -> list[int]:
    """Return the slots of no worker that lives."""
    living = {told["slot"] for told in store.workers().values() if told["age_s"] <= float(told.get("lease_s", LEASE_S))}
    return [slot for slot in range(FIRST_SLOT, 256) if slot not in living]


def settle(store: Store, token: str, now_s: float) -> int:
    """Declare in doubt who was being sent to by workers that are gone; return how many."""

    def payload(ids: Sequence[int]) -> str:
        return "".join(encode_outcome(_in_doubt(claim_id, now_s)).decode("ascii") for claim_id in ids)

    return store.settle(token, dead_slots(store), payload)


class QueueExecutor:
    """Run batches on whatever workers there are; see ``Executor``.

    Args:
        store: The server.
        engine: Its queues.
        journal: Open.
        clock: Times.
        priority: Of the campaign.
        waits: Stay until every batch has its outcomes; else who is not settled when the list is put is unsent on
            record, and their outcomes are taken home later.
        on_outcome: Called for each outcome.
        on_done: Called with outcomes, several at a time, to fold them.
        say: Told what its operator should know.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        journal: Journal,
        clock: Clock,
        *,
        priority: int,
        waits: bool,
        on_outcome: OnOutcome,
        on_done: OnDone,
        say: Callable[[str], None],
    ) -> None:
        self.stopping = asyncio.Event()
        self.stopped: MailblastError | None = None
        self.queued = 0
        self._store = store
        self._engine = engine
        self._journal = journal
        self._token = journal.token
        self._clock = clock
        self._priority = priority
        self._waits = waits
        self._on_outcome = on_outcome
        self._gathering = Gathering(on_done, clock)
        self._say = say
        #: Claims without an outcome, where it waits.
        self._open: dict[int, Claim] = {}
        self._limit = MIN_OPEN
        self._workers = -1
        self._looked_s = float("-inf")
        self._is_away = False
        self._aborted = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stop(error if isinstance(error, MailblastError) else RunInterruptedError("The run was broken off."))
        await self.drain()

    async def submit(self, batch: Batch) -> None:
        """Put a batch; wait first while the queue is full."""
        while self.stopped is None and await self._patiently(self._is_full):
            await self._pause(POLL_S[1])
        if self.stopped is not None:
            self._finish([unsent(claim, self._clock.now()) for claim in batch.claims])
            return
        now_s = self._clock.now()
        if not self._waits:
            # On record as not sent yet: what comes of them may be taken home by somebody else.
            self._journal.fold([unsent(claim, now_s) for claim in batch.claims])
        rows = [(claim.id, encode_row(claim)) for claim in batch.claims]
        put = await self._patiently(lambda: self._store.put(self._token, rows))
        self._open.update((claim.id, claim) for claim in batch.claims)
        if put is None:
            return
        if put.sequence:
            await self._patiently(lambda: self._hand_on(put.sequence))
        self.queued += len(batch.claims) - len(put.refused)
        self._take_refused(put.refused)
        if not self._waits:
            for claim in batch.claims:
                self._open.pop(claim.id, None)
        await self._take_home()

    async def drain(self) -> None:
        """Wait until every batch has its outcomes, where it waits."""
        idle_s = POLL_S[0]
        while self._open and self._waits and self.stopped is None:
            if await self._take_home():
                idle_s = POLL_S[0]
                continue
            if await self._patiently(self._is_over):
                await self._take_home()
                self._give_up()
                break
            await self._pause(idle_s)
            idle_s = min(2 * idle_s, POLL_S[1])
        if self.stopped is not None:
            self._give_up()
        self._flush()

    def limiting(self) -> str:
        """Return what the run waits for, in a few words."""
        if self._is_away:
            return "the queue is away"
        return "no worker is there" if self._workers == 0 else ""

    def stop(self, reason: MailblastError) -> None:
        """Put nothing more. What is queued stays queued: workers go on with it."""
        if self.stopped is None:
            self.stopped = reason
            self.stopping.set()

    def abort(self) -> None:
        """Do not wait for the server either."""
        self._aborted = True

    # Inside.

    def _hand_on(self, sequence: int) -> bool:
        self._engine.put(self._token, sequence, self._priority)
        self._store.put_was_heard(self._token, sequence)
        return True

    def _is_full(self) -> bool:
        now = self._clock.monotonic()
        if now - self._looked_s >= WORKERS_S:
            self._looked_s = now
            living = [told for told in self._store.workers().values() if told["age_s"] <= float(told["lease_s"])]
            if not living and self._workers != 0:
                self._say("No worker is there yet. Start some: mailblast worker --queue " + self._store.shown)
            self._workers = len(living)
            self._limit = max(MIN_OPEN, OPEN_EACH * sum(int(told["concurrency"]) for told in living))
            state = self._store.states([self._token])[self._token]
            if state == "cancelled":
                self.stop(CancelledError("The campaign was cancelled; who is not served is unsent."))
            elif not state:
                self.stop(
                    QueueError("The queue has lost this campaign.", fix="Run the same command again: it continues.")
                )
        return self._store.open_batches(self._token) >= self._limit

    def _is_over(self) -> bool:
        """Return whether no outcome will come any more; who was being sent to by the dead is in doubt then."""
        self._is_full()
        if self.stopped is not None:
            return True
        if self._store.open_batches(self._token):
            return False
        settle(self._store, self._token, self._clock.now())
        return not any(True for _ in self._store.sending(self._token)) and not self._store.read_outcomes(self._token, 1)

    async def _take_home(self) -> int:
        entries = await self._patiently(lambda: self._store.read_outcomes(self._token, ENTRIES))
        if not entries:
            return 0
        for _, fields in entries:
            final, again = read_entry(fields)
            self._take(final, is_final=True)
            self._take(again, is_final=False)
        # In the journal before they are removed there.
        self._flush()
        await self._patiently(lambda: self._store.drop_outcomes(self._token, [entry for entry, _ in entries]))
        return len(entries)

    def _take(self, outcomes: Sequence[Outcome], *, is_final: bool) -> None:
        taken = []
        for outcome in outcomes:
            claim = self._open.get(outcome.id)
            if claim is not None:
                recipient = claim.recipient
                outcome = outcome._replace(key=recipient.key, address=recipient.address, row=recipient.row)  # noqa: PLW2901 - completed
            if is_final and (claim is not None or not self._waits):
                self._open.pop(outcome.id, None)
                self._on_outcome(outcome)
            taken.append(outcome)
        if taken:
            self._add(taken)

    def _take_refused(self, refused: dict[int, int]) -> None:
        """Take note of those who were served before the journal knew; those who are under way will be told."""
        outcomes = [
            unsent(self._open.pop(claim_id), self._clock.now())._replace(state=STATES[byte], text="known to the queue")
            for claim_id, byte in refused.items()
            if byte == CODES[State.ACCEPTED]
        ]
        self._finish(outcomes)

    def _give_up(self) -> None:
        """Record as unsent who has no outcome here: queued still, or not put."""
        now = self._clock.now()
        claims, self._open = list(self._open.values()), {}
        self._finish([unsent(claim, now) for claim in claims])

    def _finish(self, outcomes: list[Outcome]) -> None:
        for outcome in outcomes:
            self._on_outcome(outcome)
        if outcomes:
            self._add(outcomes)

    def _add(self, outcomes: Sequence[Outcome]) -> None:
        try:
            self._gathering.add(outcomes)
        except MailblastError as error:
            self.stop(error)

    def _flush(self) -> None:
        try:
            self._gathering.flush()
        except MailblastError as error:
            self.stop(error)

    async def _patiently(self, call: Callable[[], T]) -> T | None:
        """Call the server until it answers, or until the run is to end; None then."""
        wait_s = AWAY_S[0]
        while not self._aborted:
            try:
                answer = call()
            except QueueAwayError as error:
                if not self._is_away:
                    self._is_away = True
                    self._say(f"{error} Waiting for it.")
                if self.stopped is not None:
                    return None
                await self._pause(wait_s)
                wait_s = min(2 * wait_s, AWAY_S[1])
            except QueueError as error:
                self.stop(error)
                return None
            else:
                if self._is_away:
                    self._is_away = False
                    self._say("The queue is back.")
                return answer
        return None

    async def _pause(self, seconds: float) -> None:
        if self.stopped is not None:
            await asyncio.sleep(0)
            return
        stopping = asyncio.ensure_future(self.stopping.wait())
        try:
            await asyncio.wait({stopping}, timeout=seconds)
        finally:
            stopping.cancel()


def _outcomes(lines: bytes) -> list[Outcome]:
    """Return outcomes from lines as the journal's segments have them; parsed together, in half the time."""
    if not lines:
        return []
    bodies = ",".join(line[CHECKSUM:] for line in lines.decode("ascii").splitlines())
    return [
        Outcome(
            claim_id,
            "",
            "",
            0,
            STATES[code],
            time_us / 1e6,
            by,
            reply,
            enhanced,
            text,
            attempts,
            duration_us / 1e6,
            "",
            by_id,
            digest,
            fields,
        )
        for _, claim_id, code, time_us, reply, attempts, duration_us, digest, enhanced, text, by, by_id, fields in (
            json.loads(f"[{bodies}]")
        )
    ]


def _in_doubt(claim_id: int, now_s: float) -> Outcome:
    return Outcome(claim_id, "", "", 0, State.IN_DOUBT, now_s, text=IN_DOUBT_TEXT)

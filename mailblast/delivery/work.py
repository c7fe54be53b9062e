"""Claims under way, and the batches that they belong to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt
    from mailblast.model.recipient import Claim

    #: Told what is still to come of a batch.
    Late = Callable[[asyncio.Future[list[Outcome]]], None]

#: What an outcome says where there is no reply to quote.
LOST_REPLY = "the connection broke after the message was complete and before the reply"
#: A name of this module: before Python 3.12 a member of an enumeration takes 0.1 µs.
_ACCEPTED = State.ACCEPTED


class Pending:
    """A batch under way."""

    __slots__ = ("done", "late", "outcomes", "parked", "remaining")

    def __init__(self, size: int, done: asyncio.Future[list[Outcome]], late: Late | None) -> None:
        self.outcomes: list[Outcome | None] = [None] * size
        self.remaining = size
        #: Of these, how many are in the lane of a slow domain.
        self.parked = 0
        self.done = done
        self.late = late

    def hand_in(self) -> None:
        """Return what is done of it: all of it, or all but what slow domains hold up."""
        done, late = self.done, self.late
        if done.done() or (self.remaining and late is None):
            return
        outcomes = [outcome for outcome in self.outcomes if outcome is not None]
        if late is not None and self.remaining:
            self.late = None
            self.done = done.get_loop().create_future()
            self.outcomes = [None] * len(self.outcomes)
            late(self.done)
        done.set_result(outcomes)


class Work:
    """One claim under way."""

    __slots__ = ("begun", "claim", "index", "message", "parked", "pending", "requeues")

    def __init__(self, claim: Claim, pending: Pending, index: int) -> None:
        self.claim = claim
        self.pending = pending
        self.index = index
        self.requeues = 0
        self.begun = False
        self.parked = False
        self.message: Message | None = None

    @property
    def domain(self) -> str:
        """The domain that it goes to."""
        return self.claim.recipient.address.rpartition("@")[2]

    def outcome(
        self, state: State, attempt: Attempt | None, text: str, charged: int, provider: str, time_s: float
    ) -> Outcome:
        """Return what has become of it.

        Args:
            state: Where it stands.
            attempt: What it came to at the provider; None where it never got there.
            text: Said where there is no reply to quote.
            charged: Attempts that count.
            provider: Its name.
            time_s: Unix seconds.
        """
        claim, message = self.claim, self.message
        recipient = claim.recipient
        reply = attempt.reply if attempt else None
        return Outcome(
            claim.id,
            recipient.key,
            recipient.address,
            recipient.row,
            state,
            time_s,
            provider if attempt else "",
            reply.code if reply else 0,
            reply.enhanced if reply else "",
            reply.text if reply else text or (LOST_REPLY if state is State.IN_DOUBT else ""),
            claim.attempts + charged,
            attempt.duration_s if attempt else 0.0,
            message.message_id if message else "",
            attempt.provider_id if attempt else "",
            message.digest if message else claim.digest,
            None if state is _ACCEPTED else recipient.fields,
            attempt.retry_after_s if attempt else None,
        )

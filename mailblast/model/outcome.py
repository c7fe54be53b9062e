"""What one attempt, and one recipient, came to."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.model.recipient import Claim
    from mailblast.model.reply import Reply, Scope


class Disposition(StrEnum):
    """How one attempt ended. Code that asks "may I send this again?" asks this, not an exception's type."""

    #: The provider took the message and answers for it.
    ACCEPTED = "accepted"
    #: The provider refused for now (4yz).
    TEMPORARY = "temporary"
    #: The provider refused for good (5yz).
    PERMANENT = "permanent"
    #: Ended before the message was complete on the wire: certainly not sent, free to repeat.
    NOT_SENT = "not_sent"
    #: Ended after the message was complete on the wire, without a reply (RFC 1047).
    IN_DOUBT = "in_doubt"


class Advice(StrEnum):
    """What a reply asks of the sender, beside its meaning for the one message. Never a fault of the recipient."""

    #: Nothing.
    NONE = "none"
    #: Lower the rate of what the attempt's scope speaks of: domain, account or connection.
    SLOW_DOWN = "slow_down"
    #: The account's quota is used up for today.
    TOMORROW = "tomorrow"
    #: The connection has had its share and is replaced; nothing to be slowed down for.
    ROTATE = "rotate"


class Attempt(NamedTuple):
    """What one attempt at one message came to; made by a provider."""

    disposition: Disposition
    #: None only where nothing was answered.
    reply: Reply | None
    scope: Scope
    #: Seconds from taking the message to its end.
    duration_s: float = 0.0
    #: The provider's own name for the message; empty where it gave none.
    provider_id: str = ""
    #: Seconds after which the reply says that another attempt is welcome; None where it names no time.
    retry_after_s: float | None = None
    advice: Advice = Advice.NONE


class State(StrEnum):
    """Where a recipient stands. The nine names are a contract with users."""

    #: The provider took it.
    ACCEPTED = "accepted"
    #: Refused for now, attempts used up for this run; the next run tries again.
    DEFERRED = "deferred"
    #: Refused for good.
    FAILED = "failed"
    #: The row cannot be sent: no address, bad syntax, or the template cannot be filled from it.
    INVALID = "invalid"
    #: On the do-not-mail list.
    SUPPRESSED = "suppressed"
    #: The same key was seen before in this list.
    DUPLICATE = "duplicate"
    #: The reply was lost after the message was on the wire; held until told otherwise.
    IN_DOUBT = "in_doubt"
    #: The run stopped first.
    UNSENT = "unsent"
    #: In flight right now. A run that ends leaves none: what was caught here is in doubt.
    SENDING = "sending"


class Outcome(NamedTuple):
    """All that crosses the executor seam coming back: what became of one recipient."""

    #: ``Claim.id``; 0 for rows that never became a claim.
    id: int
    key: str
    address: str
    row: int
    state: State
    #: Unix seconds.
    time_s: float
    provider: str = ""
    #: Reply code, 0 where there was none.
    code: int = 0
    enhanced: str = ""
    text: str = ""
    attempts: int = 0
    duration_s: float = 0.0
    message_id: str = ""
    provider_id: str = ""
    #: CRC-32 of the message; None where none was built.
    digest: int | None = None
    #: The original columns, kept for everything but accepted recipients.
    fields: Mapping[str, object] | None = None
    #: As of the attempt; not kept in the journal.
    retry_after_s: float | None = None


def unsent(claim: Claim, time_s: float) -> Outcome:
    """Return the outcome of a claim for which nothing was tried."""
    recipient = claim.recipient
    return Outcome(
        claim.id,
        recipient.key,
        recipient.address,
        recipient.row,
        State.UNSENT,
        time_s,
        attempts=claim.attempts,
        digest=claim.digest,
        fields=recipient.fields,
    )

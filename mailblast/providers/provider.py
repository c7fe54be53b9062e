"""What a provider is, and what it is handed.

A provider translates, talks, and reads the answer. It never retries, throttles, journals or prints. It *pulls*:
whenever it could start one more message it takes the next from its ``Deliveries``, so that rate, order and
retries are decided elsewhere and no provider holds a queue of its own.

Rules of one message's life:

1. ``take()`` hands it over. From then on the provider owes exactly one ``finish()`` for it, also when it is
   cancelled or raises.
2. ``begin()`` before the message could be complete at the provider, as late as possible, and ``commit()`` before
   those bytes leave; where that returns a future, they wait for it. Many ``begin()`` of one turn of the event loop
   share one ``commit()``.
3. ``finish()`` with what came of it. Where the answer was lost after ``begin()`` and the message may have been
   complete: ``IN_DOUBT``. Where it certainly was not: ``NOT_SENT``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator

    from mailblast.model.message import Message
    from mailblast.model.outcome import Attempt


class ProviderLimits(NamedTuple):
    """What a provider can take at once."""

    #: Messages in flight at once; more connections or threads than this are never used.
    concurrency: int
    #: Largest message in bytes that it said it takes; None where it said nothing.
    size_bytes: int | None = None
    #: Recipients a second that it gets unless the user asks otherwise; None for no limit. Known before ``open()``.
    rate_per_s: float | None = None
    #: Recipients in 24 hours that it takes; None where it names no number. Known before ``open()``.
    per_day: int | None = None
    #: Of these, what is left for now, where the provider says so on ``open()``.
    left_today: int | None = None


class Deliveries(Protocol):
    """The messages that are to be sent now, as a provider sees them. Not thread-safe: used on the event loop only."""

    #: Whether a commit is a round trip to another machine, which more messages may share.
    commit_is_remote: bool

    def take(self) -> Message | None:
        """Return the next message whose time has come, or None where there is none right now."""
        ...

    async def wait(self) -> bool:
        """Wait until ``take()`` may give a message. False: none will come any more."""
        ...

    def begin(self, message: Message) -> None:
        """Note that this message may from now on be complete at the provider."""
        ...

    def commit(self) -> asyncio.Future[Any] | None:
        """Have all notes of ``begin()`` on file: at once, or when what is returned is done.

        Raises ``JournalError`` where they cannot be written, or what is returned does; then nothing of them may leave.
        """
        ...

    def finish(self, message: Message, attempt: Attempt) -> None:
        """Tell what one attempt came to."""
        ...


class Provider(Protocol):
    """Somewhere that mail can be handed to."""

    #: Short name for outcomes and screens, such as ``smtp:mail.example.com`` or ``outbox``.
    name: str
    #: Known after ``open()``.
    limits: ProviderLimits
    #: False where nothing leaves this machine (outbox, memory).
    leaves_machine: bool
    #: Whether it takes ``Message.composition`` and puts messages together itself.
    wants_composition: bool

    async def open(self) -> None:
        """Make ready: connect and log in once, or create the folder.

        Raises:
            ProviderUnavailableError: No connection could be made; nothing was sent.
            AccountError: The login was refused; nothing was sent.
        """
        ...

    async def deliver(self, deliveries: Deliveries) -> None:
        """Send until ``deliveries`` ends and everything taken is finished.

        Cancelled, it stops at once and still finishes what it took.

        Raises:
            ProviderUnavailableError: No connection is left and none can be made. What was taken is finished;
                ``deliver()`` may be called again later.
            AccountError: The account was refused. What was taken is finished.
            JournalError: Passed on from ``commit()``.
        """
        ...

    async def probe(self, sender: str | None = None) -> list[tuple[str, str]]:
        """Connect, log in, look around and leave, without sending; return what was found, as name and value.

        Args:
            sender: Reverse path to try; None tries none.

        Raises:
            ProviderUnavailableError: It cannot be reached, trusted or used.
            AccountError: The login or the sender was refused.
        """
        ...

    async def close(self) -> None:
        """Take leave in an orderly way; never raises for what the network does."""
        ...


@runtime_checkable
class PooledProvider(Protocol):
    """A provider that keeps connections."""

    @property
    def open_connections(self) -> int:
        """Connections that are open right now."""
        ...


class SuppressedAddress(NamedTuple):
    """Somebody on a suppression list that a provider keeps for an account."""

    #: As the provider has it; foreign text.
    address: str
    #: ``bounce``, ``complaint`` or ``unsubscribe``; a provider's own word where it has others.
    reason: str
    #: Unix seconds when the provider put it there; None where it does not tell.
    time_s: float | None = None
    #: Which of the account's lists, where it has several.
    list_name: str = ""


@runtime_checkable
class SuppressingProvider(Protocol):
    """A provider that keeps suppression lists of its own for an account."""

    def suppressions(self) -> AsyncGenerator[SuppressedAddress, None]:
        """Yield who is on them, page by page; the provider need not be open.

        Raises:
            ProviderUnavailableError: It cannot be reached; what was yielded is right.
            AccountError: The key may not read a list.
        """
        ...

"""What an executor is: batches in, outcomes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from mailblast.model.outcome import Outcome

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType

    from mailblast.errors import MailblastError
    from mailblast.model.recipient import Batch

#: What is in flight gets this long to be answered once the run is told to end.
DRAIN_S = 30.0


class Executor(Protocol):
    """Runs batches somewhere. Used as an async context manager; on leaving, every batch has its outcomes."""

    #: Set when nothing more is handed out.
    stopping: asyncio.Event

    @property
    def stopped(self) -> MailblastError | None:
        """Why nothing more is handed out; None while it is."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def submit(self, batch: Batch) -> None:
        """Start a batch; wait first while too many are under way. After ``stop()`` its claims are unsent.

        Claims of a batch of the list, numbered from 0, may come back unsent also where too many of a slow domain wait
        already: they are to be submitted again later, in a batch numbered -1, which waits until there is room.
        """
        ...

    async def drain(self) -> None:
        """Wait until every batch has its outcomes."""
        ...

    def limiting(self) -> str:
        """Return what the run waits for, in a few words; empty where nothing limits it. For once a second."""
        ...

    def stop(self, reason: MailblastError) -> None:
        """Hand out nothing more; what is in flight finishes, all else is unsent. The first reason stays."""
        ...

    def abort(self) -> None:
        """Stop at once: connections are cut, what was complete on the wire without a reply is in doubt."""
        ...


#: Called for each outcome, and with the outcomes of finished batches, several at a time.
OnOutcome: TypeAlias = Callable[[Outcome], None]
OnDone: TypeAlias = Callable[[Sequence[Outcome]], None]
MakeExecutor: TypeAlias = Callable[[OnOutcome, OnDone], Executor]

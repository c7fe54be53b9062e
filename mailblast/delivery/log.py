"""What a pipeline asks of whatever keeps its marks and outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncio

    from mailblast.model.outcome import Outcome


class Log(Protocol):
    """Where marks and outcomes are kept: a journal's segment, or the ledger of a queue."""

    #: Whether ``commit()`` is a round trip to another machine.
    is_remote: bool

    def begin(self, claim_id: int, digest: int, time_s: float) -> None:
        """Note that this message may be complete on the wire from now on."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a message that was begun."""
        ...

    def commit(self) -> asyncio.Future[None] | None:
        """Write all notes: those of ``begin()`` are on file when it returns, or when what it returns is done."""
        ...

"""A look at a journal from outside, also while a run is going on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from mailblast.errors import JournalDamagedError, JournalError
from mailblast.journal.database import connect_overlay, told
from mailblast.journal.figures import CampaignFigures
from mailblast.journal.folder import CampaignFolder, list_campaigns, unknown_campaign
from mailblast.journal.lock import Owner, is_locked, read_owner
from mailblast.journal.overlay import OverlayTable
from mailblast.journal.recovery import recover
from mailblast.journal.runs import Run, read_runs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from mailblast.model.outcome import Outcome, State

__all__ = ["JournalReader", "list_campaigns"]


class JournalReader:
    """Read-only view of one campaign. Takes no lock and changes no record; ``close()`` or use as a context manager.

    While a run holds the campaign, its claims are ``sending`` and the view lags by the batches in flight. After a
    killed run it shows what the next run will find: whoever was caught in flight is in doubt.

    Args:
        home: Folder of all campaigns.
        campaign: Its name.

    Raises:
        UsageError: There is no such campaign, or the name cannot be one.
        JournalDamagedError: The journal cannot be recovered.
        JournalError: It cannot be read.
    """

    def __init__(self, home: Path, campaign: str) -> None:
        folder = CampaignFolder(home, campaign)
        if not folder.database.exists():
            raise unknown_campaign(home, campaign)
        self.campaign = campaign
        #: Who holds the campaign right now, None where no run does.
        self.owner: Owner | None = None
        #: A run holds the campaign.
        self.running = is_locked(folder.lock)
        if self.running:
            self.owner = read_owner(folder.lock)
        self._table = OverlayTable(_connect(folder), folder.database)
        try:
            with told(folder.database):
                meta = dict(self._table.database.execute("SELECT name, value FROM main.meta"))
            self.token = str(meta["token"])
            #: Unix seconds.
            self.created_s = float(meta["created"])
            if not self.running:
                recover(folder, self._table)
        except BaseException:
            self._table.close()
            raise

    def counts(self) -> dict[State, int]:
        """Return how many recipients and bad rows are in each state, all nine of them."""
        return self._table.counts()

    def queued(self) -> int:
        """Return how many are in the queue, or to be tried again by the run that is going on."""
        return self._table.queued("old")

    def runs(self) -> tuple[Run, ...]:
        """Return the runs on record, the first one first."""
        return tuple(read_runs(self._table))

    def outcomes(self, states: Collection[State]) -> Iterator[Outcome]:
        """Yield where recipients stand that are in one of these states, then rows that never became a claim.

        Streams: memory does not grow with the list.
        """
        return self._table.outcomes(states)

    def figures(self) -> CampaignFigures:
        """Return what asks for the figures of a report."""
        return CampaignFigures(self._table)

    def close(self) -> None:
        """Close the view."""
        self._table.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _connect(folder: CampaignFolder) -> sqlite3.Connection:
    try:
        return connect_overlay(folder.database, created_s=0.0, unchanging=False)
    except JournalDamagedError:
        raise
    except JournalError:
        # On a medium that cannot be written SQLite has no place for the memory it shares with a writer.
        return connect_overlay(folder.database, created_s=0.0, unchanging=True)

"""Entries on their way to the do-not-mail list, some thousands in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailblast.recipients.suppression import SuppressionList
    from mailblast.recipients.suppression_entry import SuppressionEntry

#: Entries written in one transaction.
ROWS = 5_000


class SuppressionIntake:
    """Writes entries as they come, and counts which of them are new.

    Args:
        suppressions: Open, and stays open.
    """

    def __init__(self, suppressions: SuppressionList) -> None:
        self._suppressions = suppressions
        self._waiting: list[SuppressionEntry] = []
        #: Entries on file that are new.
        self.added = 0
        #: Entries that were on the list before.
        self.known = 0

    def add(self, entry: SuppressionEntry) -> None:
        """Take one entry; ``flush()`` after the last.

        Raises:
            SuppressionError: Entries cannot be written.
        """
        self._waiting.append(entry)
        if len(self._waiting) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what waits.

        Raises:
            SuppressionError: It cannot be written.
        """
        waiting, self._waiting = self._waiting, []
        if waiting:
            new = self._suppressions.add(waiting)
            self.added += new
            self.known += len(waiting) - new

"""Private changes laid over a journal that is only read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.journal.codes import SENDING
from mailblast.journal.database import told
from mailblast.journal.table import RecipientTable

if TYPE_CHECKING:
    from collections.abc import Iterable

_ADOPT = "INSERT OR IGNORE INTO main.recipient SELECT * FROM old.recipient WHERE"

_ADOPT_KEY = "INSERT OR IGNORE INTO main.key_index SELECT key_hash(key), id FROM main.recipient WHERE"
_INDEXED = "(SELECT value FROM old.meta WHERE name = 'indexed')"


class OverlayTable(RecipientTable):
    """The keyed table of a journal as it would become, in a temporary database (``connect_overlay()``).

    Rows that change are copied first; what is copied counts, what is not is read from the journal itself.
    """

    _forgot_list = False

    def recipient_sources(self) -> tuple[str, ...]:
        """Return the copies, and the journal without what has been copied."""
        return "main.recipient", "(SELECT * FROM old.recipient WHERE id NOT IN (SELECT id FROM main.recipient))"

    def fault_sources(self) -> tuple[str, ...]:
        """Return this rehearsal's faults, and those on record until the list is read anew."""
        return ("main.fault",) if self._forgot_list else ("old.fault",)

    def key_sources(self) -> tuple[str, ...]:
        """Return the journal, then the copies, which have the last word."""
        return "old", "main"

    def adopt(self, ids: Iterable[int]) -> None:
        """Copy rows that are not copied yet."""
        with told(self.path):
            rows = [(each,) for each in ids]
            self.database.executemany(f"{_ADOPT} id = ?", rows)
            self.database.executemany(f"{_ADOPT_KEY} id = ?", rows)

    def adopt_claimed(self) -> None:
        """Copy the rows of claims without an outcome."""
        with told(self.path):
            self.database.execute(f"{_ADOPT} state = {SENDING}")
            self.database.execute(f"{_ADOPT_KEY} state = {SENDING}")

    def adopt_unindexed(self) -> None:
        """Copy the rows that the journal's key index does not have yet, so that they are found."""
        with told(self.path):
            self.database.execute(f"{_ADOPT} id > {_INDEXED}")
            self.database.execute(f"{_ADOPT_KEY} id > {_INDEXED}")

    def forget_list(self) -> None:
        """Forget the faults of the list as it was read before."""
        super().forget_list()
        self._forgot_list = True

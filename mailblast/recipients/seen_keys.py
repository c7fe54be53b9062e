"""Which keys a list has had so far, in memory that hardly grows: for looking at lists without a campaign."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Values in one statement; builds of SQLite before 3.32 take 999.
_AT_ONCE = 500
_CACHE_KIB = 32_000


class SeenKeys:
    """Remembers a hash of 64 bits and the row of each key, in a temporary file; use as a context manager.

    Two different keys of a million fall on one hash once in thirty million lists.
    """

    def __init__(self) -> None:
        # A database without a name is a temporary file that nobody else sees.
        self._database = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE seen (hash INTEGER PRIMARY KEY, row INTEGER NOT NULL)")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def add(self, keys: Sequence[tuple[str, int]]) -> dict[int, int]:
        """Note keys with their rows; return, for each row whose key was there before, the first row with it.

        Args:
            keys: Key and row number, each row once.
        """
        found: dict[int, int] = {}
        for start in range(0, len(keys), _AT_ONCE):
            self._add([(hash(key), row) for key, row in keys[start : start + _AT_ONCE]], found)
        return found

    def _add(self, pairs: list[tuple[int, int]], found: dict[int, int]) -> None:
        database = self._database
        database.execute("BEGIN")
        before = database.total_changes
        database.executemany("INSERT OR IGNORE INTO seen VALUES (?, ?)", pairs)
        added = database.total_changes - before
        database.execute("COMMIT")
        if added == len(pairs):
            return
        marks = ",".join("?" * len(pairs))
        query = f"SELECT hash, row FROM seen WHERE hash IN ({marks})"  # noqa: S608 - marks alone
        first = dict(database.execute(query, [each for each, _ in pairs]))
        found.update((row, first[each]) for each, row in pairs if first[each] != row)

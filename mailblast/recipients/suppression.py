"""Who must not be mailed, in any campaign: a list on disk, asked right before sending."""

from __future__ import annotations

import os
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

from mailblast.errors import SuppressionError
from mailblast.recipients.suppression_entry import Reason, SuppressionEntry, domains_of, hashes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FILE_NAME = "suppressions.sqlite3"
SCHEMA_VERSION = 1
#: "mbsl" in ASCII: tells our files from other SQLite files.
APPLICATION_ID = 0x6D62736C
#: Reports of a full or busy mailbox that put an address on the list, when the first and the last are this far apart.
SOFT_BOUNCES = 3
SOFT_BOUNCE_SPAN_S = 7 * 86_400.0
_TABLES = """
CREATE TABLE entry (
    subject TEXT PRIMARY KEY, reason TEXT NOT NULL, source TEXT NOT NULL, added REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE soft_bounce (address TEXT NOT NULL, day INTEGER NOT NULL, PRIMARY KEY (address, day)) WITHOUT ROWID
"""
#: Values in one statement; builds of SQLite before 3.32 take 999.
_AT_ONCE = 500
_BUSY_MS = 10_000
_COLUMNS = "subject, reason, source, added"


class SuppressionList:
    """The do-not-mail list of one home folder. Not thread-safe; use as a context manager or ``close()``.

    Several processes may have it open: an entry counts from the moment it is added, also for a run under way.

    Args:
        home: Folder of all campaigns.
    """

    def __init__(self, home: Path) -> None:
        self.path = home / FILE_NAME
        self._database: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the file go."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def suppressed(self, addresses: Sequence[str]) -> dict[str, SuppressionEntry]:
        """Return those of some addresses that must not be mailed, each with the entry that says so.

        Args:
            addresses: addr-specs as they go on the wire.

        Raises:
            SuppressionError: The list cannot be read; nobody may be mailed then.
        """
        database = self._opened()
        if database is None or not addresses:
            return {}
        lower = [address.lower() for address in addresses]
        with self._told():
            found = _entries(database, lower)
            if _has(database, "@", "A"):
                found |= _entries(database, {domain for address in lower for domain in domains_of(address)})
            by_hash = _has(database, "md5:", "md5;") or _has(database, "sha256:", "sha256;")
            if by_hash:
                found |= _entries(database, {value for address in lower for value in hashes_of(address)})
        if not found:
            return {}
        return {
            address: entry
            for address, plain in zip(addresses, lower, strict=True)
            if (entry := _first(found, plain, by_hash=by_hash)) is not None
        }

    def add(self, entries: Iterable[SuppressionEntry]) -> int:
        """Put entries on the list and return how many are new; those that are there stay as they are.

        Raises:
            SuppressionError: They cannot be written; none has been.
        """
        with self._transaction() as database:
            before = database.total_changes
            database.executemany(f"INSERT OR IGNORE INTO entry ({_COLUMNS}) VALUES (?, ?, ?, ?)", entries)  # noqa: S608 - constants
            return database.total_changes - before

    def remove(self, subjects: Sequence[str]) -> int:
        """Take entries off the list and return how many were there.

        Raises:
            SuppressionError: It cannot be written; all are still there.
        """
        if self._opened() is None:
            return 0
        with self._transaction() as database:
            before = database.total_changes
            database.executemany("DELETE FROM entry WHERE subject = ?", [(subject,) for subject in subjects])
            removed = database.total_changes - before
            database.executemany("DELETE FROM soft_bounce WHERE address = ?", [(subject,) for subject in subjects])
            return removed

    def note_soft_bounce(self, address: str, *, time_s: float, source: str) -> bool:
        """Note that a mailbox was full or away; return whether that puts it on the list now.

        Days are counted, not reports: three days with one, the last a week or more after the first.

        Raises:
            SuppressionError: It cannot be written.
        """
        address = address.lower()
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO soft_bounce VALUES (?, ?)", (address, int(time_s // 86_400)))
            count, first, last = database.execute(
                "SELECT count(*), min(day), max(day) FROM soft_bounce WHERE address = ?", (address,)
            ).fetchone()
            if count < SOFT_BOUNCES or (last - first) * 86_400 < SOFT_BOUNCE_SPAN_S:
                return False
            entry = SuppressionEntry(address, Reason.BOUNCE, source, time_s)
            before = database.total_changes
            database.execute(f"INSERT OR IGNORE INTO entry ({_COLUMNS}) VALUES (?, ?, ?, ?)", entry)  # noqa: S608 - constants
            return database.total_changes > before

    def entries(self) -> Iterator[SuppressionEntry]:
        """Yield the whole list, ordered by subject.

        Raises:
            SuppressionError: It cannot be read.
        """
        database = self._opened()
        if database is None:
            return
        with self._told():
            for row in database.execute(f"SELECT {_COLUMNS} FROM entry ORDER BY subject"):  # noqa: S608 - constants
                yield _entry(row)

    def _opened(self) -> sqlite3.Connection | None:
        """Return the database; None while there is no list."""
        if self._database is None and self.path.exists():
            with self._told():
                self._database = _connect(self.path)
        return self._database

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._told():
            if not self.path.exists():
                _create(self.path)
            database = self._opened()
            assert database is not None
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise SuppressionError(
                f"The do-not-mail list {self.path} cannot be used: {reason}.",
                fix="Nobody is mailed without it. Check the file's permissions and the disk, or restore it.",
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None)
    try:
        database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        made_by = database.execute("PRAGMA application_id").fetchone()[0]
        version = database.execute("PRAGMA user_version").fetchone()[0]
        if (made_by, version) != (APPLICATION_ID, SCHEMA_VERSION):
            what = "a newer version of mailblast made it" if made_by == APPLICATION_ID else "it is no list of ours"
            raise sqlite3.DatabaseError(what)  # noqa: TRY301 - one place gives it its words
        database.execute("PRAGMA journal_mode = WAL")
    except BaseException:
        database.close()
        raise
    return database


def _create(path: Path) -> None:
    """Make an empty list, whole or not at all; two processes may do so at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    database = sqlite3.connect(draft, isolation_level=None)
    try:
        database.executescript(_TABLES)
        database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    finally:
        database.close()
    try:
        os.link(draft, path)
    except FileExistsError:
        # Another process was first; its list is as good.
        pass
    finally:
        draft.unlink()


def _has(database: sqlite3.Connection, first: str, end: str) -> bool:
    """Return whether there is a subject from ``first`` on and before ``end``."""
    query = "SELECT 1 FROM entry WHERE subject >= ? AND subject < ? LIMIT 1"
    return database.execute(query, (first, end)).fetchone() is not None


def _entries(database: sqlite3.Connection, subjects: Iterable[str]) -> dict[str, SuppressionEntry]:
    found = {}
    values = list(subjects)
    for start in range(0, len(values), _AT_ONCE):
        some = values[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        for row in database.execute(f"SELECT {_COLUMNS} FROM entry WHERE subject IN ({marks})", some):  # noqa: S608 - marks
            found[row[0]] = _entry(row)
    return found


def _entry(row: tuple[str, str, str, float]) -> SuppressionEntry:
    return SuppressionEntry(row[0], Reason(row[1]), row[2], row[3])


def _first(found: dict[str, SuppressionEntry], address: str, *, by_hash: bool) -> SuppressionEntry | None:
    """Return the entry that an address falls under: its own first, then its domain's, then its hash's."""
    candidates = [address, *domains_of(address)]
    if by_hash:
        candidates += hashes_of(address)
    return next((found[subject] for subject in candidates if subject in found), None)

"""The SQLite file: schema, settings, and errors in the user's words."""

from __future__ import annotations

import os
import secrets
import sqlite3
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING
from urllib.parse import quote

from mailblast.errors import JournalDamagedError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SCHEMA_VERSION = 1
#: "mblj" in ASCII: tells our files from other SQLite files.
_APPLICATION_ID = 0x6D626C6A

#: ``key_index`` finds ids by the hash of a key; rows above ``meta.indexed`` are not in it yet (``table.py``).
#: ``address`` is null where it equals ``key``; ``fields`` is kept while the row may be needed again.
#: ``retry`` holds who is to be tried again in this run; ``variables`` is null where they equal the fields.
TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE run (
    id INTEGER PRIMARY KEY, started REAL NOT NULL, finished REAL, host TEXT NOT NULL, pid INTEGER NOT NULL,
    provider TEXT NOT NULL, template TEXT NOT NULL, rows INTEGER NOT NULL DEFAULT 0, counts TEXT NOT NULL DEFAULT '{}',
    whole_list INTEGER NOT NULL DEFAULT 0, exit_code INTEGER, grade TEXT NOT NULL DEFAULT ''
);
CREATE TABLE recipient (
    id INTEGER PRIMARY KEY, key TEXT NOT NULL, state INTEGER NOT NULL, row INTEGER NOT NULL, address TEXT,
    dated INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, time REAL, code INTEGER, duration REAL,
    digest INTEGER, enhanced TEXT, text TEXT, provider TEXT, provider_id TEXT, fields TEXT
);
CREATE TABLE key_index (hash INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (hash, id)) WITHOUT ROWID;
CREATE TABLE fault (
    id INTEGER PRIMARY KEY, row INTEGER NOT NULL, key TEXT NOT NULL, address TEXT NOT NULL, state INTEGER NOT NULL,
    time REAL NOT NULL, text TEXT NOT NULL, fields TEXT
);
CREATE TABLE retry (
    at REAL NOT NULL, id INTEGER NOT NULL, variables TEXT, PRIMARY KEY (at, id)
) WITHOUT ROWID;
"""

# A log of 32 MB gathers the writes to one page before they are copied into the database; the cache of 32 MB holds the
# key index of two million recipients.
_CHECKPOINT_PAGES = 8000
_CACHE_KIB = 32_000
_BUSY_MS = 10_000

# Primary result codes, https://sqlite.org/rescode.html
_CORRUPT = 11
_NOT_A_DATABASE = 26
_FULL = 13


def create(path: Path, *, created_s: float) -> None:
    """Make an empty journal at ``path``, whole or not at all.

    The file gets its name last. An empty or half-made file of that name is therefore never a new journal, but a
    damaged one.

    Raises:
        JournalError: It cannot be made.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        draft.unlink(missing_ok=True)
        os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be made: {error.strerror}.",
            fix="Check the folder's permissions and free space, or set MAILBLAST_HOME to another folder.",
        ) from error
    with told(path):
        database = sqlite3.connect(draft, isolation_level=None)
        try:
            write_schema(database, created_s=created_s)
        finally:
            database.close()
    draft.rename(path)


def write_schema(database: sqlite3.Connection, *, created_s: float) -> None:
    """Create the tables in an empty database."""
    database.execute("BEGIN")
    for statement in TABLES.split(";"):
        database.execute(statement)
    database.executemany(
        "INSERT INTO meta VALUES (?, ?)",
        [("token", secrets.token_hex(8)), ("created", created_s), ("open", 0), ("indexed", 0)],
    )
    database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    database.execute("COMMIT")


def connect(path: Path, *, durable: bool) -> sqlite3.Connection:
    """Open a journal for writing.

    Raises:
        JournalDamagedError: The file is no whole database.
        JournalError: It cannot be opened, or a newer version made it.
    """
    with told(path):
        check_length(path)
        database = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=rw", uri=True, isolation_level=None)
        try:
            _set_up(database, path, durable=durable)
        except BaseException:
            database.close()
            raise
    return database


def _set_up(database: sqlite3.Connection, path: Path, *, durable: bool) -> None:
    _add_functions(database)
    database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
    check_version(database, "main", path)
    mode = database.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise JournalError(
            f"The journal {path} is on a file system that cannot share memory between processes.",
            fix="Set MAILBLAST_HOME to a folder on a local disk.",
        )
    database.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
    database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    database.execute(f"PRAGMA journal_size_limit = {_CHECKPOINT_PAGES * 4096}")


def connect_overlay(path: Path, *, created_s: float, unchanging: bool) -> sqlite3.Connection:
    """Open a private, temporary journal, with the one at ``path`` beside it as ``old``, read only.

    What does not fit into the cache is in an unnamed temporary file. Without a file at ``path``, ``old`` is an empty
    journal.

    Args:
        path: The journal that is only read.
        created_s: Unix seconds, for an empty journal.
        unchanging: Nobody is writing to it, so that not even SQLite's shared memory file is made beside it.

    Raises:
        JournalDamagedError: The file is no whole database.
        JournalError: It cannot be opened, or a newer version made it.
    """
    with told(path):
        database = sqlite3.connect("", uri=True, isolation_level=None)
        try:
            _add_functions(database)
            database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
            if path.exists():
                check_length(path)
                option = "immutable=1" if unchanging else "mode=ro"
                database.execute("ATTACH ? AS old", (f"file:{quote(str(path.absolute()))}?{option}",))
                database.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
                check_version(database, "old", path)
                database.executescript(TABLES)
                database.execute("INSERT INTO main.meta SELECT * FROM old.meta")
                database.execute("INSERT INTO main.run SELECT * FROM old.run")
            else:
                write_schema(database, created_s=created_s)
                database.execute("ATTACH '' AS old")
                database.executescript(TABLES.replace("CREATE TABLE ", "CREATE TABLE old."))
        except BaseException:
            database.close()
            raise
    return database


def _add_functions(database: sqlite3.Connection) -> None:
    database.create_function("key_hash", 1, key_hash, deterministic=True)


def key_hash(key: str) -> int:
    """Return 64 bits of BLAKE2b (RFC 7693) as SQLite's signed integer: keys of a list cannot be made to collide."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big", signed=True)


def check_length(path: Path) -> None:
    """Refuse a database that does not end with a page, before SQLite touches it.

    SQLite notices that a whole page is missing, and reads half a page as one that ends in zeros. A connection that is
    closed again would copy its log into the file, and half a page would then be a whole one.

    Raises:
        JournalDamagedError: A page is missing in part.
        JournalError: The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(18)
            length = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise JournalError(
            f"The journal {path} cannot be read: {error.strerror}.", fix="Check the folder's permissions."
        ) from error
    # https://sqlite.org/fileformat2.html section 1.3.2; 1 stands for 65,536.
    page_size = int.from_bytes(head[16:18], "big")
    if length % (65_536 if page_size == 1 else max(page_size, 512)):
        raise damaged(path, "its end is missing")


def check_version(database: sqlite3.Connection, schema: str, path: Path) -> None:
    """Refuse a database that is not ours, or from the future.

    Raises:
        JournalDamagedError: It is no journal.
        JournalError: A newer version made it.
    """
    made_by = database.execute(f"PRAGMA {schema}.application_id").fetchone()[0]
    version = database.execute(f"PRAGMA {schema}.user_version").fetchone()[0]
    if made_by != _APPLICATION_ID or version < 1:
        raise damaged(path, "it is not a journal")
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"The journal {path} was written by a newer version (format {version}, this one knows {SCHEMA_VERSION}).",
            fix="Update mailblast.",
        )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into ours, in the user's words."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {_CORRUPT, _NOT_A_DATABASE}:
            raise damaged(path, str(error)) from error
        fix = "Check the folder's permissions and free space"
        if code == _FULL:
            fix = "Make room on the disk"
        raise JournalError(
            f"The journal {path} cannot be used: {error}.",
            fix=f"{fix}, then run the same command again: it continues.",
        ) from error


def damaged(path: Path, reason: str) -> JournalDamagedError:
    """Return the error for a journal that cannot be trusted."""
    return JournalDamagedError(
        f"The journal {path} is damaged: {reason}. It has been left as it is.",
        fix="Restore the campaign's folder from a backup. A new --campaign would mail everyone again.",
    )

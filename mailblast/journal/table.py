"""The keyed table: where each recipient stands."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mailblast.journal import statements
from mailblast.journal.codes import CODES, IN_DOUBT, SENDING, STATES
from mailblast.journal.columns import (
    FAULT_COLUMNS,
    OUTCOME_COLUMNS,
    accept_values,
    fault_values,
    fold_values,
    storable,
    to_outcome,
)
from mailblast.journal.database import key_hash, told
from mailblast.model.outcome import State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from pathlib import Path

    from mailblast.model.outcome import Outcome

# Key, id, state code, attempts, dated_s, digest. A plain tuple: one is made for every row of a resumed list.
Known = tuple[str, int, int, int, int, int | None]

# Time it was due, variables as JSON, id, key, row, address, fields as JSON, dated_s, attempts, state code, digest.
DueRow = tuple[float, str | None, int, str, int, str, str | None, int, int, int, int | None]

#: A place in the queue: Unix seconds from which its recipient is due, and the recipient's id.
QueuePlace = tuple[float, int]

#: New keys after which the key index is brought up to date: about 8 MB of memory, and a pause of some 0.15 s.
_INDEX_AT = 50_000

#: Keys looked up by one statement; builds of SQLite before 3.32 take 999 values.
_KEYS_AT_ONCE = 500


class RecipientTable:
    """Recipients, faults and retries in one SQLite database. Each call that writes is one transaction.

    Args:
        database: Open, in autocommit mode; closed by ``close()``.
        path: Its file, for errors.
    """

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self.database = database
        self.path = path
        #: Ids of keys that this run was the first to claim and that are not in the key index yet.
        self._recent: dict[str, int] = {}
        #: Whether the key index is known to hold nothing: then nothing is looked up in it, which saves 1 µs a key.
        self._is_index_empty = False

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Do all or nothing.

        Raises:
            JournalError: It cannot be written; nothing of it has been.
        """
        database = self.database
        with told(self.path):
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                # SQLite has rolled back by itself after some errors.
                if database.in_transaction:
                    database.execute("ROLLBACK")
                raise

    def last_id(self) -> int:
        """Return the highest number given to a recipient, 0 for none."""
        with told(self.path):
            return max(int(self._value(statements.last_id(source))) for source in self.recipient_sources())

    def known(self, keys: Sequence[str]) -> dict[str, Known]:
        """Return what is on record about these keys.

        Raises:
            UnicodeEncodeError: A key holds a lone surrogate.
        """
        recent = self._recent
        found: dict[str, Known] = {key: (key, recent[key], SENDING, 0, 0, None) for key in keys if key in recent}
        if self._is_index_empty:
            # As hashing them would.
            "".join(keys).encode()
            return found
        hashes = list(map(key_hash, keys))
        with told(self.path):
            for start in range(0, len(hashes), _KEYS_AT_ONCE):
                some = hashes[start : start + _KEYS_AT_ONCE]
                for source in self.key_sources():
                    rows = self.database.execute(statements.known(source, len(some)), some)
                    found.update((row[0], row) for row in rows)
        return found

    def index(self) -> None:
        """Bring the key index up to date.

        Hashes come in no order, so one batch touches as many pages of the index as it has keys: updated with each
        batch, the index would cost more than all the rest of the journal. So it is updated for thousands of keys at
        once, and until then these are found in memory. After a kill they are read from the table.

        Raises:
            JournalError: It cannot be written; it stays as it was.
        """
        with self.transaction() as database:
            database.execute(statements.INDEX)
            database.execute(statements.INDEXED)
            self._is_index_empty = database.execute("SELECT 1 FROM key_index LIMIT 1").fetchone() is None
        self._recent.clear()

    def claim(
        self,
        new: Sequence[tuple[int, str, int, str | None, int]],
        again: Sequence[tuple[int, str | None, int, int]],
        held: Sequence[tuple[int, str | None, int]],
    ) -> None:
        """Record claims.

        Args:
            new: Id, key, row, address (None where it is the key), dated_s.
            again: Row, address, dated_s, id of known ones.
            held: Row, fields as JSON, id of those in doubt that are not sent: the list of failures wants the columns.
        """
        if not (new or again or held):
            return
        with self.transaction() as database:
            if new:
                database.executemany(statements.INSERT, new)
            if again:
                self.adopt([each[3] for each in again])
                database.executemany(statements.CLAIM, again)
            if held:
                self.adopt([each[2] for each in held])
                database.executemany(statements.HOLD, held)
        self._recent.update((row[1], row[0]) for row in new)
        if len(self._recent) >= _INDEX_AT:
            self.index()

    def fold(
        self,
        outcomes: Sequence[Outcome],
        retries: Sequence[tuple[float, int, str | None]] = (),
        segment: tuple[str, int] | None = None,
        done: Sequence[QueuePlace] = (),
    ) -> None:
        """Record what became of claims.

        Args:
            outcomes: At most one a claim.
            retries: Who is to be tried again: Unix seconds, id, variables as JSON.
            segment: Name and length of the segment that holds the outcomes too.
            done: Places in the queue that are done with.
        """
        with self.transaction() as database:
            self._fold(outcomes)
            if done:
                database.executemany("DELETE FROM retry WHERE at = ? AND id = ?", done)
            if segment:
                database.execute("INSERT OR REPLACE INTO meta VALUES ('segment', ?)", ("{} {}".format(*segment),))
            if retries:
                database.executemany("INSERT OR REPLACE INTO retry VALUES (?, ?, ?)", retries)

    def amend(self, outcomes: Sequence[Outcome]) -> None:
        """Correct what is on record about recipients that were accepted or are in doubt."""
        rows = [(CODES[each.state], each.time_s, each.code, each.enhanced, each.text, each.id) for each in outcomes]
        with self.transaction():
            self.adopt([each.id for each in outcomes])
            self._execute_each(statements.AMEND, rows)

    def settle(self, outcomes: Collection[Outcome], marks: Iterable[tuple[int, float, int]], unmarked: int) -> int:
        """Take over what segments tell about the claims of a run that has ended. Inside the caller's transaction.

        Args:
            outcomes: The last one of each claim.
            marks: Digest, Unix seconds and id of claims marked without an outcome.
            unmarked: State code for claims of which the segments tell nothing.

        Returns:
            How many have become in doubt.
        """
        execute = self.database.execute
        for outcome in outcomes:
            row = execute("SELECT state, attempts FROM recipient WHERE id = ?", (outcome.id,)).fetchone()
            if row is not None and _takes_over(outcome, *row):
                self._fold([outcome])
        marks = list(marks)
        in_doubt = sum(execute(statements.DOUBT, mark).rowcount for mark in marks)
        left = execute(statements.RELEASE, (unmarked,)).rowcount
        doubtful = [each.id for each in outcomes if each.state is State.IN_DOUBT] + [mark[2] for mark in marks]
        if doubtful:
            execute(statements.UNQUEUE, (json.dumps(doubtful),))
        if unmarked == IN_DOUBT:
            execute(statements.UNQUEUE_DOUBTFUL)
            in_doubt += left
        return in_doubt

    def segment_end(self) -> tuple[str, int]:
        """Return name and length of the segment at the last ``fold()``; an empty name where none was told."""
        with told(self.path):
            row = self.database.execute("SELECT value FROM meta WHERE name = 'segment'").fetchone()
        name, _, length = row[0].partition(" ") if row else ("", "", "0")
        return name, int(length)

    def take_due(self, before_s: float, limit: int) -> list[DueRow]:
        """Take those that are to be tried again by now, the oldest first, and record them as claimed."""
        with self.transaction() as database:
            rows: list[DueRow] = database.execute(statements.DUE, (before_s, limit)).fetchall()
            database.executemany("DELETE FROM retry WHERE at = ? AND id = ?", [(row[0], row[2]) for row in rows])
            database.executemany(
                statements.CLAIM_DUE,
                [(row[2],) for row in rows],
            )
            return rows

    def read_due(self, before_s: float, after: QueuePlace, limit: int) -> list[DueRow]:
        """Return those of the queue that are due by now and stand behind a place in it, and record them as claimed.

        They stay in the queue until ``fold()`` is told that they are done, so that a kill takes nobody out of it.
        """
        with self.transaction() as database:
            rows: list[DueRow] = database.execute(statements.QUEUED, (before_s, *after, limit)).fetchall()
            database.executemany(statements.CLAIM_DUE, [(row[2],) for row in rows])
            return rows

    def hasten(self) -> None:
        """Make everybody due who is to be tried again later."""
        with self.transaction() as database:
            database.execute("UPDATE OR REPLACE retry SET at = 0")

    def trim_queue(self) -> int:
        """Take out of the queue who is settled, as recovery finds them after a kill; return how many are left."""
        with self.transaction() as database:
            database.execute(statements.TRIM_QUEUE)
        return self.queued()

    def clear_queue(self) -> int:
        """Take everybody out of the queue; return how many there were."""
        with self.transaction() as database:
            return database.execute("DELETE FROM retry").rowcount

    def queued(self, schema: str = "main") -> int:
        """Return how many are in the queue, in the database of that name."""
        with told(self.path):
            return int(self._value(f"SELECT count(*) FROM {schema}.retry"))  # noqa: S608 - main or old

    def settled_codes(self, codes: Collection[int]) -> Iterator[tuple[int, int]]:
        """Yield id and state code of recipients in some states, by id."""
        with told(self.path):
            yield from self.database.execute(statements.settled(list(codes)))

    def next_due_s(self) -> float | None:
        """Return when the next one is to be tried again, None where nobody is."""
        with told(self.path):
            at = self._value("SELECT min(at) FROM retry")
            return None if at is None else float(at)

    def forget_list(self) -> None:
        """Forget the faults and retries of the list as it was read before. Inside the caller's transaction."""
        self.database.execute("DELETE FROM fault")
        self.database.execute("DELETE FROM retry")

    def record_faults(self, outcomes: Sequence[Outcome]) -> None:
        """Record rows that never became a claim."""
        with self.transaction() as database:
            database.executemany(statements.FAULT, map(fault_values, outcomes))

    def counts(self) -> dict[State, int]:
        """Return how many recipients and faults are in each state, all nine of them."""
        totals = [0] * len(STATES)
        with told(self.path):
            for source in (*self.recipient_sources(), *self.fault_sources()):
                row = self.database.execute(statements.counts(source)).fetchone()
                totals = [total + more for total, more in zip(totals, row, strict=True)]
        return dict(zip(STATES.values(), totals, strict=True))

    def outcomes(self, states: Collection[State]) -> Iterator[Outcome]:
        """Yield where recipients stand, then the faults of the list, each in the order they were first seen."""
        selections = [(OUTCOME_COLUMNS, source) for source in self.recipient_sources()]
        selections += [(FAULT_COLUMNS, source) for source in self.fault_sources()]
        codes = [CODES[state] for state in states]
        with told(self.path):
            for columns, source in selections:
                query = statements.outcomes(columns, source, codes)
                yield from map(to_outcome, self.database.execute(query))

    def recipient_sources(self) -> tuple[str, ...]:
        """Return tables that together have every recipient once."""
        return ("recipient",)

    def fault_sources(self) -> tuple[str, ...]:
        """Return tables that together have every fault once."""
        return ("fault",)

    def key_sources(self) -> tuple[str, ...]:
        """Return databases to look keys up in; the later one has the last word."""
        return ("main",)

    def adopt(self, ids: Iterable[int]) -> None:
        """Make rows changeable. They are, but for an overlay."""

    def adopt_claimed(self) -> None:
        """Make all rows changeable that are claimed without an outcome. They are, but for an overlay."""

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def _fold(self, outcomes: Sequence[Outcome]) -> None:
        # Nearly all are accepted in most runs, and for them there is less to ask.
        usual = State.ACCEPTED
        accepted = [accept_values(outcome) for outcome in outcomes if outcome.state is usual]
        others = [fold_values(outcome) for outcome in outcomes if outcome.state is not usual]
        self._execute_each(statements.ACCEPT, accepted)
        self._execute_each(statements.FOLD, others)

    def _execute_each(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        try:
            self.database.executemany(statement, rows)
        except UnicodeEncodeError:
            # A server's reply may hold bytes that are no text. Those rows that went well are done again.
            self.database.executemany(statement, [tuple(map(storable, row)) for row in rows])

    def _value(self, query: str) -> Any:
        return self.database.execute(query).fetchone()[0]


def _takes_over(outcome: Outcome, state: int, attempts: int) -> bool:
    # A segment may still hold an earlier attempt of a claim that another process took on.
    if state == SENDING:
        # Deferred after no more attempts than are on record: what came of the claim before this one.
        return outcome.state is not State.DEFERRED or outcome.attempts > attempts
    if state == IN_DOUBT:
        return outcome.attempts >= attempts
    return outcome.attempts > attempts

"""What is asked of the keyed table, in SQL."""
# ruff: noqa: S608 - all that is put into these statements are the small integers of codes.py

from __future__ import annotations

from mailblast.journal.codes import ACCEPTED, CODES, DEFERRED, FAILED, IN_DOUBT, SENDING, UNSENT

INSERT = f"INSERT INTO recipient (id, key, state, row, address, dated) VALUES (?, ?, {SENDING}, ?, ?, ?)"

# One that is in doubt stays so until an answer comes: a claim that is never sent must not free it.
CLAIM = f"""
UPDATE recipient SET
    state = CASE state WHEN {IN_DOUBT} THEN {IN_DOUBT} ELSE {SENDING} END, row = ?, address = ?, dated = ?
WHERE id = ?
"""

HOLD = "UPDATE recipient SET row = ?, fields = ? WHERE id = ?"

# Accepted is final, and follows on everything.
ACCEPT = f"""
UPDATE recipient SET
    state = {ACCEPTED}, time = ?, provider = ?, code = ?, enhanced = ?, text = ?, attempts = ?, duration = ?,
    provider_id = ?, digest = coalesce(?, digest), fields = NULL
WHERE id = ? AND state <> {ACCEPTED}
"""

# In doubt gives way to an answer only: the first copy may be with the reader.
FOLD = f"""
UPDATE recipient SET
    state = CASE WHEN state = {IN_DOUBT} AND NOT ? THEN {IN_DOUBT} ELSE ? END,
    time = ?, provider = ?, code = ?, enhanced = ?, text = ?, attempts = ?, duration = ?, provider_id = ?,
    digest = coalesce(?, digest), fields = coalesce(?, fields)
WHERE id = ? AND state <> {ACCEPTED}
"""

# What came back later, about what was accepted or in doubt.
AMEND = f"""
UPDATE recipient SET state = ?, time = ?, code = ?, enhanced = ?, text = ?
WHERE id = ? AND state IN ({ACCEPTED}, {IN_DOUBT})
"""

# A mark without outcome, found by recovery.
DOUBT = f"""
UPDATE recipient SET state = {IN_DOUBT}, attempts = attempts + 1, digest = ?, time = ?
WHERE id = ? AND state NOT IN ({ACCEPTED}, {FAILED}, {IN_DOUBT})
"""

# A claim without a mark, found by recovery.
RELEASE = f"UPDATE recipient SET state = ? WHERE state = {SENDING}"

DUE = """
SELECT retry.at, retry.variables, id, key, row, coalesce(address, key), fields, dated, attempts, state, digest
FROM retry JOIN recipient USING (id) WHERE at <= ? ORDER BY at, id LIMIT ?
"""

QUEUED = """
SELECT retry.at, retry.variables, id, key, row, coalesce(address, key), fields, dated, attempts, state, digest
FROM retry JOIN recipient USING (id) WHERE at <= ? AND (at, id) > (?, ?) ORDER BY at, id LIMIT ?
"""

# Who is in doubt and in the queue is so because it was asked for; see UNQUEUE.
TRIM_QUEUE = f"""
DELETE FROM retry WHERE NOT EXISTS (
    SELECT 1 FROM recipient WHERE recipient.id = retry.id AND state IN ({UNSENT}, {DEFERRED}, {IN_DOUBT})
)
"""

# A message that may have left is not sent once more for having been queued before.
UNQUEUE = "DELETE FROM retry WHERE id IN (SELECT value FROM json_each(?))"
UNQUEUE_DOUBTFUL = f"DELETE FROM retry WHERE id IN (SELECT id FROM recipient WHERE state = {IN_DOUBT})"

CLAIM_DUE = f"UPDATE recipient SET state = {SENDING} WHERE id = ? AND state <> {IN_DOUBT}"

# In the order of the hashes, so that each page is written once.
INDEX = """
INSERT OR IGNORE INTO key_index
SELECT key_hash(key), id FROM recipient WHERE id > (SELECT value FROM meta WHERE name = 'indexed') ORDER BY 1
"""
INDEXED = "UPDATE meta SET value = (SELECT coalesce(max(id), 0) FROM recipient) WHERE name = 'indexed'"

FAULT = "INSERT INTO fault (row, key, address, state, time, text, fields) VALUES (?, ?, ?, ?, ?, ?, ?)"

_COUNT_COLUMNS = ", ".join(f"count(*) FILTER (WHERE state = {code})" for code in CODES.values())


def last_id(source: str) -> str:
    """Return the query for the highest number given to a recipient."""
    return f"SELECT coalesce(max(id), 0) FROM {source}"


def known(source: str, keys: int) -> str:
    """Return the query for what is on record under so many hashes of keys, in the database of that name."""
    return (
        f"SELECT key, id, state, attempts, dated, digest FROM {source}.key_index JOIN {source}.recipient USING (id) "
        f"WHERE hash IN ({','.join('?' * keys)})"
    )


def counts(source: str) -> str:
    """Return the query for the number of rows in each state, in the order of ``CODES``: one pass, no sorting."""
    return f"SELECT {_COUNT_COLUMNS} FROM {source}"


def settled(codes: list[int]) -> str:
    """Return the query for id and state of the recipients in some states."""
    return f"SELECT id, state FROM recipient WHERE state IN ({', '.join(map(str, codes))}) ORDER BY id"


def outcomes(columns: str, source: str, codes: list[int]) -> str:
    """Return the query for the rows in some states, in the order they were first seen."""
    return f"SELECT {columns} FROM {source} WHERE state IN ({', '.join(map(str, codes))}) ORDER BY id"

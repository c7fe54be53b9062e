"""The runs of a campaign."""

from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from mailblast.journal.database import told
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailblast.journal.table import RecipientTable

_COLUMNS = "id, started, finished, host, pid, provider, template, rows, counts, whole_list, exit_code, grade"


class RunStart(NamedTuple):
    """What a run learns of those before it."""

    id: int
    #: The template differs from that of the last run.
    template_changed: bool
    previous_runs: int


class Run(NamedTuple):
    """One run on record."""

    id: int
    #: Unix seconds.
    started_s: float
    #: None while it is going on, and where it was killed.
    finished_s: float | None
    host: str
    pid: int
    provider: str
    #: Fingerprint of the template.
    template: str
    #: Rows read so far.
    rows: int
    #: This run's own counts so far, all nine.
    counts: Mapping[State, int]
    #: The list was read to its end.
    whole_list: bool
    exit_code: int | None
    grade: str


def start_run(
    table: RecipientTable, *, time_s: float, provider: str, template: str, keeps_queue: bool = False
) -> RunStart:
    """Record a run that begins."""
    with table.transaction() as database:
        if not keeps_queue:
            table.forget_list()
        previous = database.execute("SELECT count(*) FROM run").fetchone()[0]
        last = database.execute("SELECT template FROM run ORDER BY id DESC LIMIT 1").fetchone()
        run_id = database.execute(
            "INSERT INTO run (started, host, pid, provider, template) VALUES (?, ?, ?, ?, ?)",
            (time_s, socket.gethostname(), os.getpid(), provider, template),
        ).lastrowid
    assert run_id is not None
    return RunStart(run_id, template_changed=last is not None and last[0] != template, previous_runs=previous)


def note_progress(table: RecipientTable, run_id: int, *, counts: Mapping[State, int], rows: int) -> None:
    """Record a run's own counts so far."""
    with table.transaction() as database:
        database.execute("UPDATE run SET counts = ?, rows = ? WHERE id = ?", (json.dumps(dict(counts)), rows, run_id))


def finish_run(  # one column each
    table: RecipientTable,
    run_id: int,
    *,
    time_s: float,
    counts: Mapping[State, int],
    rows: int,
    whole_list: bool,
    exit_code: int,
    grade: str,
) -> None:
    """Record how a run ended."""
    with table.transaction() as database:
        database.execute(
            "UPDATE run SET finished = ?, counts = ?, rows = ?, whole_list = ?, exit_code = ?, grade = ? WHERE id = ?",
            (time_s, json.dumps(dict(counts)), rows, whole_list, exit_code, grade, run_id),
        )


def read_runs(table: RecipientTable) -> Iterator[Run]:
    """Yield the runs on record, the first one first."""
    with told(table.path):
        for row in table.database.execute(f"SELECT {_COLUMNS} FROM run ORDER BY id"):  # noqa: S608 - ours
            run = Run(*row)
            counts = json.loads(row[8])
            yield run._replace(
                counts={state: int(counts.get(state, 0)) for state in State},
                whole_list=bool(run.whole_list),
            )

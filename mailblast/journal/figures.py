"""A campaign in figures, for a report. Each is one pass over the table, and as long as the chart, not the list."""
# ruff: noqa: S608 - all that is put into these statements are our own names and numbers

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.journal.codes import ACCEPTED, CODES, DEFERRED, FAILED, IN_DOUBT, STATES
from mailblast.journal.database import told
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mailblast.journal.table import RecipientTable

#: Upper edges of the bins of ``latency()``, in seconds; one more bin holds what is longer.
LATENCY_EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 60.0)
#: States of recipients that a message was tried for.
_ATTEMPTED = (ACCEPTED, DEFERRED, FAILED, IN_DOUBT)
_TRIED = f"state IN ({', '.join(map(str, _ATTEMPTED))}) AND time IS NOT NULL"
_ADDRESS = "coalesce(address, key)"


class Interval(NamedTuple):
    """Recipients whose outcome fell into one stretch of time."""

    #: Number of the stretch, from 0.
    number: int
    accepted: int
    #: Attempted and not accepted.
    failed: int
    #: Average time of a message in seconds.
    average_s: float


class Share(NamedTuple):
    """Recipients of one provider or domain, where they stand now."""

    name: str
    counts: Mapping[State, int]
    #: Average time of a message in seconds, of those attempted.
    average_s: float


class ErrorKind(NamedTuple):
    """Recipients that were not accepted, by what was said."""

    state: State
    code: int
    enhanced: str
    recipients: int
    #: What was said to one of them, its address left in. Foreign text.
    text: str
    #: Foreign text.
    address: str


class CampaignFigures:
    """Asks the keyed table. Recipients count once, by where they stand.

    Args:
        table: Open; stays open.
    """

    def __init__(self, table: RecipientTable) -> None:
        self._table = table

    def span_s(self) -> tuple[float, float] | None:
        """Return when the first and the last outcome fell, in Unix seconds; None where nothing was attempted."""
        ((first, last),) = self._rows("SELECT min(time), max(time)", f"WHERE {_TRIED}")
        return None if first is None else (float(first), float(last))

    def over_time(self, start_s: float, length_s: float) -> Iterator[Interval]:
        """Yield stretches of ``length_s`` seconds in which something was attempted, the first one first."""
        select = f"""SELECT CAST((time - {start_s!r}) / {length_s!r} AS INTEGER) AS number, sum(state = {ACCEPTED}),
            sum(state <> {ACCEPTED}), coalesce(avg(duration), 0.0)"""
        for row in self._rows(select, f"WHERE {_TRIED} GROUP BY number ORDER BY number"):
            yield Interval(*row)

    def by_provider(self) -> list[Share]:
        """Return the providers that attempted something, the busiest first."""
        return self._shares("coalesce(provider, '')", f"WHERE {_TRIED}", limit=20)

    def by_domain(self, limit: int) -> list[Share]:
        """Return the largest recipient domains."""
        return self._shares(f"lower(substr({_ADDRESS}, instr({_ADDRESS}, '@') + 1))", "WHERE 1", limit=limit)

    def latency(self) -> list[int]:
        """Return how many messages took so long: a bin for each of ``LATENCY_EDGES_S`` and one for what took longer."""
        cases = " ".join(f"WHEN duration < {edge!r} THEN {number}" for number, edge in enumerate(LATENCY_EDGES_S))
        counts = [0] * (len(LATENCY_EDGES_S) + 1)
        select = f"SELECT CASE {cases} ELSE {len(LATENCY_EDGES_S)} END AS bin, count(*)"
        for number, count in self._rows(select, f"WHERE {_TRIED} GROUP BY bin"):
            counts[number] = count
        return counts

    def errors(self, limit: int) -> list[ErrorKind]:
        """Return what was said most often to those who were not accepted."""
        wanted = ", ".join(str(CODES[state]) for state in (State.DEFERRED, State.FAILED, State.IN_DOUBT))
        select = f"""SELECT state, coalesce(code, 0), coalesce(enhanced, ''), count(*) AS number,
            max(coalesce(text, '')), max({_ADDRESS})"""
        # Without an enhanced code the text is what tells kinds apart; it often quotes the address.
        kind = f"CASE WHEN coalesce(enhanced, '') = '' THEN replace(coalesce(text, ''), {_ADDRESS}, '') END"
        rest = f"WHERE state IN ({wanted}) GROUP BY state, code, enhanced, {kind} ORDER BY number DESC LIMIT {limit}"
        return [ErrorKind(STATES[row[0]], *row[1:]) for row in self._rows(select, rest)]

    def _shares(self, name: str, where: str, *, limit: int) -> list[Share]:
        counts = ", ".join(f"sum(state = {code})" for code in CODES.values())
        tried = f"avg(CASE WHEN {_TRIED} THEN duration END)"
        rest = f"{where} GROUP BY name ORDER BY count(*) DESC, name LIMIT {limit}"
        return [
            Share(str(row[0]), dict(zip(STATES.values(), row[2:], strict=True)), float(row[1] or 0.0))
            for row in self._rows(f"SELECT {name} AS name, {tried}, {counts}", rest)
        ]

    def _rows(self, select: str, rest: str) -> list[tuple[Any, ...]]:
        sources = " UNION ALL ".join(f"SELECT * FROM {source}" for source in self._table.recipient_sources())
        with told(self._table.path):
            return self._table.database.execute(f"{select} FROM ({sources}) {rest}").fetchall()

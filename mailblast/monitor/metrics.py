"""Counters of a run, with a window over its last minute.

**The window.** Time since the monitor was made is cut into whole seconds. The window is the running second and the 59
before it: up to 60 s, and the whole run while that is shorter. Rates are divided by the time that the window really
covers, ``min(uptime, 59 s + what has passed of the running second)``, where the guide always divides by 60; so a run
of ten seconds is graded by ten seconds, and a steady run measures its true rate at every instant.

**Delivery errors.** Attempted are messages accepted, failed, deferred or in doubt; all but the first are errors.
Invalid, suppressed and duplicate rows were never attempted: they count as rows done, not as throughput or errors.

Recording costs the same however long the run is: each second has one slot of a ring, with a cell per provider, one per
recipient domain, and a histogram of times. No outcome is kept. Domains beyond the first ``MOST_DOMAINS`` of a run share
one cell: any list meets its large domains early.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from mailblast.model.outcome import State
from mailblast.monitor.cells import Cell, Second, by_size, figures_of, total_of
from mailblast.monitor.error_counts import ErrorCounts
from mailblast.monitor.grade import UNGRADED, Grade, check_rate_limit, grade
from mailblast.monitor.histogram import EDGES_S, percentile_ms
from mailblast.monitor.snapshot import Quota, Snapshot, Transports, estimate

if TYPE_CHECKING:
    from mailblast.clock import Clock
    from mailblast.model.outcome import Outcome

__all__ = ["Monitor", "Snapshot"]

WINDOW_S = 60
#: Domains that are told apart.
MOST_DOMAINS = 500
#: Name of all the others together.
OTHER_DOMAINS = "(others)"

#: One more than the window, so that the history can show 60 whole seconds beside the running one.
_SLOTS = WINDOW_S + 1

#: Domains in a snapshot, the largest first.
_DOMAINS_SHOWN = 20

#: No clock tells shorter runs apart from none.
_SHORTEST_S = 0.001

_ACCEPTED = State.ACCEPTED
#: Attempted and not accepted.
_ERRORS = frozenset({State.FAILED, State.DEFERRED, State.IN_DOUBT})
#: What an operator may be able to mend.
_MENDABLE = _ERRORS | {State.INVALID}


class Monitor:
    """Counts outcomes and tells how the run goes. For one thread.

    Args:
        clock: Only ``monotonic`` is asked, once per outcome.
        total_bytes: Length of the list, for the fraction done; None where it is unknown.
        rate_limit_per_s: Limit that the run keeps, in messages a second; the grade is measured against it.
        total_rows: Length of the list in rows, where that is known; goes before ``total_bytes``.

    Raises:
        ValueError: The rate limit is not positive and finite.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        total_bytes: int | None = None,
        rate_limit_per_s: float | None = None,
        total_rows: int | None = None,
    ) -> None:
        check_rate_limit(rate_limit_per_s)
        self._rate_limit_per_s = rate_limit_per_s
        self._waiting = ""
        self._total_bytes = total_bytes
        self._total_rows = total_rows
        self._monotonic = clock.monotonic
        self._started_s = clock.monotonic()
        self._position_bytes: int | None = None
        self._left: int | None = None
        self._rows_read = 0
        self._skipped = 0
        self._number = 0
        self._next = 1
        self._ring = [Second() for _ in range(_SLOTS)]
        self._second = self._ring[0]
        #: Per provider, of the seconds that have left the ring.
        self._past: dict[str, Cell] = {}
        self._past_domains: dict[str, Cell] = {}
        self._domains: set[str] = set()
        self._quota: Quota | None = None
        self._connections: int | None = None
        self._transports: Transports | None = None
        #: Every state but accepted, which the cells count.
        self._counts = dict.fromkeys(State, 0)
        self._errors = ErrorCounts()

    def record(self, outcome: Outcome) -> None:
        """Count one outcome. Takes about a microsecond."""
        elapsed_s = self._monotonic() - self._started_s
        if elapsed_s >= self._next:
            self._turn(int(elapsed_s))
        second = self._second
        state = outcome.state
        accepted = state is _ACCEPTED
        if not accepted:
            self._counts[state] += 1
            if state in _MENDABLE:
                self._errors.note(outcome)
            if state not in _ERRORS:
                second.unattempted += 1
                return
        provider = outcome.provider
        cell = second.cells.get(provider)
        if cell is None:
            cell = second.cells[provider] = Cell()
        domain = outcome.address.rpartition("@")[2]
        of_domain = second.domains.get(domain)
        if of_domain is None:
            of_domain = self._domain_cell(domain)
        duration_s = outcome.duration_s
        if accepted:
            cell.sent += 1
            of_domain.sent += 1
        else:
            cell.failed += 1
            of_domain.failed += 1
        cell.spent_s += duration_s
        of_domain.spent_s += duration_s
        second.times[bisect_right(EDGES_S, duration_s)] += 1

    def skip(self, count: int) -> None:
        """Count more rows that an earlier run has dealt with."""
        self._skipped += count

    def retry(self, count: int) -> None:
        """Take back deferred outcomes: so many recipients are tried again, and will be recorded again."""
        self._counts[State.DEFERRED] -= count

    def progress(self, rows: int, position_bytes: int | None, *, left: int | None = None) -> None:
        """Tell how far the list is read.

        Args:
            rows: Rows read since the start, those skipped included.
            position_bytes: Bytes of the list consumed, on the scale of ``total_bytes``; None where it is unknown.
            left: Recipients that the run takes beyond these rows at most; None where it takes the whole list.
        """
        self._rows_read = rows
        self._left = left
        self._position_bytes = position_bytes

    def pace(self, rate_limit_per_s: float | None, waiting: str = "") -> None:
        """Tell the limit in force from now on, and what the run waits for.

        Args:
            rate_limit_per_s: Messages a second, where the provider or the run's own rules changed it; None for none.
            waiting: Why nothing is sent just now, in a few words; empty where the run does not wait.

        Raises:
            ValueError: The rate limit is not positive and finite.
        """
        check_rate_limit(rate_limit_per_s)
        self._rate_limit_per_s = rate_limit_per_s
        self._waiting = waiting

    def quota(self, used: int, limit: int) -> None:
        """Tell how much of the account's day is used up.

        Args:
            used: Recipients of the last 24 hours, or of the day where the limit is by the day.
            limit: Most that may be.
        """
        self._quota = Quota(used, limit)

    def connections(self, count: int) -> None:
        """Tell how many connections to the provider are open."""
        self._connections = count

    def transports(self, kept: int, hit_rate: float) -> None:
        """Tell how many transports are kept open for rows that choose one, and how often one was open already.

        Args:
            kept: How many.
            hit_rate: Share of the requests, 0 to 1.
        """
        self._transports = Transports(kept, hit_rate)

    def snapshot(self) -> Snapshot:
        """Return the figures of this instant. Takes a fraction of a millisecond: for once a second, not per outcome."""
        elapsed_s = self._monotonic() - self._started_s
        if elapsed_s >= self._next:
            self._turn(int(elapsed_s))
        oldest = max(0, self._number - WINDOW_S + 1)
        seconds = [self._ring[number % _SLOTS] for number in range(oldest, self._number + 1)]
        window_s = max(elapsed_s - oldest, _SHORTEST_S)
        cells = total_of(second.cells for second in seconds)
        domains = total_of(second.domains for second in seconds)
        # The one slot of the ring that the window leaves out; empty in the first minute.
        before = self._ring[(self._number + 1) % _SLOTS]
        everything = total_of((self._past, before.cells, cells))
        all_domains = total_of((self._past_domains, before.domains, domains))

        sent = sum(cell.sent for cell in cells.values())
        attempted = sent + sum(cell.failed for cell in cells.values())
        average_ms = 1_000 * sum(cell.spent_s for cell in cells.values()) / attempted if attempted else 0.0
        error_rate = (attempted - sent) / attempted if attempted else 0.0
        rows_per_s = (attempted + sum(second.unattempted for second in seconds)) / window_s
        times = [sum(bins) for bins in zip(*(second.times for second in seconds), strict=True)]
        counts = {**self._counts, _ACCEPTED: sum(cell.sent for cell in everything.values())}
        limited_rows, fraction, time_left_s = self._progress(sum(counts.values()) - counts[State.UNSENT], rows_per_s)
        return Snapshot(
            counts=counts,
            rows_read=self._rows_read,
            skipped=self._skipped,
            sent=counts[_ACCEPTED],
            failed=sum(counts[state] for state in _ERRORS),
            window_s=window_s,
            attempted=attempted,
            throughput_per_s=attempted / window_s,
            error_rate=error_rate,
            average_ms=average_ms,
            p50_ms=percentile_ms(times, 0.50),
            p95_ms=percentile_ms(times, 0.95),
            history=self._history(),
            providers=tuple(
                figures_of(name, cells.get(name), total, window_s) for name, total in sorted(everything.items())
            ),
            domains=tuple(
                figures_of(name, domains.get(name), total, window_s)
                for name, total in sorted(all_domains.items(), key=by_size)[:_DOMAINS_SHOWN]
            ),
            quota=self._quota,
            connections=self._connections,
            transports=self._transports,
            errors=self._errors.groups(),
            uptime_s=elapsed_s,
            rows_per_s=rows_per_s,
            limited_rows=limited_rows,
            fraction=fraction,
            time_left_s=time_left_s,
            rate_limit_per_s=self._rate_limit_per_s,
            waiting=self._waiting,
            grade=self._grade(attempted, window_s, error_rate, average_ms),
        )

    def _turn(self, number: int) -> None:
        """Make ``number`` the running second; slots between are emptied, and what they held goes to the past."""
        for passed in range(max(self._number + 1, number - WINDOW_S), number + 1):
            slot = self._ring[passed % _SLOTS]
            for name, cell in slot.cells.items():
                self._past.setdefault(name, Cell()).add(cell)
            for name, cell in slot.domains.items():
                self._past_domains.setdefault(name, Cell()).add(cell)
            if slot.cells or slot.unattempted:
                self._ring[passed % _SLOTS] = Second()
        self._number = number
        self._next = number + 1
        self._second = self._ring[number % _SLOTS]

    def _domain_cell(self, domain: str) -> Cell:
        """Return the running second's cell of a domain that has none in it yet."""
        known = self._domains
        if domain not in known:
            if len(known) < MOST_DOMAINS:
                known.add(domain)
            else:
                domain = OTHER_DOMAINS
        cell = self._second.domains.get(domain)
        if cell is None:
            cell = self._second.domains[domain] = Cell()
        return cell

    def _history(self) -> tuple[int, ...]:
        whole = range(max(0, self._number - WINDOW_S), self._number)
        return tuple(
            sum(cell.sent + cell.failed for cell in self._ring[number % _SLOTS].cells.values()) for number in whole
        )

    def _progress(self, done: int, rows_per_s: float) -> tuple[int | None, float | None, float | None]:
        """Return the rows that a limit leaves to the run, the fraction done, and the seconds left."""
        rows = self._list_rows(done)
        limited_rows = self._limited_rows(rows)
        if limited_rows is not None:
            return limited_rows, *estimate(done, max(limited_rows, done), rows_per_s)
        return None, *estimate(self._skipped + done, rows or 0, rows_per_s)

    def _list_rows(self, done: int) -> float | None:
        """Return about how many rows the list has; None where that cannot be told yet."""
        if self._total_rows is not None:
            return max(self._total_rows, self._skipped + done)
        if not self._total_bytes or not self._position_bytes or not self._rows_read:
            return None
        # The reader is ahead of the outcomes: its bytes tell how many rows there are, the outcomes how many are done.
        return self._rows_read * max(self._total_bytes / self._position_bytes, 1.0)

    def _limited_rows(self, list_rows: float | None) -> int | None:
        """Return how many rows this run deals with; None where it is the list, not a limit, that ends it."""
        if self._left is None or (list_rows is not None and self._rows_read + self._left > list_rows):
            return None
        return self._rows_read - self._skipped + self._left

    def _grade(self, attempted: int, window_s: float, error_rate: float, average_ms: float) -> Grade:
        if not attempted:
            return UNGRADED
        return grade(
            error_rate=error_rate,
            throughput_per_s=attempted / window_s,
            average_ms=average_ms,
            rate_limit_per_s=self._rate_limit_per_s,
        )

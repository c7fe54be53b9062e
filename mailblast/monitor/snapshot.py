"""What a monitor knows at one instant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.monitor.grade import Grade


class Figures(NamedTuple):
    """One provider, or one recipient domain: the window, and the whole run."""

    name: str
    #: Accepted within the window.
    sent: int
    #: Attempted and not accepted, within the window.
    failed: int
    #: Average time of a message in the window, 0 where there was none.
    average_ms: float
    #: Messages attempted a second, in the window.
    throughput_per_s: float
    #: The same two for the whole run. A message that was deferred, tried again and accepted is in both.
    total_sent: int
    total_failed: int


class Quota(NamedTuple):
    """What an account may send in a day, and what it has sent."""

    used: int
    limit: int


class Transports(NamedTuple):
    """What is kept open for rows that choose their transport."""

    kept: int
    #: Share of the requests that found theirs open, 0 to 1.
    hit_rate: float


@dataclass(frozen=True, slots=True)
class ErrorGroup:
    """Failures of the same kind."""

    #: Reply code, enhanced status code and text of the latest of them, dots in place of the address. Foreign text, up
    #: to some 300 characters.
    reason: str
    count: int
    #: The latest address, as the list gave it. Foreign text.
    address: str
    state: State
    provider: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Figures of a run at one instant. The window is defined in ``metrics``."""

    #: Outcomes of this run so far; all nine states.
    counts: Mapping[State, int]
    #: Rows read from the list, those skipped included.
    rows_read: int
    #: Rows that an earlier run has dealt with.
    skipped: int
    #: Messages accepted, in the whole run.
    sent: int
    #: Messages that stand as failed, deferred or in doubt.
    failed: int
    #: Length of the window in seconds.
    window_s: float
    #: Messages attempted within the window: accepted, failed, deferred or in doubt.
    attempted: int
    #: ``attempted`` a second.
    throughput_per_s: float
    #: Share of ``attempted`` that was not accepted, 0 to 1.
    error_rate: float
    #: Time of one message in the window: average, half of them, 95 % of them. 0 where there was none.
    average_ms: float
    p50_ms: float
    p95_ms: float
    #: Throughput of each of the last 60 whole seconds, oldest first; fewer in the first minute.
    history: tuple[int, ...]
    #: By name.
    providers: tuple[Figures, ...]
    #: The 20 with most messages in the whole run, the largest first.
    domains: tuple[Figures, ...]
    #: None where the account has no daily limit, or none is known.
    quota: Quota | None
    #: Connections to the provider that are open; None where it keeps none, or other processes do.
    connections: int | None
    #: None where rows choose none.
    transports: Transports | None
    #: Most frequent first.
    errors: tuple[ErrorGroup, ...]
    uptime_s: float
    #: Rows that came to an outcome in the window, a second; whatever the outcome.
    rows_per_s: float
    #: Rows that this run deals with, those skipped left out, where a limit says how many; else None.
    limited_rows: int | None
    #: Share that is dealt with, 0 to 1: of the list, or of ``limited_rows``; None where the length is unknown.
    fraction: float | None
    #: Seconds until that is done at the window's pace; None where that cannot be told.
    time_left_s: float | None
    #: The limit in force; None where there is none.
    rate_limit_per_s: float | None
    #: What the run waits for; empty where it does not wait.
    waiting: str
    grade: Grade

    @property
    def finished(self) -> int:
        """Rows that are dealt with: outcomes of this run and rows skipped."""
        return self.skipped + sum(self.counts.values())

    @property
    def done(self) -> int:
        """Rows that are dealt with and need nothing more of this run: all those but the unsent."""
        return self.finished - self.counts[State.UNSENT]

    @property
    def in_flight(self) -> int:
        """Rows read that have no outcome yet."""
        return max(0, self.rows_read - self.finished)

    def progress_of(self, total_rows: int | None) -> tuple[float | None, float | None]:
        """Return fraction done and seconds left, for a list whose length in rows may be known.

        Args:
            total_rows: Rows of the whole list; None leaves it to what the monitor could estimate.
        """
        if total_rows is None or self.limited_rows is not None:
            return self.fraction, self.time_left_s
        return estimate(self.done, max(total_rows, self.done), self.rows_per_s)


def estimate(finished: int, total: float, rows_per_s: float) -> tuple[float | None, float | None]:
    """Return fraction done and seconds left of a list of about ``total`` rows."""
    if total <= 0:
        return None, None
    left = total - finished
    if left <= 0:
        return 1.0, 0.0
    return finished / total, left / rows_per_s if rows_per_s > 0 else None

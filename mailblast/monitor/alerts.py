"""When somebody should be told: decisions from one snapshot a second. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mailblast.monitor.snapshot import Snapshot

#: A bad grade that lasts this long is told (the guide: D or F for a minute).
GRADE_S = 60.0
#: Share of a window's messages that were not accepted, and the least number of messages that a share says anything of.
BURST_SHARE = 0.5
BURST_LEAST = 20
#: Below this share a burst is over; between the two nothing changes.
CALM_SHARE = 0.25
#: Share of a daily quota from which on it is told.
QUOTA_SHARE = 0.9


class AlertKind(StrEnum):
    """What an alert is about. The names are a contract with the commands and addresses that get them."""

    GRADE = "grade"
    ERRORS = "errors"
    QUOTA = "quota"
    #: What was told before is over.
    RECOVERED = "recovered"
    #: A provider stopped, and the run goes on with another one.
    FAILOVER = "failover"
    #: The run ended before its time.
    STOPPED = "stopped"


class Alert(NamedTuple):
    """Something that somebody should know."""

    kind: AlertKind
    #: One line for people.
    text: str


class AlertRules:
    """Look at a run once a second; tell each change once.

    Args:
        after_s: How long a grade of D or F must last.
    """

    def __init__(self, *, after_s: float = GRADE_S) -> None:
        self._after_s = after_s
        self._bad_since_s: float | None = None
        self._told_grade = False
        self._told_burst = False
        self._told_quota = False

    def check(self, snapshot: Snapshot) -> list[Alert]:
        """Return what has changed since the last call."""
        alerts = [*self._grade(snapshot), *self._burst(snapshot)]
        quota = snapshot.quota
        if quota is not None and not self._told_quota and quota.used >= quota.limit * QUOTA_SHARE:
            self._told_quota = True
            alerts.append(Alert(AlertKind.QUOTA, f"{quota.used:,} of {quota.limit:,} a day are used up"))
        return alerts

    def _grade(self, snapshot: Snapshot) -> list[Alert]:
        grade = snapshot.grade
        if not grade.alarming:
            self._bad_since_s = None
            # Where nothing is attempted, nothing has got better.
            if self._told_grade and snapshot.attempted:
                self._told_grade = False
                return [Alert(AlertKind.RECOVERED, f"grade {grade.letter} again")]
            return []
        if self._bad_since_s is None:
            self._bad_since_s = snapshot.uptime_s
        if self._told_grade or snapshot.uptime_s - self._bad_since_s < self._after_s:
            return []
        self._told_grade = True
        return [Alert(AlertKind.GRADE, f"grade {grade.letter}: {'; '.join(grade.reasons)}")]

    def _burst(self, snapshot: Snapshot) -> list[Alert]:
        share = snapshot.error_rate
        if self._told_burst and snapshot.attempted and share < CALM_SHARE:
            self._told_burst = False
            return [Alert(AlertKind.RECOVERED, f"{share:.0%} of messages not accepted")]
        if self._told_burst or snapshot.attempted < BURST_LEAST or share < BURST_SHARE:
            return []
        self._told_burst = True
        most = f", most often: {snapshot.errors[0].reason}" if snapshot.errors else ""
        text = f"{share:.0%} of the last {snapshot.attempted:,} messages were not accepted{most}"
        return [Alert(AlertKind.ERRORS, text)]

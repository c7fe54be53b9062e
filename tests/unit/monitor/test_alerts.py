from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock

from mailblast.monitor.alerts import Alert, AlertKind, AlertRules
from mailblast.monitor.grade import UNGRADED, Grade
from mailblast.monitor.metrics import Monitor
from mailblast.monitor.snapshot import ErrorGroup, Quota, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

GOOD = Grade("A", 95.0, ())
BAD = Grade("F", 25.0, ("50 % not accepted (-50)", "slow (-25)"))


def a_snapshot(uptime_s: float, grade: Grade = GOOD, **more: Any) -> Snapshot:
    return replace(Monitor(FakeClock()).snapshot(), uptime_s=uptime_s, grade=grade, **{"attempted": 100, **more})


def told(rules: AlertRules, snapshots: Iterable[Snapshot]) -> list[tuple[float, AlertKind]]:
    return [(snapshot.uptime_s, alert.kind) for snapshot in snapshots for alert in rules.check(snapshot)]


def test_bad_grade_is_told_once_after_a_minute_and_once_when_it_is_over() -> None:
    bad = [a_snapshot(second, BAD) for second in range(10, 200)]
    good = [a_snapshot(second) for second in range(200, 260)]
    assert [(70, AlertKind.GRADE), (200, AlertKind.RECOVERED)] == told(AlertRules(), [*bad, *good])


def test_bad_grade_that_is_shorter_than_a_minute_is_not_told() -> None:
    seconds = [a_snapshot(second, BAD if second % 60 else GOOD) for second in range(300)]
    assert [] == told(AlertRules(), seconds)


def test_bad_grade_names_its_reasons() -> None:
    (alert,) = AlertRules(after_s=0).check(a_snapshot(1, BAD))
    assert Alert(AlertKind.GRADE, "grade F: 50 % not accepted (-50); slow (-25)") == alert


def test_silence_is_no_recovery() -> None:
    rules = AlertRules(after_s=0)
    assert [(1, AlertKind.GRADE)] == told(rules, [a_snapshot(1, BAD), a_snapshot(2, UNGRADED, attempted=0)])
    assert [(3, AlertKind.GRADE)] == told(AlertRules(after_s=0), [a_snapshot(3, BAD)])
    assert [(4, AlertKind.RECOVERED)] == told(rules, [a_snapshot(4)])


@pytest.mark.parametrize(
    ("attempted", "share", "kinds"),
    [
        (20, 0.5, [AlertKind.ERRORS]),
        (19, 1.0, []),
        (1_000, 0.49, []),
        (1_000, 1.0, [AlertKind.ERRORS]),
    ],
)
def test_burst_of_errors_is_told_from_half_of_twenty(attempted: int, share: float, kinds: list[AlertKind]) -> None:
    alerts = AlertRules().check(a_snapshot(1, attempted=attempted, error_rate=share))
    assert kinds == [alert.kind for alert in alerts]


def test_burst_of_errors_is_told_once_and_names_the_most_frequent() -> None:
    rules = AlertRules()
    errors = (ErrorGroup("554 spam", 50, "a@example.com", next(iter(a_snapshot(0).counts)), "smtp"),)
    (alert,) = rules.check(a_snapshot(1, error_rate=0.6, errors=errors))
    assert "60% of the last 100 messages were not accepted, most often: 554 spam" == alert.text
    assert [] == told(rules, [a_snapshot(2, error_rate=0.9), a_snapshot(3, error_rate=0.3)])
    assert [(4, AlertKind.RECOVERED)] == told(rules, [a_snapshot(4, error_rate=0.2), a_snapshot(5, error_rate=0.2)])


def test_quota_is_told_once_when_nine_tenths_are_used() -> None:
    rules = AlertRules()
    quotas = [Quota(used, 500) for used in (0, 449, 450, 500)]
    assert [(2, AlertKind.QUOTA)] == told(rules, [a_snapshot(at, quota=quota) for at, quota in enumerate(quotas)])

"""What a report tells of one campaign, and the same as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.journal.figures import LATENCY_EDGES_S
from mailblast.model.outcome import State
from mailblast.monitor.grade import Grade, grade
from mailblast.monitor.wording import duration_words
from mailblast.report.remedies import remedy_of
from mailblast.report.summary import CampaignSummary, rfc3339, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.journal.figures import ErrorKind, Interval, Share
    from mailblast.journal.reading import JournalReader

#: Bars of a chart over time.
INTERVALS = 60
DOMAINS = 12
ERRORS = 15
RUNS = 20
#: A stretch of time is at least this long, so that a short run is not torn into single messages.
SHORTEST_S = 1.0


class Timeline(NamedTuple):
    """What happened, stretch by stretch; stretches without an outcome are left out of ``intervals``."""

    start_s: float
    length_s: float
    intervals: tuple[Interval, ...]


class ReportData(NamedTuple):
    """All that a report tells."""

    summary: CampaignSummary
    timeline: Timeline | None
    providers: Sequence[Share]
    domains: Sequence[Share]
    #: By ``LATENCY_EDGES_S``.
    latency: Sequence[int]
    errors: Sequence[ErrorKind]
    runs: Sequence[tuple[str, ...]]
    #: What the accepted messages cost, in words; empty where it is not known.
    cost: str
    made_s: float


def gather(reader: JournalReader, *, now_s: float, cost: str = "") -> ReportData:
    """Read what a report tells; five passes over the campaign, in memory that does not grow with it.

    Args:
        reader: Open; stays open. The campaign may be running, or have been killed.
        now_s: Unix seconds.
        cost: In words.
    """
    figures = reader.figures()
    span = figures.span_s()
    timeline = None
    if span is not None:
        # A hair longer, so that the last outcome does not get a stretch of its own.
        length_s = max((span[1] - span[0] + 0.001) / INTERVALS, SHORTEST_S)
        timeline = Timeline(span[0], length_s, tuple(figures.over_time(span[0], length_s)))
    return ReportData(
        summarise(reader, now_s=now_s),
        timeline,
        figures.by_provider(),
        figures.by_domain(DOMAINS),
        figures.latency(),
        figures.errors(ERRORS),
        _runs(reader),
        cost,
        now_s,
    )


def to_json(data: ReportData) -> dict[str, Any]:
    """Return the same as JSON values: keys are added, never renamed. Times are RFC 3339 in UTC."""
    timeline = data.timeline
    return {
        **data.summary.to_json(),
        "cost": data.cost or None,
        "timeline": None
        if timeline is None
        else {
            "start": rfc3339(round(timeline.start_s, 3)),
            "interval_s": round(timeline.length_s, 3),
            "intervals": [
                {
                    "number": each.number,
                    "accepted": each.accepted,
                    "not_accepted": each.failed,
                    "grade": grade_of(each, timeline.length_s).letter,
                }
                for each in timeline.intervals
            ],
        },
        "providers": [_share_json(share) for share in data.providers],
        "domains": [_share_json(share) for share in data.domains],
        "latency": {"edges_s": list(LATENCY_EDGES_S), "counts": list(data.latency)},
        "errors": [
            {
                "outcome": error.state.value,
                "code": error.code,
                "enhanced": error.enhanced,
                "count": error.recipients,
                "text": error.text,
                "remedy": remedy_of(error),
            }
            for error in data.errors
        ],
    }


def grade_of(interval: Interval, length_s: float) -> Grade:
    """Return the grade of a stretch of time, in which something was attempted."""
    attempted = interval.accepted + interval.failed
    return grade(
        error_rate=interval.failed / attempted,
        throughput_per_s=attempted / length_s,
        average_ms=interval.average_s * 1_000,
    )


def _runs(reader: JournalReader) -> list[tuple[str, ...]]:
    return [
        (
            shown_time(run.started_s),
            duration_words(run.finished_s - run.started_s) if run.finished_s is not None else "",
            f"{run.rows:,}",
            f"{run.counts[State.ACCEPTED]:,}",
            run.grade,
            "" if run.exit_code is None else str(run.exit_code),
        )
        for run in reader.runs()[-RUNS:]
    ]


def _share_json(share: Share) -> dict[str, Any]:
    counts = {state.value: count for state, count in share.counts.items()}
    return {"name": share.name, "counts": counts, "average_ms": round(share.average_s * 1_000, 2)}


def shown_time(seconds: float | None) -> str:
    """Return a time as people read it, in UTC; empty where there is none."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")

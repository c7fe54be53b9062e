"""One campaign as one self-contained page, and the same as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mailblast import __version__
from mailblast.journal.figures import LATENCY_EDGES_S
from mailblast.model.outcome import State
from mailblast.monitor.grade import grade
from mailblast.monitor.wording import duration_words, milliseconds_words, percent_words, printable, rate_words
from mailblast.report import charts
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
_BAD = (State.FAILED, State.DEFERRED, State.IN_DOUBT)
_TONES = {
    State.ACCEPTED: "good",
    State.FAILED: "bad",
    State.IN_DOUBT: "bad",
    State.DEFERRED: "warning",
    State.INVALID: "warning",
}


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


def to_html(data: ReportData) -> str:
    """Return the page. Whatever the list and the servers said is text in it, never markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string(files("mailblast.report").joinpath("page.html").read_text(encoding="utf-8"))
    summary = data.summary
    return template.render(
        campaign=summary.campaign,
        state=summary.state,
        provider=printable(summary.provider),
        started=_time(summary.started_s),
        finished=_time(summary.finished_s),
        notes=_notes(summary),
        cards=_cards(data),
        sections=[section for section in _sections(data) if section is not None],
        version=__version__,
        made=_time(data.made_s),
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
                {"number": each.number, "accepted": each.accepted, "not_accepted": each.failed, "grade": letter}
                for each, letter in zip(timeline.intervals, _letters(timeline), strict=True)
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


class _Card(NamedTuple):
    name: str
    value: str
    tone: str = ""


class _Section(NamedTuple):
    title: str
    text: str = ""
    #: SVG of ours.
    chart: Markup = Markup()
    columns: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    #: Positions of the columns that hold figures.
    numbers: Sequence[int] = ()
    #: Names and colours of what the chart shows, where it is more than one thing.
    legend: Sequence[tuple[str, str]] = ()


_BOTH = (("accepted", charts.GOOD), ("not accepted", charts.BAD))
_REST = ("not attempted", charts.WARNING)


def _notes(summary: CampaignSummary) -> list[str]:
    if summary.state == "running":
        return ["A run is going on: the figures lag by the batches in flight."]
    if summary.started_s is not None and summary.finished_s is None:
        return ["The last run was killed. Run the same command again: it continues, and sends nobody twice."]
    if summary.state in {"resumable", "stopped"}:
        return ["Not everybody has been sent to. Run the same command again to continue."]
    return []


def _cards(data: ReportData) -> list[_Card]:
    summary = data.summary
    cards = [_Card("rows", f"{summary.rows:,}")]
    cards += [
        _Card(state.value.replace("_", " "), f"{count:,}", _TONES.get(state, ""))
        for state, count in summary.counts.items()
        if count
    ]
    attempted = summary.counts[State.ACCEPTED] + sum(summary.counts[state] for state in _BAD)
    if attempted:
        cards.append(_Card("of those attempted accepted", percent_words(summary.counts[State.ACCEPTED] / attempted)))
    if summary.rate_per_s:
        cards.append(_Card("in the last run", rate_words(summary.rate_per_s)))
    if summary.duration_s is not None:
        cards.append(_Card("last run took", duration_words(summary.duration_s)))
    if summary.grade:
        cards.append(_Card("grade of the last run", summary.grade))
    if data.cost:
        cards.append(_Card("cost", data.cost))
    return cards


def _sections(data: ReportData) -> list[_Section | None]:
    return [
        *_over_time(data.timeline),
        _latency(data.latency),
        _shares("Providers", data.providers) if len(data.providers) > 1 else None,
        _shares("Recipient domains", data.domains),
        _errors(data.errors),
        _run_table(data.runs),
    ]


def _over_time(timeline: Timeline | None) -> list[_Section]:
    if timeline is None:
        return []
    length = max(each.number for each in timeline.intervals) + 1
    by_number = {each.number: each for each in timeline.intervals}
    labels = [_clock(timeline.start_s + number * timeline.length_s) for number in range(length)]
    every = [by_number.get(number) for number in range(length)]
    rate = timeline.length_s
    throughput = charts.bars(
        labels,
        {
            "accepted": (charts.GOOD, [each.accepted / rate if each else 0 for each in every]),
            "not accepted": (charts.BAD, [each.failed / rate if each else 0 for each in every]),
        },
        unit="messages a second",
    )
    scores = charts.line(
        labels,
        {"score": (charts.PLAIN, [_score(each, rate) if each else None for each in every])},
        unit="score",
        range_=(0, 100),
    )
    words = f"Each bar is {duration_words(timeline.length_s)}."
    graded = "100 is best; from 90 A, 80 B, 70 C, 60 D, else F. A set rate limit is not known here and counts as slow."
    return [
        _Section("Throughput", words, Markup(throughput), legend=_BOTH),  # noqa: S704 - pygal escapes; the labels are ours
        _Section("Grade", graded, Markup(scores)),  # noqa: S704 - likewise
    ]


def _score(interval: Interval, length_s: float) -> float:
    attempted = interval.accepted + interval.failed
    return max(
        grade(
            error_rate=interval.failed / attempted,
            throughput_per_s=attempted / length_s,
            average_ms=interval.average_s * 1_000,
        ).score,
        0.0,
    )


def _letters(timeline: Timeline) -> list[str]:
    return [
        grade(
            error_rate=each.failed / (each.accepted + each.failed),
            throughput_per_s=(each.accepted + each.failed) / timeline.length_s,
            average_ms=each.average_s * 1_000,
        ).letter
        for each in timeline.intervals
    ]


def _latency(counts: Sequence[int]) -> _Section | None:
    if not any(counts):
        return None
    used = [number for number, count in enumerate(counts) if count]
    bins = range(used[0], used[-1] + 1)
    names = [f"< {milliseconds_words(edge * 1_000)}" for edge in LATENCY_EDGES_S] + ["longer"]
    chart = charts.bars(
        [names[number] for number in bins], {"messages": (charts.PLAIN, [counts[n] for n in bins])}, unit="messages"
    )
    return _Section("Time of a message", "From its handing over to the provider's answer.", Markup(chart))  # noqa: S704 - ours


def _shares(title: str, shares: Sequence[Share]) -> _Section | None:
    if not shares:
        return None
    names = [printable(share.name, 80) or "(none)" for share in shares]
    rest = [state for state in State if state not in {State.ACCEPTED, *_BAD}]
    accepted = [share.counts[State.ACCEPTED] for share in shares]
    refused = [sum(share.counts[state] for state in _BAD) for share in shares]
    others = [sum(share.counts[state] for state in rest) for share in shares]
    legend = (*_BOTH, _REST) if any(others) else _BOTH
    values = dict(zip(legend, (accepted, refused, others), strict=False))
    chart = charts.shares(names, {name: (colour, value) for (name, colour), value in values.items()})
    rows = [
        (name, f"{good:,}", f"{bad:,}", milliseconds_words(share.average_s * 1_000))
        for name, good, bad, share in zip(names, accepted, refused, shares, strict=True)
    ]
    columns = (title, "accepted", "not accepted", "average")
    # The names were made printable, and pygal escapes them.
    return _Section(title, "", Markup(chart), columns, rows, (1, 2, 3), legend)  # noqa: S704


def _errors(errors: Sequence[ErrorKind]) -> _Section | None:
    if not errors:
        return None
    rows = [
        (
            f"{error.recipients:,}",
            error.state.value.replace("_", " "),
            printable(" ".join(filter(None, (str(error.code or ""), error.enhanced, error.text))), 300),
            remedy_of(error),
        )
        for error in errors
    ]
    return _Section("Errors", "", Markup(), ("count", "outcome", "what was said", "what to do"), rows, (0,))


def _run_table(runs: Sequence[tuple[str, ...]]) -> _Section | None:
    if not runs:
        return None
    columns = ("started", "took", "rows read", "accepted", "grade", "exit code")
    return _Section("Runs", "", Markup(), columns, runs, (2, 3, 5))


def _runs(reader: JournalReader) -> list[tuple[str, ...]]:
    return [
        (
            _time(run.started_s),
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


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")

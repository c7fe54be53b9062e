"""One campaign as one self-contained page."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from mailblast import __version__
from mailblast.journal.figures import LATENCY_EDGES_S
from mailblast.model.outcome import State
from mailblast.monitor.wording import duration_words, milliseconds_words, percent_words, printable, rate_words
from mailblast.report import charts
from mailblast.report.contents import grade_of, shown_time
from mailblast.report.remedies import remedy_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.journal.figures import ErrorKind, Share
    from mailblast.report.contents import ReportData, Timeline
    from mailblast.report.summary import CampaignSummary

_BAD = (State.FAILED, State.DEFERRED, State.IN_DOUBT)
_TONES = {
    State.ACCEPTED: "good",
    State.FAILED: "bad",
    State.IN_DOUBT: "bad",
    State.DEFERRED: "warning",
    State.INVALID: "warning",
}


def to_html(data: ReportData) -> str:
    """Return the page. Whatever the list and the servers said is text in it, never markup."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    template = environment.from_string(files("mailblast.report").joinpath("page.html").read_text(encoding="utf-8"))
    summary = data.summary
    return template.render(
        campaign=summary.campaign,
        state=summary.state,
        provider=printable(summary.provider),
        started=shown_time(summary.started_s),
        finished=shown_time(summary.finished_s),
        notes=_notes(summary),
        cards=_cards(data),
        sections=[section for section in _sections(data) if section is not None],
        version=__version__,
        made=shown_time(data.made_s),
    )


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
        {"score": (charts.PLAIN, [max(grade_of(each, rate).score, 0.0) if each else None for each in every])},
        unit="score",
        range_=(0, 100),
    )
    words = f"Each bar is {duration_words(timeline.length_s)}."
    graded = "100 is best; from 90 A, 80 B, 70 C, 60 D, else F. A set rate limit is not known here and counts as slow."
    return [
        _Section("Throughput", words, Markup(throughput), legend=_BOTH),  # noqa: S704 - pygal escapes; the labels are ours
        _Section("Grade", graded, Markup(scores)),  # noqa: S704 - likewise
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


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S")

"""One frame of the dashboard, from one snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.console import Group
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mailblast.model.outcome import State
from mailblast.monitor.metrics import WINDOW_S
from mailblast.monitor.wording import (
    duration_words,
    milliseconds_words,
    percent_words,
    printable,
    rate_words,
    sparkline,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import OverflowMethod, RenderableType

    from mailblast.monitor.grade import Grade
    from mailblast.monitor.snapshot import Figures, Snapshot

_WIDEST = 140
#: From here the ten outcomes fit into one row, with a space between "unsent" and "done before".
_WIDE = 120
#: Share of a quota from which on it is shown in yellow.
_NEAR = 0.9
#: On fewer columns the title needs them all.
_NARROW = 40
#: From so many lines on, an empty one stands between the sections.
_SPACIOUS = 20
_MOST_PROVIDERS = 4
_MOST_DOMAINS = 8
#: Lines that the errors are left before domains take any.
_LEFT_TO_ERRORS = 6
_MOST_ERRORS = 8

_GRADE_STYLES = {"A": "bold green", "B": "green", "C": "yellow", "D": "red", "F": "bold red"}
_BAD = frozenset({State.FAILED, State.DEFERRED, State.IN_DOUBT, State.INVALID})


class _Section(NamedTuple):
    """Something to draw, and how many lines it takes."""

    renderable: RenderableType
    lines: int


def draw(
    snapshot: Snapshot, title: str, total_rows: int | None, *, ended: bool, width: int, height: int, ascii_only: bool
) -> RenderableType:
    """Return a frame of at most ``height`` lines; on fewer lines the errors go first, then the providers.

    Args:
        snapshot: The figures. Foreign texts in it are drawn as they are, without control characters or markup.
        title: The first words of the frame.
        total_rows: Length of the list where it is known; else the monitor's own estimate is shown.
        ended: Whether this is the summary.
        width: Columns there are; up to 140 are used.
        height: Lines there are.
        ascii_only: Whether the terminal can show nothing else.
    """
    width = min(width, _WIDEST)
    drawn: list[RenderableType] = []
    pen = _Pen(snapshot, width, ascii_only=ascii_only)
    room = height
    for section in pen.sections(title, total_rows, ended=ended, height=height):
        if section.lines > room:
            break
        room -= section.lines
        drawn.append(section.renderable)
    return Constrain(Group(*drawn), width)


class _Pen:
    """Draws one snapshot."""

    def __init__(self, snapshot: Snapshot, width: int, *, ascii_only: bool) -> None:
        self._snapshot = snapshot
        self._width = width
        self._ascii_only = ascii_only
        self._spacious = True

    def sections(self, title: str, total_rows: int | None, *, ended: bool, height: int) -> Iterator[_Section]:
        """Yield the sections from top to bottom, the most important first."""
        self._spacious = height >= _SPACIOUS
        yield self._header(title, ended=ended)
        yield self._progress(total_rows, ended=ended)
        figures = self._figures()
        yield figures
        outcomes = self._outcomes()
        yield outcomes
        room = height - 2 - figures.lines - outcomes.lines
        providers = self._providers()
        if providers is not None:
            yield providers
            room -= providers.lines
        domains = self._domains(room - _LEFT_TO_ERRORS)
        if domains is not None:
            yield domains
            room -= domains.lines
        errors = self._errors(room - 1 - self._spacious)
        if errors is not None:
            yield errors

    def _header(self, title: str, *, ended: bool) -> _Section:
        line = _spread()
        words = f"{'ran' if ended else 'running'} {duration_words(self._snapshot.uptime_s)}"
        line.add_row(self._text(title, "bold"), self._text(words if self._width >= _NARROW else "", "dim"))
        return _Section(line, 1)

    def _progress(self, total_rows: int | None, *, ended: bool) -> _Section:
        fraction, left_s = self._snapshot.progress_of(total_rows)
        limited_rows = self._snapshot.limited_rows
        if limited_rows is not None:
            done = f"{self._snapshot.done - self._snapshot.skipped:,} of {limited_rows:,} rows"
        else:
            done = f"{self._snapshot.done:,} "
            done += f"of {total_rows:,} rows" if total_rows is not None else "rows"
        if fraction is None:
            words = f"{done} done, {self._snapshot.in_flight:,} in flight"
            return _Section(self._text(words), 1)
        words = f"{percent_words(fraction)}, {done}"
        if left_s and not ended:
            words += f", {duration_words(left_s)} left"
        line = _spread()
        line.add_row(ProgressBar(total=1.0, completed=fraction), self._text(words))
        return _Section(line, 1)

    def _figures(self) -> _Section:
        snapshot = self._snapshot
        rate = rate_words(snapshot.throughput_per_s)
        if snapshot.rate_limit_per_s is not None:
            rate += f" of {rate_words(snapshot.rate_limit_per_s)}"
        if snapshot.connections:
            rate += f" on {snapshot.connections} connection{'s' if snapshot.connections > 1 else ''}"
        bars = sparkline(snapshot.history, min(60, self._width - len(rate) - 12), ascii_only=self._ascii_only)
        times = f"average {milliseconds_words(snapshot.average_ms)}"
        times += f", half within {milliseconds_words(snapshot.p50_ms)}"
        times += f", 95 % within {milliseconds_words(snapshot.p95_ms)}"
        letter = snapshot.grade.letter
        graded = [self._text(line, _GRADE_STYLES.get(letter, "")) for line in self._graded(snapshot.grade)]
        window = "minute" if snapshot.uptime_s >= WINDOW_S else f"{snapshot.window_s:.0f} s"
        errors = f"{percent_words(snapshot.error_rate)} of {snapshot.attempted:,} in the last {window}"
        rows = [
            ("Rate", self._text(rate).append("  ").append(bars, "cyan")),
            ("Time", self._text(times)),
            ("Errors", self._text(errors, "red" if snapshot.error_rate else "")),
            *zip(("Grade", "", ""), graded, strict=False),
        ]
        quota = snapshot.quota
        if quota is not None:
            words = f"{quota.used:,} of {quota.limit:,} a day"
            rows.append(("Quota", self._text(words, "yellow" if quota.used >= quota.limit * _NEAR else "")))
        kept = snapshot.transports
        if kept is not None:
            rows.append(("Kept", self._text(f"{kept.kept} transports, hit rate {percent_words(kept.hit_rate)}")))
        if snapshot.waiting:
            rows.append(("Waiting", self._text(snapshot.waiting, "yellow")))
        table = Table.grid(padding=(0, 2, 0, 0), expand=True, pad_edge=False)
        table.add_column(no_wrap=True, style="dim", width=7)
        table.add_column(no_wrap=True, overflow=self._overflow, ratio=1)
        for row in rows:
            table.add_row(*row)
        return self._section(table, len(rows))

    def _graded(self, grade: Grade) -> list[str]:
        """Return the grade and its reasons on one line, or on one line each where one is too short for them."""
        if grade.letter == "-":
            return ["- nothing to grade yet"]
        first = f"{grade.letter} {grade.score:.1f}"
        if not grade.reasons:
            return [first]
        one_line = f"{first}: {'; '.join(grade.reasons)}"
        if len(one_line) <= self._width - 9 or not self._spacious:
            return [one_line]
        return [f"{first}: {grade.reasons[0]}", *grade.reasons[1:]]

    def _outcomes(self) -> _Section:
        snapshot = self._snapshot
        cells = [
            (state.value.replace("_", " "), snapshot.counts[state], state in _BAD)
            for state in State
            if state is not State.SENDING
        ]
        cells.append(("done before", snapshot.skipped, False))
        cells.append(("in flight", snapshot.in_flight + snapshot.counts[State.SENDING], False))
        columns = len(cells) if self._width >= _WIDE else len(cells) // 2
        table = Table.grid(expand=True)
        for _ in range(columns):
            table.add_column(justify="right", no_wrap=True, ratio=1)
        for first in range(0, len(cells), columns):
            row = cells[first : first + columns]
            table.add_row(*(self._text(name, "dim") for name, _, _ in row))
            table.add_row(*(self._text(f"{count:,}", _weight(count, bad=bad)) for _, count, bad in row))
        return self._section(table, 2 * len(cells) // columns)

    def _providers(self) -> _Section | None:
        shown = sorted(self._snapshot.providers, key=lambda each: each.total_sent + each.total_failed, reverse=True)
        return self._named("Provider", shown[:_MOST_PROVIDERS])

    def _domains(self, room: int) -> _Section | None:
        """Return the largest domains, where there is more than one and a tall screen for them."""
        domains = self._snapshot.domains
        most = min(room - 1 - self._spacious, _MOST_DOMAINS)
        return self._named("Domain", domains[:most]) if len(domains) > 1 and most > 1 else None

    def _named(self, title: str, shown: Sequence[Figures]) -> _Section | None:
        if not shown:
            return None
        table = self._table((title, "sent", "failed", "rate", "average"), left=(0,))
        for each in shown:
            table.add_row(
                self._text(each.name or "(none)"),
                self._text(f"{each.total_sent:,}"),
                self._text(f"{each.total_failed:,}", _weight(each.total_failed, bad=True)),
                self._text(rate_words(each.throughput_per_s)),
                self._text(milliseconds_words(each.average_ms)),
            )
        return self._section(table, 1 + len(shown))

    def _errors(self, most: int) -> _Section | None:
        shown = self._snapshot.errors[: max(0, min(most, _MOST_ERRORS))]
        if not shown:
            return None
        table = self._table(("Reason", "count", "latest address"), left=(0, 2))
        for group in shown:
            table.add_row(self._text(group.reason), self._text(f"{group.count:,}", "red"), self._text(group.address))
        return self._section(table, 1 + len(shown))

    def _table(self, names: tuple[str, ...], *, left: tuple[int, ...]) -> Table:
        """Return a table as wide as the frame, whose left-aligned columns share what the figures leave."""
        table = Table(box=None, expand=True, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
        for position, name in enumerate(names):
            if position in left:
                table.add_column(name, no_wrap=True, overflow=self._overflow, ratio=2 if position == 0 else 1)
            else:
                table.add_column(name, no_wrap=True, justify="right", min_width=8)
        return table

    def _section(self, table: Table, lines: int) -> _Section:
        return _Section(Group("", table), lines + 1) if self._spacious else _Section(table, lines)

    @property
    def _overflow(self) -> OverflowMethod:
        return "crop" if self._ascii_only else "ellipsis"

    def _text(self, words: str, style: str = "") -> Text:
        """Return foreign or own words as they are: never markup, never control characters."""
        line = printable(words, _WIDEST * 2)
        if self._ascii_only:
            line = line.encode("ascii", "replace").decode("ascii")
        return Text(line, style=style, no_wrap=True, overflow=self._overflow)


def _spread() -> Table:
    """Return a line whose left side takes what its right side leaves."""
    line = Table.grid(padding=(0, 2, 0, 0), expand=True, pad_edge=False)
    line.add_column(ratio=1, no_wrap=True)
    line.add_column(justify="right", no_wrap=True)
    return line


def _weight(count: int, *, bad: bool) -> str:
    if count == 0:
        return "dim"
    return "bold red" if bad else "bold"

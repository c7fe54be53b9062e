"""Cost against volume as a chart of characters: both axes by powers of ten, one letter a line."""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby
from math import ceil, floor, log10
from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs.offers import MAILBOX, SERVER
from mailblast.costs.volume import DAYS_A_MONTH, LARGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.text import Text

    from mailblast.costs.crossings import Crossing
    from mailblast.costs.offers import Estimate, Offer

#: More lines than this cannot be told apart.
MOST_SERIES = 6
ROWS = 14
#: The power of ten above the largest volume of a month.
MOST_POWER = ceil(log10(LARGEST * DAYS_A_MONTH))
LABEL_WIDTH = 9
LARGEST_WIDTH = 110
#: Told apart on a light and on a dark screen; the letters tell them apart without colour.
STYLES = ("green", "blue", "magenta", "red", "cyan", "yellow")
#: Bits of a braille pattern by column and row of its dots (Unicode, chapter 21.1).
DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
BRAILLE = 0x2800
EMPTY = chr(BRAILLE)
_UNITS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (1_000, "k"))


class Series(NamedTuple):
    """One line of the chart."""

    approach: str
    name: str
    cost: Callable[[int], Decimal | None]


class Span(NamedTuple):
    """The powers of ten that an axis shows."""

    low: int
    high: int

    def place(self, value: float) -> float:
        """Return where a value stands between 0 and 1; what is below the span stands at 0."""
        if value <= 10.0**self.low:
            return 0.0
        return min(1.0, (log10(value) - self.low) / (self.high - self.low))

    def value(self, place: float) -> float:
        """Return the value at a place between 0 and 1."""
        return float(10.0 ** (self.low + place * (self.high - self.low)))


def volumes_around(volume: int) -> Span:
    """Return four or five powers of ten around a volume of a month."""
    middle = log10(volume)
    return Span(max(0, floor(middle) - 2), min(MOST_POWER, max(2, ceil(middle) + 2)))


def series_of(estimate: Estimate) -> list[Series]:
    """Return the lines worth drawing: the cheapest approaches at the volume.

    Mailboxes cost nothing until they end; a queue costs what the server under it does.
    """
    drawn: list[Offer] = []
    for offer in sorted(estimate.offers, key=lambda each: each.cost.monthly):
        kind = offer.plan.kind if offer.plan else ""
        doubled = any(
            each.cost._replace(approach="", note="") == offer.cost._replace(approach="", note="") for each in drawn
        )
        if len(estimate.offers) == 1 or not (kind == MAILBOX or (doubled and kind in {SERVER, ""})):
            drawn.append(offer)
    return [Series(each.cost.approach, each.name, estimate.curves[each.cost.approach]) for each in drawn[:MOST_SERIES]]


def crossings_within(estimate: Estimate, span: Span) -> list[Crossing]:
    """Return the crossings that lie in a chart's span."""
    return [each for each in estimate.crossings if 10**span.low <= each.volume <= 10**span.high]


def short(value: float) -> str:
    """Return a power of ten as an axis shows it."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{value / size:,.10g}{unit}"
    return f"{value:.10g}"


class Canvas:
    """Cells of two by four dots.

    Args:
        columns: Of characters.
        rows: Of characters.
        braille: Whether the screen has braille; else each dot is the letter of its line.
    """

    def __init__(self, columns: int, rows: int, *, braille: bool) -> None:
        self.columns = columns
        self.rows = rows
        self._braille = braille
        self._bits = [[0] * columns for _ in range(rows)]
        self._styles = [[""] * columns for _ in range(rows)]
        self._letters = [[""] * columns for _ in range(rows)]

    def line(self, heights: list[float | None], letter: str, style: str) -> None:
        """Draw a line.

        Args:
            heights: Between 0 and 1, two for each column; None where there is no line.
            letter: Written on cells without braille.
            style: Of its cells.
        """
        before: int | None = None
        for x, height in enumerate(heights):
            if height is None:
                before = None
                continue
            y = round((1 - height) * (self.rows * 4 - 1))
            steps = range(min(y, before), max(y, before) + 1) if before is not None else (y,)
            for step in steps:
                self._dot(x, step, letter, style)
            before = y

    def letter(self, column: int, height: float, letter: str, style: str) -> bool:
        """Put a letter on a line; False where another one stands already."""
        row = round((1 - height) * (self.rows * 4 - 1)) // 4
        if self._letters[row][column].isalpha() and self._braille:
            return False
        self._letters[row][column], self._styles[row][column] = letter, style
        return True

    def mark(self, column: int, height: float) -> None:
        """Put a crossing onto the cell, whatever is there."""
        row = round((1 - height) * (self.rows * 4 - 1)) // 4
        self._letters[row][column], self._styles[row][column] = "●" if self._braille else "*", "bold"

    def _dot(self, x: int, y: int, letter: str, style: str) -> None:
        row, column = y // 4, x // 2
        self._bits[row][column] |= DOTS[x % 2][y % 4]
        self._styles[row][column] = style
        if not self._braille:
            self._letters[row][column] = letter

    def cells(self, row: int) -> Iterator[tuple[str, str]]:
        """Yield character and style of each cell of a row."""
        for bits, letter, style in zip(self._bits[row], self._letters[row], self._styles[row], strict=True):
            yield letter or (chr(BRAILLE + bits) if self._braille else " "), style


def chart(estimate: Estimate, width: int, *, braille: bool) -> list[Text]:
    """Return the chart's lines: the plot, its axes, a letter for each line.

    Args:
        estimate: Whose curves are drawn.
        width: Columns of the screen.
        braille: Whether it has braille characters.
    """
    from rich.text import Text

    columns = max(20, min(width, LARGEST_WIDTH) - LABEL_WIDTH - 2)
    span = volumes_around(estimate.question.messages)
    series = series_of(estimate)
    places = [index / (columns * 2 - 1) for index in range(columns * 2)]
    volumes = [max(1, round(span.value(place))) for place in places]
    costs = [[_cost(each, volume) for volume in volumes] for each in series]
    money = money_span([cost for each in costs for cost in each if cost])
    heights = [[None if cost is None else money.place(cost) for cost in each] for each in costs]
    canvas = Canvas(columns, ROWS, braille=braille)
    styled = [(chr(ord("a") + index), STYLES[index]) for index in range(len(series))]
    # The cheapest last, so that it lies on top.
    for each, (letter, style) in reversed(list(zip(heights, styled, strict=True))):
        canvas.line(each, letter, style)
    for index, (each, (letter, style)) in enumerate(zip(heights, styled, strict=True)):
        _name(canvas, each, letter, style, index / len(series))
    for crossing in crossings_within(estimate, span):
        canvas.mark(round(span.place(crossing.volume) * (columns - 1)), money.place(float(crossing.monthly)))
    lines = [Text("US dollars a month, by messages a month", style="bold")]
    lines += [_row(canvas, row, money, braille=braille) for row in range(ROWS)]
    lines += _volume_axis(columns, span, estimate.question.messages, braille=braille)
    lines.append(
        Text("  ").join(
            Text(f"{letter} {each.name}", style) for each, (letter, style) in zip(series, styled, strict=True)
        )
    )
    return lines


def crossing_lines(estimate: Estimate) -> Iterator[str]:
    """Yield a line for each volume from which another one is the cheapest."""
    names = {offer.cost.approach: offer.name for offer in estimate.offers}
    names.update((each.approach, each.provider) for each in estimate.excluded)
    for each in estimate.crossings:
        name = names[each.after]
        cost = "nothing" if not each.monthly else f"{each.monthly:,.2f}"
        yield f"From {each.volume:,} a month on, {name} is the cheapest ({cost})."


def _cost(series: Series, volume: int) -> float | None:
    cost = series.cost(volume)
    return None if cost is None else float(cost)


def money_span(costs: list[float]) -> Span:
    """Return the powers of ten around the costs; a tenth of a dollar and less is the floor."""
    low = max(-1, floor(log10(min(costs, default=1.0))))
    high = ceil(log10(max(costs, default=1.0)))
    return Span(low, max(high, low + 1))


def _name(canvas: Canvas, heights: list[float | None], letter: str, style: str, shift: float) -> None:
    """Put the line's letter onto it, three times where there is room, each line's at other columns."""
    for third in range(3):
        start = int((third + 0.15 + shift * 0.8) / 3 * canvas.columns)
        for column in range(start, min(start + canvas.columns // 8, canvas.columns)):
            height = heights[column * 2]
            if height is not None and canvas.letter(column, height, letter, style):
                break


def _row(canvas: Canvas, row: int, money: Span, *, braille: bool) -> Text:
    from rich.text import Text

    label = ""
    for power in range(money.low, money.high + 1):
        if round((1 - money.place(10.0**power)) * (ROWS * 4 - 1)) // 4 == row:
            label = short(10.0**power)
            if power == money.low:
                label = f"{'≤' if braille else '<='}{label}"
    bar = ("┤" if label else "│") if braille else ("+" if label else "|")
    text = Text(f"{label:>{LABEL_WIDTH}}{bar}")
    for style, cells in groupby(canvas.cells(row), key=lambda cell: cell[1]):
        text.append("".join(character for character, _ in cells).replace(EMPTY, " "), style)
    text.rstrip()
    return text


def _volume_axis(columns: int, span: Span, volume: int, *, braille: bool) -> list[Text]:
    from rich.text import Text

    line = list(("─" if braille else "-") * columns)
    labels = [" "] * (columns + LABEL_WIDTH)
    for power in range(span.low, span.high + 1):
        column = round(span.place(10.0**power) * (columns - 1))
        line[column] = "┬" if braille else "+"
        label = short(10.0**power)
        start = max(0, min(column - len(label) // 2, columns - len(label)))
        labels[start : start + len(label)] = label
    line[round(span.place(volume) * (columns - 1))] = "▲" if braille else "^"
    corner = "└" if braille else "+"
    return [
        Text(" " * LABEL_WIDTH + corner + "".join(line)),
        Text(" " * (LABEL_WIDTH + 1) + "".join(labels).rstrip()),
    ]

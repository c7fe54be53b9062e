"""Figures as inline SVG by pygal: no scripts, and colours that the page's style sheet gives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygal.style import Style

from mailblast.report.drawing import pygal, svg_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Names of the page's colours.
GOOD, BAD, WARNING, PLAIN = "var(--good)", "var(--bad)", "var(--warning)", "var(--plain)"
_FONT = "system-ui, sans-serif"
_WIDTH, _HEIGHT = 760, 260
#: Labels on an axis that can be read on a phone.
_MOST_LABELS = 6


def bars(labels: Sequence[str], series: Mapping[str, tuple[str, Sequence[float]]], *, unit: str) -> str:
    """Return stacked bars over time or bins.

    Args:
        labels: One for each bar; some of them are shown.
        series: Name to colour and values.
        unit: Title of the upright axis.
    """
    chart = pygal.StackedBar(**_options(series), x_label_rotation=0, spacing=1)
    _label(chart, labels)
    chart.y_title = unit
    for name, (_, values) in series.items():
        chart.add(name, list(values))
    return svg_of(chart)


def line(
    labels: Sequence[str],
    series: Mapping[str, tuple[str, Sequence[float | None]]],
    *,
    unit: str,
    range_: tuple[float, float],
) -> str:
    """Return lines over time, on an axis of that range; None leaves a gap."""
    chart = pygal.Line(**_options(series), range=range_, show_dots=len(labels) < 3, interpolate=None)  # noqa: PLR2004 - no line else
    _label(chart, labels)
    chart.y_title = unit
    for name, (_, values) in series.items():
        chart.add(name, list(values), allow_interruptions=True)
    return svg_of(chart)


def shares(labels: Sequence[str], series: Mapping[str, tuple[str, Sequence[float]]]) -> str:
    """Return lying bars, one for each label, the first one on top."""
    options = {**_options(series), "height": 50 + 26 * len(labels)}
    chart = pygal.HorizontalStackedBar(**options)
    chart.x_labels = list(reversed(labels))
    for name, (_, values) in series.items():
        chart.add(name, list(reversed(values)))
    return svg_of(chart)


def _options(series: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    style = Style(
        background="transparent",
        plot_background="transparent",
        foreground="var(--ink)",
        foreground_strong="var(--ink)",
        foreground_subtle="var(--faint)",
        colors=tuple(colour for colour, _ in series.values()),
        opacity=".85",
        opacity_hover="1",
        transition="0s",
        font_family=_FONT,
        label_font_size=13,
        major_label_font_size=13,
        title_font_size=14,
    )
    return {
        "style": style,
        "js": [],
        "width": _WIDTH,
        "height": _HEIGHT,
        "disable_xml_declaration": True,
        # The page has a legend of its own, which breaks its lines on a phone.
        "show_legend": False,
        "max_scale": 6,
        "margin": 6,
        "margin_right": 34,
        "truncate_label": 28,
        "value_formatter": lambda value: f"{value:,.6g}",
        "pretty_print": False,
    }


def _label(chart: Any, labels: Sequence[str]) -> None:
    step = max(1, -(-len(labels) // _MOST_LABELS))
    chart.x_labels = list(labels)
    chart.x_labels_major_every = step
    chart.show_minor_x_labels = False

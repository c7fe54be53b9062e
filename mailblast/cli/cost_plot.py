"""Cost against volume as a picture: SVG without scripts, or one HTML page that holds it. Light and dark by itself."""

from __future__ import annotations

import html
from math import log10
from typing import TYPE_CHECKING, Any

from mailblast.cli import cost_chart
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.costs.offers import Estimate

POINTS = 240
WIDTH, HEIGHT = 1_000, 560
#: Told apart with every kind of colour vision (after Okabe and Ito, 2008), darker on white and lighter on black.
LIGHT = ("#00695c", "#1f5fa8", "#a8326e", "#b3440e", "#5b4b9a", "#6b5d00")
DARK = ("#4dd0b1", "#7ab8ff", "#f08ec0", "#ffa266", "#b9a5ff", "#e3cf57")
#: Lines are told apart without colour, too.
DASHES = ("", "9,4", "2,4", "12,4,2,4", "5,3", "14,6")
ID = "#chart-cost"
CSS = f"""
{ID} .line.reactive {{{{ stroke-width: 2.5px; stroke-opacity: 1; }}}}
{ID} .legends .reactive {{{{ fill-opacity: 1; }}}}
{ID} .axis .guides .line {{{{ stroke: #d9dde1; }}}}
@media (prefers-color-scheme: dark) {{{{
  {ID}, {ID} .graph > .background, {ID} .plot > .background {{{{ background-color: #16191d; fill: #16191d; }}}}
  {ID} .title, {ID} .legends .legend text, {ID} .axis text, {ID} .axis text.major {{{{ fill: #e6e8ea; }}}}
  {ID} .axis .line {{{{ stroke: #9aa3ab; }}}}
  {ID} .axis .guides .line {{{{ stroke: #363c43; }}}}
  {{dark}}
}}}}
"""
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ margin: 0 auto; max-width: 62rem; padding: 1.5rem 1rem; background: #fff; color: #1c1f23;
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; }}
figure {{ margin: 0 0 1.5rem; }} svg {{ width: 100%; height: auto; }} h1 {{ font-size: 1.4rem; }}
.scroll {{ overflow-x: auto; }} table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .8rem; border-bottom: 1px solid #d5d9dd; text-align: right; white-space: nowrap; }}
th:nth-child(-n+2), td:nth-child(-n+2) {{ text-align: left; }} tr.cheapest td {{ font-weight: 600; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #16191d; color: #e6e8ea; }}
  th, td {{ border-color: #3a4149; }} }}
</style>
</head>
<body>
<h1>{title}</h1>
<figure>{svg}</figure>
<div class="scroll"><table>
<tr><th>provider</th><th>plan</th><th>fixed</th><th>variable</th><th>hidden</th><th>monthly</th><th>each</th></tr>
{rows}
</table></div>
{notes}
</body>
</html>
"""


def write_plot(estimate: Estimate, path: Path) -> None:
    """Write the picture, as SVG or as a page by the file's name.

    Raises:
        UsageError: The file cannot be written.
    """
    svg = plot_svg(estimate)
    content = (
        _page(estimate, svg) if path.suffix.lower() == ".html" else f'<?xml version="1.0" encoding="utf-8"?>\n{svg}\n'
    )
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--plot '{path}' cannot be written: {error.strerror}.", fix="Name another file.") from error


def plot_svg(estimate: Estimate) -> str:
    """Return the picture as an ``svg`` element, without scripts and without anything from elsewhere."""
    from mailblast.report.drawing import pygal, svg_of

    series = cost_chart.series_of(estimate)
    span = cost_chart.volumes_around(estimate.question.messages)
    volumes = [max(1, round(span.value(index / (POINTS - 1)))) for index in range(POINTS)]
    found = cost_chart.crossings_within(estimate, span)
    volumes = sorted(
        {*volumes, *(each.volume for each in found), *(each.volume - 1 for each in found if each.volume > 1)}
    )
    costs = [[(volume, each.cost(volume)) for volume in volumes] for each in series]
    money = cost_chart.money_span([float(cost) for each in costs for _, cost in each if cost])
    chart = pygal.XY(**_options(span, money, len(series)))
    # In place of a random one, so that the same figures give the same file.
    chart.uuid = ID.removeprefix("#chart-")
    for index, (each, points) in enumerate(zip(series, costs, strict=True)):
        drawn = [None if cost is None else (log10(volume), _height(float(cost), money)) for volume, cost in points]
        chart.add(each.name, drawn, stroke_style={"width": 2.5, "dasharray": DASHES[index]}, show_dots=False)
    if found:
        dots = [(log10(each.volume), _height(float(each.monthly), money)) for each in found]
        chart.add("the cheapest changes", dots, stroke=False, dots_size=6)
    return svg_of(chart)


def _height(cost: float, money: cost_chart.Span) -> float:
    return max(float(money.low), log10(cost) if cost > 0 else float(money.low))


def _options(span: cost_chart.Span, money: cost_chart.Span, count: int) -> dict[str, Any]:
    from pygal.style import Style

    dark = " ".join(
        f"{ID} .color-{index} {{ stroke: {colour}; fill: {colour}; }}"
        for index, colour in enumerate([*DARK[:count], "#ffffff"])
    )
    style = Style(
        background="#ffffff",
        plot_background="#ffffff",
        foreground="#33383d",
        foreground_strong="#1c1f23",
        foreground_subtle="#8a9299",
        colors=(*LIGHT[:count], "#1c1f23"),
        guide_stroke_color="#d9dde1",
        major_guide_stroke_color="#d9dde1",
        guide_stroke_dasharray="1,0",
        major_guide_stroke_dasharray="1,0",
        title_font_size=20,
        label_font_size=14,
        major_label_font_size=14,
        legend_font_size=15,
        font_family="system-ui, sans-serif",
    )
    return {
        "title": "Cost by volume",
        "width": WIDTH,
        "height": HEIGHT,
        "style": style,
        "css": ["file://style.css", "file://graph.css", f"inline:{CSS.format(dark=dark)}"],
        "js": (),
        "disable_xml_declaration": True,
        "x_title": "messages a month",
        "y_title": "US dollars a month",
        "xrange": (span.low, span.high),
        "range": (money.low, money.high),
        "x_labels": [
            {"label": cost_chart.short(10.0**power), "value": power} for power in range(span.low, span.high + 1)
        ],
        "y_labels": [
            {"label": f"{'≤ ' if power == money.low else ''}{cost_chart.short(10.0**power)}", "value": power}
            for power in range(money.low, money.high + 1)
        ],
        "show_x_guides": True,
        "print_values": False,
        "truncate_legend": -1,
    }


def _page(estimate: Estimate, svg: str) -> str:
    from mailblast.cli.cost_table import lines, money

    question = estimate.question
    rows: list[str] = []
    for offer in estimate.offers:
        cost = offer.cost
        amounts = (cost.fixed, cost.variable, sum(cost.hidden.values()), cost.monthly)
        cells = (offer.name, offer.plan.plan if offer.plan else "", *map(money, amounts), f"{cost.per_email:,.6f}")
        mark = ' class="cheapest"' if offer is estimate.cheapest else ""
        rows.append(f"<tr{mark}>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>")
    notes = [*cost_chart.crossing_lines(estimate), *lines(estimate)]
    title = f"{question.volume:,} messages a {question.per}: cost in US dollars a month"
    return PAGE.format(
        title=html.escape(title),
        svg=svg,
        rows="\n".join(rows),
        notes="\n".join(f"<p>{html.escape(note)}</p>" for note in notes),
    )

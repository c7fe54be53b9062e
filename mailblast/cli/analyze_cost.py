"""``mailblast analyze-cost``: what each approach costs at a volume."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.costs.guide import Analysis


class Per(StrEnum):
    """What a volume is counted over."""

    MONTH = "month"
    DAY = "day"


def analyze_cost(
    volume: Annotated[
        str, typer.Option("--volume", "-v", metavar="N", help="Messages: 5000, 5k, 1.2M.", show_default=False)
    ],
    per: Annotated[Per, typer.Option("--per", help="What the volume is counted over; a month is 30 days.")] = Per.MONTH,
    approach: Annotated[
        str | None,
        typer.Option("--approach", metavar="NAME", help="Only this one: directSMTP, queueSMTP, ses, sendgrid."),
    ] = None,
    price_list: Annotated[
        str, typer.Option("--price-list", metavar="NAME", help="Whose prices; only guide is there.")
    ] = "guide",
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Show what each approach costs a month.

    Hidden costs, such as a server's upkeep, are counted in.

    Examples:

      mailblast analyze-cost --volume 5000

      mailblast analyze-cost --volume 2k --per day --approach ses --json
    """
    from mailblast.costs.guide import PRICE_LIST, guide_analysis
    from mailblast.costs.volume import parse_volume

    if price_list != PRICE_LIST:
        raise UsageError(f"There is no price list '{price_list}'.", fix=f"Known is {PRICE_LIST}.")
    analysis = guide_analysis(parse_volume(volume), per.value, approach)
    terminal = Terminal(json_output=json_output)
    terminal.json(analysis.to_json())
    if not json_output:
        _show(analysis, terminal)
    return ExitCode.OK


def _show(analysis: Analysis, terminal: Terminal) -> None:
    from rich.table import Table

    table = Table(title=f"{analysis.volume:,} messages a {analysis.per}: US dollars a month", title_justify="left")
    table.add_column("approach")
    for column in ("fixed", "variable", "hidden", "monthly", "per message"):
        table.add_column(column, justify="right")
    cheapest = min(analysis.approaches, key=lambda cost: cost.monthly)
    for cost in analysis.approaches:
        hidden = sum(cost.hidden.values())
        cells = [_money(amount) for amount in (cost.fixed, cost.variable, hidden, cost.monthly)]
        style = "bold" if cost is cheapest and len(analysis.approaches) > 1 else ""
        table.add_row(cost.approach, *cells, f"{cost.per_email:,.6f}", style=style)
    console = terminal.console()
    console.print(table)
    for cost in analysis.approaches:
        parts = ", ".join(f"{name.replace('_', ' ')} {_money(amount)}" for name, amount in cost.hidden.items())
        console.print(f"{cost.approach}: hidden are {parts}. {cost.note}".rstrip(), markup=False)
    console.print(f"Price list: {analysis.price_list}; hidden costs are the guide's estimates.", markup=False)


def _money(amount: Decimal | int) -> str:
    from mailblast.costs.guide import dollars

    return f"{dollars(Decimal(amount)):,.2f}"

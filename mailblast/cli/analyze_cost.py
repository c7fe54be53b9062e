"""``mailblast analyze-cost``: what each approach costs at a volume."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailblast.cli import cost_inputs, options
from mailblast.cli.cost_inputs import Per
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.costs.offers import Estimate


def analyze_cost(
    volume: cost_inputs.Volume = None,
    list_: cost_inputs.ListSource = None,
    per: Annotated[Per, typer.Option("--per", help="What the volume is counted over; a month is 30 days.")] = Per.MONTH,
    approach: Annotated[
        str | None,
        typer.Option("--approach", metavar="NAME", help="Only this one: directSMTP, ses, sendgrid, postmark …"),
    ] = None,
    price_list: cost_inputs.PriceListName = None,
    hidden: cost_inputs.Hidden = None,
    attachments_size: cost_inputs.AttachmentsSize = None,
    ask_ses: cost_inputs.AskSes = False,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw cost against volume: .svg or .html.")
    ] = None,
    list_format: options.ListFormatOption = None,
    encoding: options.Encoding = "utf-8",
    email_column: options.EmailColumn = None,
    key: options.Key = None,
    json_output: options.JsonOutput = False,
    csv_output: Annotated[bool, typer.Option("--csv", help="The table as CSV on stdout, nothing else there.")] = False,
    debug: options.Debug = False,
) -> int:
    """Show what each provider costs a month, and where the cheapest changes.

    Of each provider the cheapest plan is taken, with its price of further messages. Prices carry a date; old ones are
    pointed out. With --price-list guide the figures are those of the guide, hidden costs counted in.

    Examples:

      mailblast analyze-cost --volume 50k

      mailblast analyze-cost --list list.csv --attachments-size 2MB

      mailblast analyze-cost --volume 2k --per day --approach ses --json
    """
    from mailblast.clock import SystemClock

    if json_output and csv_output:
        raise UsageError("--json and --csv exclude each other.", fix="Give one of them.")
    if plot is not None and plot.suffix.lower() not in {".svg", ".html"}:
        raise UsageError(f"--plot '{plot}' is neither .svg nor .html.", fix="Name it like cost.svg.")
    terminal = Terminal(json_output=json_output)
    listed = cost_inputs.ListOptions(list_, list_format, encoding, email_column, key)
    counted = cost_inputs.counted_volume(volume, listed, terminal)
    pricing = cost_inputs.Pricing(price_list, hidden, attachments_size, approach, ask_ses)
    estimate, _ = cost_inputs.priced(counted.volume, per.value, pricing, terminal, SystemClock())
    if plot is not None:
        from mailblast.cli.cost_plot import write_plot

        write_plot(estimate, plot)
    if json_output:
        more = {"list": counted.list.to_json()} if counted.list else {}
        terminal.json(estimate.to_json() | more)
    elif csv_output:
        from mailblast.cli.cost_table import csv_lines

        for line in csv_lines(estimate):
            terminal.result(line)
    else:
        if counted.list:
            terminal.result(counted.list.words())
        _show(estimate, terminal)
    if plot is not None:
        terminal.note(f"mailblast: the chart is in {plot}.")
    return ExitCode.OK


def _show(estimate: Estimate, terminal: Terminal) -> None:
    from mailblast.cli import cost_table
    from mailblast.cli.cost_chart import chart, crossing_lines

    console = terminal.console()
    cost_table.show(estimate, console)
    console.print()
    for line in chart(estimate, console.width, braille=_has_braille()):
        console.print(line)
    console.print()
    for text in (*crossing_lines(estimate), *cost_table.lines(estimate)):
        console.print(text, markup=False)


def _has_braille() -> bool:
    """Return whether stdout can say a braille character."""
    try:
        "\N{BRAILLE PATTERN DOTS-12345678}┤▲≤●".encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True

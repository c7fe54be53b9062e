"""``mailblast recommend``: which approach fits a volume."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from mailblast.cli import cost_inputs, options
from mailblast.cli.cost_inputs import Per
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.costs.recommend import Recommendation

#: Wide enough for the label of a line and a blank.
LABEL = 10


def recommend(
    volume: cost_inputs.Volume = None,
    list_: cost_inputs.ListSource = None,
    per: Annotated[Per, typer.Option("--per", help="What the volume is counted over; a month is 30 days.")] = Per.DAY,
    price_list: cost_inputs.PriceListName = None,
    hidden: cost_inputs.Hidden = None,
    attachments_size: cost_inputs.AttachmentsSize = None,
    ask_ses: cost_inputs.AskSes = False,
    list_format: options.ListFormatOption = None,
    encoding: options.Encoding = "utf-8",
    email_column: options.EmailColumn = None,
    key: options.Key = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Say which approach fits a volume.

    And why, what it costs, how long it takes, what is cheapest, and what to do next.

    Examples:

      mailblast recommend --volume 5000

      mailblast recommend --list list.csv

      mailblast recommend --volume 100k --per month --json
    """
    from mailblast.clock import SystemClock
    from mailblast.costs.recommend import recommend as recommend_for

    terminal = Terminal(json_output=json_output)
    listed = cost_inputs.ListOptions(list_, list_format, encoding, email_column, key)
    counted = cost_inputs.counted_volume(volume, listed, terminal)
    pricing = cost_inputs.Pricing(price_list, hidden, attachments_size, None, ask_ses)
    estimate, prices = cost_inputs.priced(counted.volume, per.value, pricing, terminal, SystemClock())
    advice = recommend_for(counted.volume, per.value, estimate=estimate, prices=prices, list_source=list_ or "list.csv")
    terminal.json(advice.to_json() | ({"list": counted.list.to_json()} if counted.list else {}))
    if counted.list:
        terminal.result(counted.list.words())
    if not json_output:
        console = terminal.console()
        for label, text in _lines(advice):
            _print_line(terminal, label, text, console.width if console.is_terminal else None)
    return ExitCode.OK


def _print_line(terminal: Terminal, label: str | None, text: str, width: int | None) -> None:
    """Print a line, broken below its own beginning on a terminal; commands are never broken."""
    import textwrap

    head = "" if label is None else f"  {label:<{LABEL}}"
    if width is None or text.lstrip().startswith("mailblast "):
        terminal.result(f"{head}{text}".rstrip())
        return
    number = len(text) - len(text.lstrip("0123456789. "))
    indent = " " * (len(head) or (number if text[:2] == "  " else 0))
    for line in textwrap.wrap(head + text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]:
        terminal.result(line)


def _lines(advice: Recommendation) -> Iterator[tuple[str | None, str]]:
    """Yield label and text of each line: None stands at the margin, an empty label below the one before."""
    from mailblast.cli.cost_table import money

    yield None, f"{advice.volume:,} messages a {advice.per}: {advice.approach}"
    yield None, ""
    for reason in advice.why:
        yield None, f"  {reason}"
    yield None, ""
    yield "cost", _cost(advice)
    cheapest = advice.cheapest
    plan = f", {cheapest.plan.plan}" if cheapest.plan else ""
    days = cheapest.days(advice.volume)
    spread = f", sent over {days:,} days" if days > 1 else ""
    yield "cheapest", f"{cheapest.name}{plan}: {money(cheapest.cost.monthly)} a month{spread}"
    rate = f"{advice.rate_per_s.normalize():,f}" if advice.rate_per_s >= 1 else f"{advice.rate_per_s:.2f}"
    yield "time", f"{duration_words(advice.duration_s)} for {advice.volume:,} messages at {rate} a second"
    if advice.warm_up_days:
        yield "warm-up", f"{advice.warm_up_days} days below the full volume, for a domain or IP address that is new"
    for index, limit in enumerate(advice.limits):
        yield "" if index else "limits", limit
    for index, each in enumerate(advice.mailboxes):
        lasts = f"{each.days:,} days" if each.days > 1 else "one day"
        text = f"{each.provider}, {each.plan}: {each.per_day:,} a day, so {lasts} (--daily-cap {each.per_day})"
        yield "" if index else "mailboxes", text
    yield None, ""
    yield None, "First:"
    for number, step in enumerate(advice.setup, 1):
        yield None, f"  {number}. {step}"
    yield None, ""
    yield None, "Then:"
    for command in advice.commands:
        yield None, f"  {command}"
    yield None, ""
    for notice in advice.estimate.notices:
        yield None, notice
    day = f", looked over on {advice.estimate.price_date}" if advice.estimate.price_date else ""
    yield None, f"Prices: {advice.estimate.price_list}{day}. The thresholds are the guide's."


def _cost(advice: Recommendation) -> str:
    from mailblast.cli.cost_table import money

    if advice.monthly_cost is None:
        return f"not known: {advice.estimate.price_list} has no plan of {advice.approach} that carries this"
    plan = advice.offer.plan if advice.offer else None
    named = f" ({plan.provider}, {plan.plan})" if plan else ""
    included = "included" if advice.estimate.hidden != "none" else "left out"
    return f"{money(advice.monthly_cost)} US dollars a month{named}, hidden costs {included}"


def duration_words(seconds: float) -> str:
    """Return a duration in the unit that fits it."""
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{max(seconds, 0.1):,.1f} seconds"

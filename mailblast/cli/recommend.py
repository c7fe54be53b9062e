"""``mailblast recommend``: which approach fits a volume."""

from __future__ import annotations

from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.analyze_cost import Per
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.terminal import Terminal


def recommend(
    volume: Annotated[
        str, typer.Option("--volume", "-v", metavar="N", help="Messages: 5000, 5k, 1.2M.", show_default=False)
    ],
    per: Annotated[Per, typer.Option("--per", help="What the volume is counted over; a month is 30 days.")] = Per.DAY,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Say which approach fits a volume.

    And why, what it costs, how long it takes, and what to do next.

    Examples:

      mailblast recommend --volume 5000

      mailblast recommend --volume 100k --per month --json
    """
    from mailblast.costs.guide import dollars
    from mailblast.costs.recommend import recommend as recommend_for
    from mailblast.costs.volume import parse_volume

    advice = recommend_for(parse_volume(volume), per.value)
    terminal = Terminal(json_output=json_output)
    terminal.json(advice.to_json())
    hours = advice.duration_s / 3600
    duration = f"{hours:,.1f} hours" if hours >= 1 else f"{max(advice.duration_s / 60, 0.1):,.1f} minutes"
    for line in (
        f"{advice.volume:,} messages a {advice.per}: {advice.approach}",
        "",
        *(f"  {reason}" for reason in advice.why),
        "",
        f"  cost      {dollars(advice.monthly_cost):,.2f} US dollars a month, hidden costs included",
        f"  cheapest  {advice.cheapest.approach}, {dollars(advice.cheapest.monthly):,.2f} a month",
        f"  time      {duration} for {advice.volume:,} messages at {advice.rate_per_s:,} a second",
        *(f"  limit     {limit}" for limit in advice.limits),
        "",
        "First:",
        *(f"  {number}. {step}" for number, step in enumerate(advice.setup, 1)),
        "",
        "Then:",
        f"  {advice.command}",
    ):
        terminal.result(line)
    return ExitCode.OK

"""``mailblast report``: one campaign as a web page."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.report.summary import CampaignSummary

#: How the title of every page ends, and in how many bytes it has ended.
TITLE_END, HEAD_BYTES = b": mailing report</title>", 4096


def report(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="As named by 'mailblast status'.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="The page. [default: CAMPAIGN-report.html]")
    ] = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Write a page with a campaign's outcomes, throughput, domains, errors and what to do about them.

    It needs nothing but itself, and may be made while a run goes on. With --json, the figures go to stdout instead.

    Examples:

      mailblast report welcome-list

      mailblast report welcome-list -o report.html
    """
    from mailblast.clock import SystemClock
    from mailblast.journal.reading import JournalReader
    from mailblast.report.contents import gather, to_json
    from mailblast.report.summary import summarise

    terminal = Terminal(json_output=json_output)
    with JournalReader(Settings.load().home, campaign) as reader:
        data = gather(reader, now_s=SystemClock().now(), cost=_cost(summarise(reader)))
    if json_output:
        terminal.json(to_json(data))
        if output is None:
            return ExitCode.OK
    # The plots are drawn for the page alone: their part takes a while to load.
    from mailblast.report.page import to_html

    path = output or Path(f"{campaign}-report.html")
    try:
        _write(path, to_html(data))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", fix="Give another file to -o.") from error
    terminal.result(f"{path}: open it in a browser")
    return ExitCode.OK


def _cost(summary: CampaignSummary) -> str:
    """Return what the accepted messages cost at today's prices; empty where that is not known."""
    from mailblast.cli.cost_of_run import cost_of_run
    from mailblast.cli.cost_table import money
    from mailblast.model.outcome import State

    accepted = summary.counts[State.ACCEPTED]
    if not accepted or not summary.provider:
        return ""
    cost = cost_of_run(summary.provider.partition(":")[0], summary.provider, accepted, 0)
    if cost.local or cost.offer is None:
        return ""
    return f"${money(cost.offer.price)}"


def _write(path: Path, text: str) -> None:
    """Write a page that only its owner can read: it holds addresses that servers have quoted.

    Raises:
        OSError: It cannot be written.
        UsageError: There is a file that is no report, such as the template, and it is left as it is.
    """
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if head and TITLE_END not in head:
            raise UsageError(f"{path} is there and is no report; it is left as it is.", fix="Give another file to -o.")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
        file.write(text)

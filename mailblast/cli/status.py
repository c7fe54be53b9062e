"""``mailblast status``: campaigns, their counts, and how to go on."""

from __future__ import annotations

from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal


def status(
    campaign: Annotated[str | None, typer.Argument(metavar="CAMPAIGN", help="One campaign; without it, all.")] = None,
    json_output: options.JsonOutput = False,
    queue: options.Queue = None,
    debug: options.Debug = False,
) -> int:
    """Show all campaigns, or one with its counts and what is left.

    Examples:

      mailblast status

      mailblast status welcome-list --json
    """
    from mailblast.cli.queue_status import queue_state, words_of
    from mailblast.journal.reading import JournalReader, list_campaigns
    from mailblast.model.outcome import State
    from mailblast.report.summary import summarise

    settings = Settings.load()
    terminal, home = Terminal(json_output=json_output), settings.home
    names = [campaign] if campaign else list_campaigns(home)
    summaries, queues = [], []
    for name in names:
        queues.append(queue_state(name, queue, settings, terminal))
        with JournalReader(home, name) as reader:
            summaries.append(summarise(reader))
    if json_output:
        documents = [summary.to_json() | {"queue": told} for summary, told in zip(summaries, queues, strict=True)]
        terminal.json(documents[0] if campaign else {"campaigns": documents})
        return ExitCode.OK
    if not summaries:
        terminal.result(f"No campaigns in {home}. Start one: mailblast bulk list.csv --template welcome.html")
    for summary, told in zip(summaries, queues, strict=True):
        counts = ", ".join(f"{count:,} {state.value}" for state, count in summary.counts.items() if count)
        terminal.result(f"{summary.campaign}: {summary.state}, {summary.rows:,} rows: {counts or 'nothing yet'}")
        if told is not None:
            terminal.result(f"  {words_of(told)}")
    if campaign and summaries:
        (summary,) = summaries
        if summary.state in {"resumable", "stopped"} and queues == [None]:
            terminal.result("To continue, run the same bulk command again.")
        if summary.counts.get(State.IN_DOUBT):
            terminal.result(f"Who is in doubt: mailblast failures {campaign} --state in_doubt")
    return ExitCode.OK

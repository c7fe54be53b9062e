"""``mailblast bounces``: read delivery reports and complaints."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.bounces.intake import BounceCounts, BounceEvent


def bounces(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="PATH...", help="Maildirs, folders of message files, mbox files, single messages."),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write what each report says to FILE, as JSON lines."),
    ] = None,
    no_suppress: Annotated[
        bool, typer.Option("--no-suppress", help="Correct the campaigns; leave the do-not-mail list as it is.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and count; change nothing.")] = False,
    json_output: options.JsonOutput = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Read delivery reports and complaints that came back.

    Campaigns get the truth, dead addresses and complainers get on the do-not-mail list. Reading a report twice is safe.

    Examples:

      mailblast bounces ~/Maildir/.Bounces

      mailblast bounces reports.mbox -o reports.jsonl --dry-run
    """
    from mailblast.bounces.intake import BounceIntake
    from mailblast.bounces.mailbox import read_mailbox
    from mailblast.clock import SystemClock
    from mailblast.recipients.suppression import SuppressionList

    home = Settings.load().home
    terminal = Terminal(json_output=json_output, quiet=quiet)
    with ExitStack() as stack:
        suppressions = None if no_suppress else stack.enter_context(SuppressionList(home))
        intake = BounceIntake(home, suppressions, SystemClock(), dry_run=dry_run)
        write = None
        if output is not None:
            try:
                write = stack.enter_context(output.open("w", encoding="utf-8")).write
            except OSError as error:
                raise UsageError(
                    f"{output} cannot be written: {error.strerror}.", fix="Give another file to -o."
                ) from error
        for path in paths:
            for event in intake.take(read_mailbox(path)):
                if write is not None:
                    write(_json_line(event))
    counts = intake.counts
    _tell(terminal, counts, dry_run=dry_run)
    if counts.locked:
        return ExitCode.LOCKED
    return ExitCode.INCOMPLETE if counts.troubles or counts.unreadable else ExitCode.OK


def _tell(terminal: Terminal, counts: BounceCounts, *, dry_run: bool) -> None:
    terminal.json(
        {
            "messages": counts.messages,
            "reports": {
                name: getattr(counts, name) for name in ("hard", "soft", "complaint", "other", "none", "unknown")
            },
            "no_report": counts.no_report,
            "unreadable": counts.unreadable,
            "suppressed": counts.suppressed,
            "corrected": counts.corrected,
            "locked": sorted(counts.locked),
            "dry_run": dry_run,
        }
    )
    would = "would be " if dry_run else ""
    terminal.result(f"{counts.messages:,} messages, {counts.no_report:,} of them no reports")
    for count, text in (
        (counts.hard, "hard bounces: the address does not exist"),
        (counts.soft, "soft bounces: the mailbox is full"),
        (counts.complaint, "complaints"),
        (counts.other, "other failures: policy, content, time-outs"),
        (counts.none, "delays and confirmations"),
        (counts.unknown, "about messages that are not on record here; ignored"),
        (counts.unreadable, "cannot be read, or are larger than a report can be"),
    ):
        if count:
            terminal.result(f"  {count:,} {text}")
    terminal.result(
        f"{counts.corrected:,} recipients {would}corrected in their campaigns, {counts.suppressed:,} suppressed"
    )
    for trouble in counts.troubles:
        terminal.warn(f"mailblast: {trouble}")
    if counts.locked:
        names = ", ".join(sorted(counts.locked))
        terminal.warn(f"mailblast: {names}: a run holds it. Read the same reports again when it has ended.")


def _json_line(event: BounceEvent) -> str:
    reported = event.reported
    line = {
        "place": event.place,
        "campaign": event.campaign,
        "key": event.key,
        "address": event.address,
        "verdict": event.verdict.value,
        "report": reported.kind.value,
        "reported_address": reported.address,
        "code": reported.code,
        "enhanced": reported.enhanced,
        "text": reported.text,
        "suppressed": event.suppressed,
    }
    return json.dumps(line, ensure_ascii=False) + "\n"

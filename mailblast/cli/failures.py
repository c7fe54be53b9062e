"""``mailblast failures``: who did not get it and why, as a list that can be sent to again."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailblast.model.outcome import Outcome, State

FORMATS: dict[str, Literal["csv", "jsonl"]] = {".csv": "csv", ".jsonl": "jsonl"}
DEFAULT_STATES = "failed,deferred,in_doubt,invalid"


def failures(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its name, as 'mailblast status' shows it.")],
    states: Annotated[
        str,
        typer.Option(
            "--state", metavar="STATES", help="Which outcomes, with commas; unsent and others may be named too."
        ),
    ] = DEFAULT_STATES,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="A .csv or .jsonl file. [default: CSV on stdout]"),
    ] = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """List who did not get it, and why.

    The original columns, then outcome, code, enhanced, reason, provider, attempts and time. Bulk reads it again.

    Examples:

      mailblast failures welcome-list

      mailblast failures welcome-list --state deferred,unsent -o again.csv
    """
    from mailblast.journal.reading import JournalReader
    from mailblast.report.failures import write_failures

    wanted = parse_states(states)
    with JournalReader(Settings.load().home, campaign) as reader:

        def outcomes() -> Iterable[Outcome]:
            return reader.outcomes(wanted)

        if output is not None:
            count = _write_file(output, outcomes)
            Terminal().note(f"{count:,} rows written to {output}")
        if json_output:
            _write_json(campaign, outcomes)
        elif output is None:
            write_failures(outcomes, sys.stdout, format="csv")
    return ExitCode.OK


def _write_file(path: Path, outcomes: Callable[[], Iterable[Outcome]]) -> int:
    """Write a list; return its number of rows.

    Raises:
        UsageError: The name's ending says no format, or the file cannot be written.
    """
    from mailblast.report.failures import write_failures

    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UsageError(f"-o {path} ends neither in .csv nor in .jsonl.", fix="Name the file by one of these.")
    try:
        with path.open("w", encoding="utf-8", newline="") as target:
            return write_failures(outcomes, target, format=kind)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.", fix="Give another file to -o.") from error


def _write_json(campaign: str, outcomes: Callable[[], Iterable[Outcome]]) -> None:
    """Print one object with a row for each outcome, without holding them all."""
    from mailblast.report.failures import write_failures

    sys.stdout.write(f'{{"campaign": {json.dumps(campaign)}, "rows": [')
    write_failures(outcomes, _Listed(sys.stdout), format="jsonl")
    sys.stdout.write("]}\n")


class _Listed(io.StringIO):
    """Turns lines into items of a JSON list."""

    def __init__(self, target: TextIO) -> None:
        super().__init__()
        self._target = target
        self._between = ""

    def write(self, text: str) -> int:
        """Write a line as an item."""
        self._target.write(self._between + text.rstrip("\n"))
        self._between = ", "
        return len(text)


def parse_states(text: str) -> tuple[State, ...]:
    """Read names of outcomes, with commas between.

    Raises:
        UsageError: One of them is none.
    """
    from mailblast.model.outcome import State

    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(State)]
    if unknown or not names:
        raise UsageError(
            f"--state '{text}' holds no outcome '{', '.join(unknown)}'.", fix=f"Known are: {', '.join(State)}."
        )
    return tuple(State(name) for name in names)

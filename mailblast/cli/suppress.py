"""``mailblast suppress``: the do-not-mail list."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.suppression_intake import SuppressionIntake
from mailblast.cli.terminal import Terminal
from mailblast.errors import ListError, RowFaultError, UsageError
from mailblast.recipients.suppression_entry import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.recipients.suppression import SuppressionList
    from mailblast.recipients.suppression_entry import SuppressionEntry

#: Columns of an exported list; the first is one that an import looks for.
COLUMNS = ("address", "reason", "source", "added")

Subjects = Annotated[
    list[str],
    typer.Argument(metavar="ADDR...", help="Addresses, domains (@example.com, with all below it), or hashes."),
]
ReasonOption = Annotated[Reason, typer.Option("--reason", help="Why.")]
SourceOption = Annotated[str, typer.Option("--source", metavar="TEXT", help="Where it came from, for the record.")]


def add(
    subjects: Subjects,
    reason: ReasonOption = Reason.MANUAL,
    source: SourceOption = "",
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Put addresses, domains or hashes of addresses on the do-not-mail list.

    Examples:

      mailblast suppress add ada@example.com --reason unsubscribe

      mailblast suppress add @example.org
    """
    from mailblast.recipients.suppression_entry import SuppressionEntry

    parsed = [_subject(text) for text in subjects]
    terminal, now = Terminal(json_output=json_output), _now()
    with _list() as suppressions:
        added = suppressions.add([SuppressionEntry(subject, reason, source, now) for subject in parsed])
    terminal.json({"added": added, "already_there": len(set(parsed)) - added})
    terminal.result(f"{added:,} added, {len(set(parsed)) - added:,} were on the list already")
    return ExitCode.OK


def remove(subjects: Subjects, json_output: options.JsonOutput = False, debug: options.Debug = False) -> int:
    """Take addresses, domains or hashes off the do-not-mail list.

    Examples:

      mailblast suppress remove ada@example.com
    """
    terminal = Terminal(json_output=json_output)
    parsed = sorted({_subject(text) for text in subjects})
    with _list() as suppressions:
        removed = suppressions.remove(parsed)
    terminal.json({"removed": removed, "not_there": len(parsed) - removed})
    terminal.result(f"{removed:,} removed, {len(parsed) - removed:,} were not on the list")
    return ExitCode.OK


def check(subjects: Subjects, json_output: options.JsonOutput = False, debug: options.Debug = False) -> int:
    """Say of each address whether it must not be mailed; exit code 1 when one of them must not.

    Examples:

      mailblast suppress check ada@example.com
    """
    terminal = Terminal(json_output=json_output)
    parsed = {text: _subject(text) for text in subjects}
    with _list() as suppressions:
        found = suppressions.suppressed([*parsed.values()])
    rows = []
    for text, subject in parsed.items():
        entry = found.get(subject)
        rows.append({"address": text, "suppressed": entry is not None, **(_described(entry) if entry else {})})
        terminal.result(f"{text}: {_told(entry)}" if entry else f"{text}: may be mailed")
    terminal.json({"addresses": rows})
    return ExitCode.INCOMPLETE if found else ExitCode.OK


def import_(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A list as for bulk, or one entry a line; - is stdin.")
    ] = None,
    reason: Annotated[
        Reason | None, typer.Option("--reason", help="Why; else the file's column 'reason', else manual.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option("--source", metavar="TEXT", help="Where it came from. [default: column 'source', or the file]"),
    ] = None,
    provider: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="DSN",
            help="Instead of a file: whom ses, ses://REGION or sendgrid no longer mails for this account, with the "
            "reasons and days noted there.",
        ),
    ] = None,
    list_format: options.ListFormatOption = None,
    encoding: options.Encoding = "utf-8",
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Put all entries of a file or of a provider's own list on the do-not-mail list; no import takes any off.

    Examples:

      mailblast suppress import unsubscribed.csv --reason unsubscribe

      mailblast suppress import --from ses://eu-west-1
    """
    from mailblast.cli.suppression_file import read_entries

    terminal = Terminal(json_output=json_output)
    if provider is not None:
        if file is not None or reason is not None or source is not None or list_format is not None:
            raise UsageError("--from takes the provider's own list.", fix="Leave out FILE and the options about it.")
        return _import_from(provider, terminal)
    if file is None:
        raise UsageError("There is nothing to import.", fix="Give a FILE, or --from ses://REGION or sendgrid.")
    return _import_file(read_entries(file, list_format, encoding, reason=reason, source=source, now_s=_now()), terminal)


def _import_file(reading: Iterator[SuppressionEntry | str], terminal: Terminal) -> int:
    bad = 0
    with _list() as suppressions:
        intake = SuppressionIntake(suppressions)
        try:
            for entry in reading:
                if isinstance(entry, str):
                    bad += 1
                    terminal.warn(f"mailblast: {entry}")
                else:
                    intake.add(entry)
        except ListError as error:
            intake.flush()
            terminal.warn(f"mailblast: {intake.added:,} were added before the list broke.")
            raise error from None
        intake.flush()
    terminal.json({"added": intake.added, "already_there": intake.known, "invalid": bad})
    terminal.result(f"{intake.added:,} added, {intake.known:,} were on the list already, {bad:,} rows cannot be used")
    return ExitCode.INCOMPLETE if bad else ExitCode.OK


def _import_from(provider: str, terminal: Terminal) -> int:
    from mailblast.cli.suppression_provider import pull
    from mailblast.clock import SystemClock

    settings = Settings.load()
    with _list() as suppressions:
        intake = SuppressionIntake(suppressions)
        pulled = pull(provider, settings, intake, terminal, SystemClock())
    counts = {"added": intake.added, "already_there": intake.known, "invalid": pulled.invalid}
    terminal.json({**counts, "provider": pulled.provider, "reasons": pulled.reasons})
    by_reason = ", ".join(f"{count:,} {reason}" for reason, count in sorted(pulled.reasons.items())) or "nobody"
    terminal.result(
        f"{pulled.provider} lists {by_reason}: {intake.added:,} added, {intake.known:,} were on the list already"
        + (f", {pulled.invalid:,} are no addresses" if pulled.invalid else "")
    )
    return ExitCode.OK


def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="CSV file to write. [default: stdout]")
    ] = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Write the do-not-mail list as CSV, as import reads it.

    Examples:

      mailblast suppress export -o suppressed.csv
    """
    terminal = Terminal(json_output=json_output)
    with _list() as suppressions:
        if json_output:
            terminal.json(
                {"entries": [{"address": each.subject, **_described(each)} for each in suppressions.entries()]}
            )
            return ExitCode.OK
        if output is None:
            _write(suppressions, sys.stdout)
            return ExitCode.OK
        try:
            with output.open("w", encoding="utf-8", newline="") as target:
                count = _write(suppressions, target)
        except OSError as error:
            raise UsageError(
                f"{output} cannot be written: {error.strerror}.", fix="Give another file to -o."
            ) from error
    terminal.note(f"{count:,} entries written to {output}")
    return ExitCode.OK


def _write(suppressions: SuppressionList, target: TextIO) -> int:
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for count, entry in enumerate(suppressions.entries(), start=1):  # noqa: B007 - the last number is wanted
        # What a spreadsheet would take for a formula is made text.
        source = f"'{entry.source}" if entry.source[:1] in "=+-@\t\r" and entry.source else entry.source
        writer.writerow((entry.subject, entry.reason.value, source, _time(entry.added_s)))
    return count


def _subject(text: str) -> str:
    from mailblast.recipients.suppression_entry import parse_subject

    try:
        return parse_subject(text)
    except RowFaultError as fault:
        raise UsageError(
            f"'{text}' {fault.reason}.", fix="Give an address, a domain such as @example.com, or a hash."
        ) from fault


def _described(entry: SuppressionEntry) -> dict[str, str]:
    return {"entry": entry.subject, "reason": entry.reason.value, "source": entry.source, "added": _time(entry.added_s)}


def _told(entry: SuppressionEntry) -> str:
    source = f", from {entry.source}" if entry.source else ""
    return f"must not be mailed: {entry.reason.value} ({entry.subject}, {_time(entry.added_s)}{source})"


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _list() -> SuppressionList:
    from mailblast.recipients.suppression import SuppressionList

    return SuppressionList(Settings.load().home)


def _now() -> float:
    from mailblast.clock import SystemClock

    return SystemClock().now()

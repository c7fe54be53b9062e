"""Files with entries for the do-not-mail list."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from mailblast.cli import campaigns
from mailblast.errors import ListError, RowFaultError
from mailblast.model.row import BadRow
from mailblast.recipients.suppression_entry import Reason, SuppressionEntry, parse_subject
from mailblast.recipients.variables import ADDRESS_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailblast.cli.options import ListFormat

#: Names of the column that holds the entries, besides those of a list of recipients.
SUBJECT_COLUMNS = (*ADDRESS_COLUMNS, "domain", "hash", "subject")


def read_entries(
    file: str, list_format: ListFormat | None, encoding: str, *, reason: Reason | None, source: str | None, now_s: float
) -> Iterator[SuppressionEntry | str]:
    """Yield the entries of a file; for a row that holds none, what is wrong with it.

    Args:
        file: As for ``bulk``; lines without an address may hold a domain or a hash.
        list_format: Where the name does not tell.
        encoding: Of the file.
        reason: For all; None takes each row's own, else manual.
        source: For all; None takes each row's own, else the file's name.
        now_s: Unix seconds, where a row has no date.

    Raises:
        ListError: The file cannot be read, or has no column of entries.
    """
    with campaigns.open_rows(file, list_format, encoding) as reader:
        columns = reader.columns
        if columns is not None and _column(dict.fromkeys(columns)) is None:
            raise ListError(
                f"{reader.name} has no column of addresses such as 'address' or 'email'; it has: {', '.join(columns)}.",
                fix="Rename one, or give a file with one entry a line.",
            )
        for row in reader:
            try:
                if isinstance(row, BadRow):
                    # A line of a .txt list without an address is shown there as it is.
                    if not row.address:
                        raise RowFaultError(row.reason, column=row.column)  # noqa: TRY301 - told as all others
                    fields: Mapping[str, object] = {"address": row.address}
                else:
                    fields = row.fields
                yield _entry(fields, reason, source or reader.name, now_s, own_source=source is None)
            except RowFaultError as fault:
                column = f", column '{fault.column}'" if fault.column else ""
                yield f"{reader.name}, row {row.number:,}{column}: {fault.reason}."


def _entry(
    fields: Mapping[str, object], reason: Reason | None, source: str, now_s: float, *, own_source: bool
) -> SuppressionEntry:
    column = _column(fields)
    if column is None:
        raise RowFaultError("holds no address, domain or hash")
    try:
        subject = parse_subject(str(fields[column] or ""))
    except RowFaultError as fault:
        raise RowFaultError(fault.reason, column=column) from fault
    lower = {name.strip().lower(): str(value or "").strip() for name, value in fields.items()}
    return SuppressionEntry(
        subject,
        reason or _reason(lower.get("reason", "")),
        (own_source and lower.get("source", "").removeprefix("'")) or source,
        _date(lower.get("added") or lower.get("date") or "", now_s),
    )


def _column(fields: Mapping[str, object]) -> str | None:
    named = {name.strip().lower(): name for name in fields}
    return next((named[name] for name in SUBJECT_COLUMNS if name in named), None)


def _reason(text: str) -> Reason:
    if not text:
        return Reason.MANUAL
    try:
        return Reason(text.lower())
    except ValueError:
        known = ", ".join(Reason)
        raise RowFaultError(f"is '{text[:40]}', which is no reason; known are {known}", column="reason") from None


def _date(text: str, now_s: float) -> float:
    if not text:
        return now_s
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise RowFaultError(f"is '{text[:40]}', which is no date; write it like 2026-01-31", column="added") from None

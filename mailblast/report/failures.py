"""Who did not get it and why, as a list that can be sent to again."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any, Literal, TextIO

from mailblast.model.outcome import Outcome, State
from mailblast.report.summary import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

#: What is written where nothing else is asked for.
DEFAULT_STATES = (State.FAILED, State.DEFERRED, State.IN_DOUBT, State.INVALID)

#: Columns after the original ones.
ADDED = ("outcome", "code", "enhanced", "reason", "provider", "attempts", "time")

#: Names that a list's address column may have, compared without case.
_ADDRESS_COLUMNS = frozenset({"email", "e-mail", "address", "to", "mail", "email address"})

# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)?", re.ASCII)


def write_failures(
    outcomes: Callable[[], Iterable[Outcome]],
    target: TextIO,
    *,
    format: Literal["csv", "jsonl"],  # noqa: A002 - as in the command
) -> int:
    """Write outcomes in the form of the list they came from, with what became of them.

    A column of the list that has one of our names stays as it is, because the template may use it, and ours is then
    called ``mailblast_…``. A list that has all of them is one that was written here: they are brought up to date.

    Args:
        outcomes: Gives the outcomes, each time anew: CSV needs the names of all columns before the first row.
        target: Open for text, with ``newline=""``; stays open.
        format: ``csv``, or ``jsonl`` for one JSON object a line, which keeps nested values.

    Returns:
        How many were written.
    """
    if format == "jsonl":
        return _write_jsonl(outcomes(), target)
    return _write_csv(outcomes, target)


def _write_jsonl(outcomes: Iterable[Outcome], target: TextIO) -> int:
    written = 0
    for outcome in outcomes:
        fields = _with_address(outcome, _address_column(outcome.fields or ()))
        target.write(json.dumps(fields | _added(outcome, _names(fields))) + "\n")
        written += 1
    return written


def _write_csv(outcomes: Callable[[], Iterable[Outcome]], target: TextIO) -> int:
    seen: dict[str, None] = {}
    for outcome in outcomes():
        seen.update(dict.fromkeys(outcome.fields or ()))
    address_column = _address_column(seen)
    if address_column not in seen:
        seen = {address_column: None, **seen}
    names = _names(seen)
    columns = [column for column in seen if column not in names] + list(names)
    # CRLF (RFC 4180), also because Python before 3.13 quotes only those line breaks that its own line ends are made of.
    writer = csv.writer(target, lineterminator="\r\n")
    writer.writerow(map(_text, columns))
    written = 0
    for outcome in outcomes():
        row = _with_address(outcome, address_column) | _added(outcome, names)
        # A quote in front of a valid address would make it somebody else's.
        valid = outcome.state is not State.INVALID
        writer.writerow(
            [
                _text(row.get(column)) if valid and column == address_column else _cell(row.get(column))
                for column in columns
            ]
        )
        written += 1
    return written


def _address_column(columns: Iterable[str]) -> str:
    return next((column for column in columns if column.strip().casefold() in _ADDRESS_COLUMNS), "email")


def _with_address(outcome: Outcome, column: str) -> dict[str, object]:
    fields = dict(outcome.fields or {})
    if not fields.get(column):
        return {column: outcome.address} | fields | {column: outcome.address}
    return fields


def _names(columns: Mapping[str, object] | Sequence[str]) -> tuple[str, ...]:
    apart = tuple(f"mailblast_{name}" for name in ADDED)
    if all(name in columns or other in columns for name, other in zip(ADDED, apart, strict=True)):
        return tuple(other if other in columns else name for name, other in zip(ADDED, apart, strict=True))
    return tuple(other if name in columns else name for name, other in zip(ADDED, apart, strict=True))


def _added(outcome: Outcome, names: Sequence[str]) -> dict[str, object]:
    values = (
        outcome.state.value,
        outcome.code or "",
        outcome.enhanced,
        outcome.text,
        outcome.provider,
        outcome.attempts,
        rfc3339(outcome.time_s) if outcome.time_s else "",
    )
    return dict(zip(names, values, strict=True))


def _text(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        value = json.dumps(value)
    # Lone surrogates have no form in UTF-8.
    return str(value.encode("utf-8", "backslashreplace").decode("utf-8"))


def _cell(value: Any) -> str:
    text = _text(value)
    if text.startswith(_FORMULA_STARTS) and _NUMBER.fullmatch(text) is None:
        return f"'{text}"
    return text

"""Rows that say by whom, or by which transport, they are to be sent to; checked before they become claims."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.errors import ListError, RowFaultError
from mailblast.model.recipient import Recipient
from mailblast.model.row import BadRow
from mailblast.recipients.address import parse_mailbox
from mailblast.recipients.variables import find_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Values that are remembered as good.
MAX_KNOWN = 1_000
SHOWN_CHARACTERS = 60
SHOWN_NAMES = 10
SHOWN_COLUMNS = 20


def column_of(columns: tuple[str, ...] | None, wanted: str | None, option: str, name: str) -> str:
    """Return how a column is called in this list; empty where none is asked for.

    Args:
        columns: Of the header; None where rows bring their own.
        wanted: As asked for.
        option: Which asks.
        name: Of the list, for messages.

    Raises:
        ListError: The list has no such column.
    """
    if wanted is None or columns is None:
        return wanted or ""
    found = find_column(columns, wanted)
    if found is None:
        has = ", ".join(columns[:SHOWN_COLUMNS])
        raise ListError(f"{name} has no column '{wanted}'; it has: {has}.", fix=f"Give {option} one of these.")
    return found


def check_rows(
    recipients: Iterable[Recipient | BadRow], *, sender_column: str, via_column: str, transports: frozenset[str]
) -> Iterator[Recipient | BadRow]:
    """Yield recipients; those whose sender or transport cannot be used come out as ``BadRow``, in place.

    Args:
        recipients: Of the list.
        sender_column: Column of senders; empty for none.
        via_column: Column of names of transports; empty for none.
        transports: The names that there are.
    """
    known: set[object] = set()

    def check(recipient: Recipient) -> None:
        fields = recipient.fields
        if sender_column and (text := fields.get(sender_column)) not in known:
            _check_sender(text, sender_column)
            known.add(text)
        if via_column:
            transport_of(recipient, via_column, transports)

    for recipient in recipients:
        if isinstance(recipient, Recipient):
            try:
                if len(known) > MAX_KNOWN:
                    known.clear()
                check(recipient)
            except RowFaultError as fault:
                yield BadRow(recipient.row, fault.reason, fault.column, recipient.address, recipient.fields)
                continue
            except TypeError:
                yield BadRow(recipient.row, "is not text", sender_column, recipient.address, recipient.fields)
                continue
        yield recipient


def transport_of(recipient: Recipient, column: str, transports: frozenset[str]) -> str:
    """Return the name of the transport that a row chooses; empty where it chooses none.

    Raises:
        RowFaultError: There is none of that name. A row only ever chooses, it never says where a transport leads.
    """
    value = recipient.fields.get(column)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise RowFaultError("is not text", column=column)
    name = value.strip()
    if name and name not in transports:
        shown = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in name[:SHOWN_CHARACTERS])
        names = ", ".join(sorted(transports)[:SHOWN_NAMES])
        raise RowFaultError(f"'{shown}' is none of [transports] in mailblast.toml: {names}", column=column)
    return name


def _check_sender(text: object, column: str) -> None:
    if text is None:
        return
    if not isinstance(text, str):
        raise RowFaultError("is not text", column=column)
    if text.strip():
        try:
            parse_mailbox(text)
        except RowFaultError as fault:
            raise RowFaultError(fault.reason, column=column) from fault

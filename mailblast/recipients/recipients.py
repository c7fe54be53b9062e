"""Rows become recipients, one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailblast.errors import ListError, RowFaultError
from mailblast.model.recipient import Recipient
from mailblast.model.row import BadRow, Row
from mailblast.recipients.address import parse_address, parse_mailbox
from mailblast.recipients.variables import ADDRESS_COLUMNS, Shape, shape_of, variables_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

#: How many kinds of JSON objects are remembered at once.
MAX_SHAPES = 256
#: How many columns are named in a message.
SHOWN_COLUMNS = 20
MAX_KEY_CHARACTERS = 1_000
SHOWN_ADDRESS = 320


@dataclass(frozen=True, slots=True)
class RecipientSettings:
    """Which columns mean what."""

    #: Column of the address; None: the first of ``variables.ADDRESS_COLUMNS`` that there is.
    email_column: str | None = None
    #: Column that makes a row unique in the campaign; None: the address.
    key_column: str | None = None


def read_recipients(
    rows: Iterable[Row | BadRow], settings: RecipientSettings, *, columns: tuple[str, ...] | None, name: str
) -> Iterator[Recipient | BadRow]:
    """Return the recipients of a list; rows that cannot be sent to come out as ``BadRow``, in place.

    Columns are found whatever their case. For variables see ``variables_of()``: a column whose name a template cannot
    write, such as ``First Name``, is also there as ``first_name``. A cell ``Name <a@b.c>`` gives its name where the row
    has none of its own.

    Args:
        rows: Read only as far as asked for.
        settings: Which columns mean what.
        columns: Of the header; None where rows bring their own.
        name: Of the list, for messages.

    Raises:
        ListError: At once where the header has no column of addresses, or not that of the key; later whatever reading
            the rows raises.
    """
    shape = None
    if columns is not None:
        shape = shape_of(columns, settings.email_column, settings.key_column)
        _check_shape(shape, settings, columns, name)
    return _Reader(settings, shape).read(rows)


def _check_shape(shape: Shape, settings: RecipientSettings, columns: tuple[str, ...], name: str) -> None:
    more = f" and {len(columns) - SHOWN_COLUMNS} more" if len(columns) > SHOWN_COLUMNS else ""
    found = ", ".join(column[:100] for column in columns[:SHOWN_COLUMNS]) + more
    if shape.address is None and settings.email_column is not None:
        what = f"{name} has no column '{settings.email_column}'; it has: {found}."
        raise ListError(what, fix="Give --email-column one of these.")
    if shape.address is None:
        what = f"{name} has no column of addresses such as '{ADDRESS_COLUMNS[0]}'; it has: {found}."
        raise ListError(what, fix="Name it with --email-column.")
    if settings.key_column is not None and shape.key is None:
        raise ListError(
            f"{name} has no column '{settings.key_column}'; it has: {found}.", fix="Give --key one of these."
        )


class _Reader:
    """What is remembered from row to row."""

    def __init__(self, settings: RecipientSettings, shape: Shape | None) -> None:
        self._settings = settings
        self._shape = shape
        self._shapes: dict[tuple[str, ...], Shape] = {}

    def read(self, rows: Iterable[Row | BadRow]) -> Iterator[Recipient | BadRow]:
        fixed, by_key = self._shape, self._settings.key_column is not None
        for row in rows:
            if isinstance(row, BadRow):
                yield self._with_address(row)
                continue
            fields = row.fields
            shape = fixed or self._shape_of(fields)
            try:
                address, display_name = self._address(fields, shape)
                key = self._key(fields, shape) if by_key else address
            except RowFaultError as fault:
                bad = BadRow(row.number, fault.reason, fault.column, fields=fields)
                yield self._with_address(bad)
                continue
            yield Recipient(row.number, key, address, variables_of(fields, shape, address, display_name), fields)

    def _address(self, fields: Mapping[str, object], shape: Shape) -> tuple[str, str]:
        """Return the address and, where its cell holds one, the display name."""
        column = shape.address
        if column is None:
            wanted = self._settings.email_column or ADDRESS_COLUMNS[0]
            raise RowFaultError(f"has no '{wanted}'")
        text = fields[column]
        if not isinstance(text, str):
            raise RowFaultError("is empty" if text is None else "is not text", column=column)
        try:
            if "<" in text:
                display_name, address = parse_mailbox(text)
                return address, display_name
            return parse_address(text), ""
        except RowFaultError as fault:
            raise RowFaultError(fault.reason, column=column) from fault

    def _key(self, fields: Mapping[str, object], shape: Shape) -> str:
        column = shape.key
        if column is None:
            raise RowFaultError(f"has no '{self._settings.key_column}', which is the key", column="")
        value = fields[column]
        if isinstance(value, list | dict):
            raise RowFaultError("is the key, and neither text nor a number", column=column)
        key = "" if value is None else str(value).strip()
        if not key:
            raise RowFaultError("is the key, and empty", column=column)
        if len(key) > MAX_KEY_CHARACTERS:
            raise RowFaultError(f"is the key, and longer than {MAX_KEY_CHARACTERS:,} characters", column=column)
        return key

    def _shape_of(self, fields: Mapping[str, object]) -> Shape:
        names = tuple(fields)
        shape = self._shapes.get(names)
        if shape is None:
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            shape = self._shapes[names] = shape_of(names, self._settings.email_column, self._settings.key_column)
        return shape

    def _with_address(self, row: BadRow) -> BadRow:
        """Return the row with its address as written, made safe to show."""
        column = (self._shape or self._shape_of(row.fields)).address
        text = row.fields.get(column) if column is not None else None
        if row.address or not isinstance(text, str):
            return row
        text = text.strip()
        shown = text[:SHOWN_ADDRESS] + "…" if len(text) > SHOWN_ADDRESS else text
        safe = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in shown)
        return row._replace(address=safe)

"""What a template can say about a recipient."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: In this order.
ADDRESS_COLUMNS = ("email", "e-mail", "address", "to", "mail", "email address")
#: What ``{{ name }}`` says for a recipient without a name: "Hello there".
NAMELESS = "there"


class Shape(NamedTuple):
    """What follows from the names of the columns: worked out once for a CSV file, once for each kind of object."""

    #: Column of the address; None where there is none.
    address: str | None
    #: Column of the key; None where the address is the key, or there is no such column.
    key: str | None
    #: Other names under which columns can be reached: alias and column.
    aliases: tuple[tuple[str, str], ...]


def shape_of(columns: Iterable[str], email_column: str | None, key_column: str | None) -> Shape:
    """Return what follows from the names of the columns.

    Args:
        columns: All of them.
        email_column: Instead of the usual names.
        key_column: Instead of the address.
    """
    names = tuple(columns)
    wanted = (email_column,) if email_column is not None else ADDRESS_COLUMNS
    address = next((found for name in wanted if (found := find_column(names, name)) is not None), None)
    key = find_column(names, key_column) if key_column is not None else None
    return Shape(address, key, _aliases(names))


def find_column(columns: Iterable[str], wanted: str) -> str | None:
    """Return the column of this name: exactly, else with any case and blanks around it."""
    names = tuple(columns)
    if wanted in names:
        return wanted
    folded = wanted.strip().casefold()
    return next((name for name in names if name.strip().casefold() == folded), None)


def _aliases(columns: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return snake forms of names: ``First Name`` is also ``first_name``, ``Name`` also ``name``.

    There is none where a column has that name already, or where two columns would share it.
    """
    taken = set(columns)
    found: dict[str, list[str]] = {}
    for column in columns:
        alias = re.sub(r"\W+", "_", column).strip("_").lower()
        if alias[:1].isdigit():
            alias = f"_{alias}"
        if alias.isidentifier() and alias not in taken:
            found.setdefault(alias, []).append(column)
    return tuple((alias, names[0]) for alias, names in found.items() if len(names) == 1)


def variables_of(fields: Mapping[str, object], shape: Shape, address: str, display_name: str) -> dict[str, object]:
    """Return the variables of one recipient.

    Every column is one, under its own name and its snake form. Always there are ``email``, the address as it is sent
    to; ``name``, which is ``there`` where it is empty, missing, or neither text nor a number; and ``data``, where a
    list of plain values becomes text with commas, and a missing one is empty.

    Args:
        fields: Of the row.
        shape: Of these fields.
        address: As it goes on the wire.
        display_name: Stands in for a missing name.
    """
    variables = dict(fields)
    for alias, column in shape.aliases:
        variables[alias] = fields[column]
    variables["email"] = address
    name = variables.get("name")
    if isinstance(name, str):
        name = name.strip()
    elif isinstance(name, bool) or not isinstance(name, int | float):
        name = ""
    variables["name"] = (display_name or NAMELESS) if name == "" else name
    data = variables.get("data", "")
    if not isinstance(data, str):
        variables["data"] = _data(data)
    elif not data:
        variables["data"] = ""
    return variables


def _data(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(_text(item) for item in value)
    return value


def _text(value: object) -> str:
    """Return a JSON value as JSON writes it, without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)

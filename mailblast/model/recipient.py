"""A recipient, and the right to send to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class Recipient(NamedTuple):
    """One valid row of the list."""

    #: Row number in the list (see ``Row.number``).
    row: int
    #: What makes it unique inside the campaign: the address with its domain folded, or the key column's value.
    key: str
    #: addr-spec as it goes on the wire: local part as given, domain lower case and as A-labels.
    address: str
    #: Template variables by name, with ``email``, ``name`` and ``data`` always set.
    variables: Mapping[str, object]
    #: The original columns, for the list of failures.
    fields: Mapping[str, object]


class Claim(NamedTuple):
    """A recipient that this run may send to; handed out by the journal, once."""

    #: The journal's number of this recipient; stable over runs.
    id: int
    recipient: Recipient
    #: Unix seconds when the recipient was first claimed: the Date header of every attempt.
    dated_s: int
    #: Attempts made by earlier runs.
    attempts: int = 0
    #: CRC-32 of the message sent before, where it is in doubt and is to be repeated byte for byte; else None.
    digest: int | None = None


class Batch(NamedTuple):
    """All that crosses the executor seam going out."""

    #: Position in the run, from 0.
    sequence: int
    claims: tuple[Claim, ...]

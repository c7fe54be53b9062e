"""Whose message a report is about: by our Message-ID, which names campaign and recipient."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import MailblastError, RowFaultError
from mailblast.journal.reading import JournalReader, list_campaigns
from mailblast.message.message_id import Identifiers, MessageName
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mailblast.model.outcome import Outcome


class Attributed(NamedTuple):
    """A recipient of ours that a report is about."""

    campaign: str
    #: Where it stands on record.
    outcome: Outcome


def attribute(home: Path, names: Iterable[MessageName]) -> tuple[dict[MessageName, Attributed], list[str]]:
    """Find the recipients that Message-IDs name.

    Each campaign with one of them is read once, whatever its size; memory grows with the names alone.

    Args:
        home: Folder of all campaigns.
        names: As found in reports; those that are not ours are left out.

    Returns:
        What was found, and for each campaign that cannot be read what is wrong with it.

    Raises:
        JournalError: The folder cannot be read.
    """
    wanted: dict[str, set[str]] = {}
    for token, identifier in names:
        wanted.setdefault(token, set()).add(identifier)
    found: dict[MessageName, Attributed] = {}
    troubles: list[str] = []
    for campaign in list_campaigns(home) if wanted else ():
        try:
            with JournalReader(home, campaign) as reader:
                identifiers = wanted.get(reader.token)
                if identifiers:
                    _search(reader, identifiers, found)
        except MailblastError as error:
            troubles.append(str(error))
    return found, troubles


def _search(reader: JournalReader, identifiers: set[str], found: dict[MessageName, Attributed]) -> None:
    identify = Identifiers(reader.token).of
    for outcome in reader.outcomes([state for state in State if state not in {State.INVALID, State.DUPLICATE}]):
        try:
            identifier = identify(outcome.key)
        except RowFaultError:
            continue
        if identifier in identifiers:
            found[MessageName(reader.token, identifier)] = Attributed(reader.campaign, outcome)

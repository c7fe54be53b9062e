"""One finding."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Level(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    OK = "ok"


class Check(NamedTuple):
    """A finding about one thing."""

    #: Stable name, group first, such as ``list.row``.
    id: str
    level: Level
    #: What it is about: a file, an address, a host.
    subject: str
    message: str
    #: What to do; empty where nothing is to be done.
    fix: str = ""
    #: Row of the list; None where it is about no row.
    row: int | None = None


def not_looked_up(name: str, subject: str, what: str, reason: str) -> Check:
    """Return the finding that DNS gave no answer: it says nothing of the domain, good or bad.

    Args:
        name: Of the check that could not be made, such as ``spf``.
        subject: What was asked for.
        what: The same for people.
        reason: Why there is no answer.
    """
    return Check(f"domain.{name}_unknown", Level.INFO, subject, f"{what} could not be looked up: {reason}.")

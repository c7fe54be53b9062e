"""What the exit code tells a script."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from mailblast.errors import (
    CampaignLockedError,
    InputError,
    JournalError,
    MailblastError,
    ProviderError,
    RunInterruptedError,
)
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """The contract with cron jobs and scripts."""

    #: Everything accepted, or nothing left to do.
    OK = 0
    #: Some rows failed, are deferred, invalid or in doubt.
    INCOMPLETE = 1
    #: Usage or configuration.
    USAGE = 2
    #: The list or the template cannot be used (any further).
    INPUT = 3
    #: The provider, the account or a full disk stopped the run; the rest is unsent and resumable.
    STOPPED = 4
    #: Another run holds the campaign.
    LOCKED = 5
    #: Ctrl-C; resumable.
    INTERRUPTED = 130
    #: SIGTERM; resumable.
    TERMINATED = 143


#: States at the end of a run that a script should know of.
TROUBLE = (State.FAILED, State.DEFERRED, State.IN_DOUBT, State.INVALID, State.UNSENT)


def exit_code_of_counts(counts: Mapping[State, int], *, held: int) -> ExitCode:
    """Return the exit code of a run that came to its end.

    Args:
        counts: Outcomes of this run.
        held: Recipients in doubt from earlier runs that were met again.
    """
    return ExitCode.INCOMPLETE if held or any(counts.get(state, 0) for state in TROUBLE) else ExitCode.OK


def exit_code_of(error: MailblastError) -> int:
    """Return the exit code that an error ends the program with."""
    if isinstance(error, RunInterruptedError):
        return 128 + error.signal_number
    for kind, code in (
        (InputError, ExitCode.INPUT),
        (ProviderError, ExitCode.STOPPED),
        (CampaignLockedError, ExitCode.LOCKED),
        (JournalError, ExitCode.STOPPED),
    ):
        if isinstance(error, kind):
            return code
    return ExitCode.USAGE

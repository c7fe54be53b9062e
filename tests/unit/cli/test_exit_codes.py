from __future__ import annotations

import pytest

from mailblast.cli.exit_codes import ExitCode, exit_code_of, exit_code_of_counts
from mailblast.errors import (
    AccountError,
    CampaignLockedError,
    JournalDamagedError,
    JournalError,
    ListError,
    MailblastError,
    ProviderUnavailableError,
    RunInterruptedError,
    TemplateError,
    UsageError,
)
from mailblast.model.outcome import State


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (ListError("x"), 3),
        (TemplateError("x"), 3),
        (ProviderUnavailableError("x"), 4),
        (AccountError("x"), 4),
        (JournalError("x"), 4),
        (JournalDamagedError("x"), 4),
        (CampaignLockedError("x"), 5),
        (RunInterruptedError("x"), 130),
        (RunInterruptedError("x", signal_number=15), 143),
        (MailblastError("x"), 2),
    ],
)
def test_error_ends_with_its_code(error: MailblastError, code: int) -> None:
    assert code == exit_code_of(error)


@pytest.mark.parametrize("state", list(State))
def test_counts_that_a_script_should_know_of_are_code_one(state: State) -> None:
    quiet = {State.ACCEPTED, State.SUPPRESSED, State.DUPLICATE, State.SENDING}
    expected = ExitCode.OK if state in quiet else ExitCode.INCOMPLETE
    assert expected == exit_code_of_counts({state: 1}, held=0)


def test_held_recipients_are_code_one() -> None:
    assert exit_code_of_counts({State.ACCEPTED: 5}, held=1) is ExitCode.INCOMPLETE

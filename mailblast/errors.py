"""What stops a batch, a run, or the start. A refused recipient is never an exception: it is an ``Outcome``.

MailblastError
├── UsageError                 an option or setting that cannot be honoured
├── InputError                 the list or the template cannot be used
│   ├── ListError
│   └── TemplateError
├── ProviderError              the provider stopped the run; what is left is unsent
│   ├── ProviderUnavailableError    no connection could be made
│   └── AccountError                login refused, quota used up, account suspended
├── JournalError               the record cannot be read or written
│   ├── CampaignLockedError    another run holds the campaign
│   ├── JournalDamagedError
│   └── SuppressionError        the do-not-mail list cannot be read or written
└── RunInterruptedError        a signal asked for the end

RowFaultError                  one row cannot be used; never leaves its batch, becomes an ``invalid`` outcome

``cli/app.py`` alone maps the first tree to exit codes.
"""

from __future__ import annotations


class MailblastError(Exception):
    """Something that stops the work, told in one line with its remedy.

    Args:
        message: What is wrong, naming file, row and column where there are any.
        fix: What the user can do about it; empty where nothing can be said.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} {self.fix}".rstrip()

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive BaseException's own pickling, and errors cross process borders.
        return _rebuild, (type(self), self.message, self.fix), self.__dict__


def _rebuild(kind: type[MailblastError], message: str, fix: str) -> MailblastError:
    return kind(message, fix=fix)


class UsageError(MailblastError):
    """An option, setting or DSN cannot be honoured as given."""


class InputError(MailblastError):
    """The list or the template cannot be used."""


class ListError(InputError):
    """The list as a whole cannot be read, from the named row on."""


class TemplateError(InputError):
    """The template cannot be compiled, or lacks a subject."""


class ProviderError(MailblastError):
    """The provider stopped the run; nothing that is left has been sent."""


class ProviderUnavailableError(ProviderError):
    """No connection to the provider could be made."""


class AccountError(ProviderError):
    """The provider refuses this account: login, quota, suspension."""


class JournalError(MailblastError):
    """The journal cannot be read or written."""


class CampaignLockedError(JournalError):
    """Another run holds this campaign."""


class JournalDamagedError(JournalError):
    """The journal cannot be recovered to a whole record."""


class SuppressionError(JournalError):
    """The do-not-mail list cannot be read or written; nobody may be mailed without it."""


class RunInterruptedError(MailblastError):
    """A signal asked for the end of the run; the rest is unsent and resumable.

    Args:
        signal_number: 2 for Ctrl-C, 15 for SIGTERM.
    """

    def __init__(self, message: str, *, fix: str = "", signal_number: int = 2) -> None:
        super().__init__(message, fix=fix)
        self.signal_number = signal_number


class RowFaultError(Exception):
    """One row cannot be used: a bad address, a missing variable, a control character in a header.

    Args:
        reason: What is wrong and what to do, in one sentence, without file and row.
        column: The column or variable at fault; empty where the whole row is.
    """

    def __init__(self, reason: str, *, column: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.column = column

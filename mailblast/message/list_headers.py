"""The headers by which a mail says which list it came from and how to leave it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.headers import LONGEST_LINE
from mailblast.message.unsubscribe import UnsubscribeLinks

if TYPE_CHECKING:
    from mailblast.model.campaign import Campaign, Keys
    from mailblast.model.recipient import Recipient

_LIST_ID = re.compile(r"(?=.{3,255}\Z)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+")
# Gmail: four fields; the last names the sender, in 5 to 15 characters, and may not be empty.
_FEEDBACK_ID = re.compile(r"(?:[A-Za-z0-9._+=/-]*:){3}[A-Za-z0-9._+=/-]{5,15}")
_NAME = "List-Unsubscribe"
#: RFC 8058 section 3.1.
ONE_CLICK = ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")


class ListHeaderWriter:
    """Write the list headers of one campaign.

    Args:
        campaign: Its ``list_headers`` say which there are.
        keys: The secret of the unsubscribe links.

    Raises:
        UsageError: One of them cannot be written, or the template's header block sets it too.
    """

    #: The same for all messages: names and values.
    shared: tuple[tuple[str, str], ...]

    def __init__(self, campaign: Campaign, keys: Keys) -> None:
        wanted = campaign.list_headers
        has_links = bool(wanted.unsubscribe_url or wanted.unsubscribe_mailto)
        self.links = None
        if has_links:
            name = wanted.list_id or campaign.name
            self.links = UnsubscribeLinks(name, wanted.unsubscribe_url, wanted.unsubscribe_mailto, keys.unsubscribe)
        if wanted.list_id and not _LIST_ID.fullmatch(wanted.list_id):
            fix = "Write it like news.example.com, without angle brackets."
            raise UsageError(f"--list-id '{wanted.list_id}' is no name of a list (RFC 2919).", fix=fix)
        if wanted.feedback_id and not _FEEDBACK_ID.fullmatch(wanted.feedback_id):
            fix = "Write it like campaign:customer:kind:sender, the sender in 5 to 15 letters or digits."
            raise UsageError(f"--feedback-id '{wanted.feedback_id}' does not have Gmail's four fields.", fix=fix)
        candidates = (
            (has_links and self.links is not None and self.links.is_one_click, *ONE_CLICK),
            (bool(wanted.list_id), "List-Id", f"<{wanted.list_id}>"),
            (bool(wanted.feedback_id), "Feedback-ID", wanted.feedback_id),
            (wanted.auto_submitted, "Auto-Submitted", "auto-generated"),
        )
        self.shared = tuple((name, value) for present, name, value in candidates if present)
        _refuse_twice(campaign, {name.lower() for name, _ in self.shared} | ({_NAME.lower()} if has_links else set()))

    def of(self, recipient: Recipient) -> tuple[tuple[str, str], ...]:
        """Return all of them for one recipient: names and values, none folded.

        Raises:
            RowFaultError: A link cannot be filled from this row.
        """
        if self.links is None:
            return self.shared
        return ((_NAME, ", ".join(f"<{link}>" for link in self.links.of(recipient) if link)), *self.shared)

    def line(self, recipient: Recipient) -> bytes:
        """Return the List-Unsubscribe header with its CRLF; empty where there is none.

        Each link stands whole on one line and is never encoded: mail programs that look for it read no further. The
        only fold is the blank between the two, where they do not fit on one line.

        Raises:
            RowFaultError: A link cannot be filled from this row, or does not fit on a line.
        """
        if self.links is None:
            return b""
        line = f"{_NAME}: {', '.join(f'<{link}>' for link in self.links.of(recipient) if link)}\r\n"
        if len(line) - 2 > LONGEST_LINE:
            line = line.replace(">, <", ">,\r\n <")
            if max(map(len, line.split("\r\n"))) > LONGEST_LINE:
                raise RowFaultError(f"The unsubscribe link does not fit on a line of {LONGEST_LINE} characters.")
        return line.encode("ascii")


def _refuse_twice(campaign: Campaign, names: set[str]) -> None:
    for name, _ in campaign.template.headers:
        if name.lower() in names:
            fix = "Remove it from the template's top, or leave the option away."
            raise UsageError(f"{name} is set by {campaign.template.name} and by an option; it may stand once.", fix=fix)

"""The list and, where one is given, the template: every row is read, and rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.checks.check import Check, Level
from mailblast.errors import ListError, RowFaultError
from mailblast.journal.journal import ClaimPolicy
from mailblast.lists.chunks import chunks
from mailblast.message.builder import MessageBuilder
from mailblast.model.row import BadRow
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailblast.journal.journal import Journal
    from mailblast.model.campaign import Campaign
    from mailblast.model.recipient import Claim, Recipient

CHUNK = 1000
FIX_ROW = "Correct the row, or leave it: it becomes an 'invalid' outcome and the run goes on."
FIX_RENDER = "Fill the column, or give the template a default: {{ name | default('…') }}."


class ListCheck:
    """Check rows one after the other, in flat memory.

    Args:
        name: The list as the user named it.
        recipients: What it gives; may raise ``ListError`` where the list breaks.
        journal: A rehearsal's journal, for duplicates.
        campaign: Renders and builds each row's message; None checks the rows alone.
        on_progress: Called with the rows read so far, now and then.
    """

    def __init__(
        self,
        name: str,
        recipients: Iterator[Recipient | BadRow],
        journal: Journal,
        campaign: Campaign | None,
        *,
        on_progress: Callable[[int], None],
    ) -> None:
        self._name = name
        self._recipients = recipients
        self._journal = journal
        self._renderer = Renderer(campaign.template) if campaign else None
        self._builder = MessageBuilder(campaign) if campaign else None
        self._on_progress = on_progress
        self.rows = 0
        self.good = 0

    def findings(self) -> Iterator[Check]:
        """Yield what is wrong, in the order of the rows, and a summary at the end."""
        try:
            for rows in chunks(self._recipients, CHUNK):
                yield from self._check(rows)
                self.rows += len(rows)
                self._on_progress(self.rows)
        except ListError as error:
            yield Check("list.readable", Level.ERROR, self._name, error.message, error.fix)
            return
        if not self.rows:
            yield Check("list.empty", Level.WARNING, self._name, "The list has no rows.", "Add recipients.")
            return
        level = Level.OK if self.good == self.rows else Level.INFO
        what = "can be sent" if self._builder else "have a good address"
        yield Check("list.rows", level, self._name, f"{self.good:,} of {self.rows:,} rows {what}.")

    def _check(self, rows: list[Recipient | BadRow]) -> Iterator[Check]:
        recipients: list[Recipient] = []
        for row in rows:
            if isinstance(row, BadRow):
                yield _bad_row(row)
            else:
                recipients.append(row)
        claims = self._journal.claim(recipients, ClaimPolicy())
        self._journal.release(claims.claims)
        for duplicate in claims.duplicates:
            fix = "Nothing: the first of them is sent. Use --key where one address may get several messages."
            yield Check("list.duplicate", Level.WARNING, duplicate.address, duplicate.text, fix, duplicate.row)
        for claim in claims.claims:
            fault = self._fault(claim)
            if fault is None:
                self.good += 1
            else:
                yield fault

    def _fault(self, claim: Claim) -> Check | None:
        """Return what keeps this row from becoming a message, None where nothing does."""
        if self._renderer is None or self._builder is None:
            return None
        recipient = claim.recipient
        try:
            self._builder.build(claim, self._renderer.render(recipient.variables))
        except RowFaultError as fault:
            message = f"column '{fault.column}': {fault.reason}" if fault.column else fault.reason
            return Check("template.row", Level.ERROR, recipient.address, message, FIX_RENDER, recipient.row)
        return None


def _bad_row(row: BadRow) -> Check:
    message = f"column '{row.column}': {row.reason}" if row.column else row.reason
    return Check("list.row", Level.ERROR, row.address or "(no address)", message, FIX_ROW, row.number)

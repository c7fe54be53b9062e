"""The list and, where one is given, the template: every row is read, and rendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.checks.address_check import oddities
from mailblast.checks.check import Check, Level
from mailblast.errors import ListError, RowFaultError
from mailblast.lists.chunks import chunks
from mailblast.message.builder import UNSUBSCRIBE_URL, MessageBuilder
from mailblast.model.campaign import Keys
from mailblast.model.recipient import Claim
from mailblast.model.row import BadRow
from mailblast.render.css import with_css_inlined
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mailblast.checks.recipient_domain_check import RecipientDomains
    from mailblast.model.campaign import Campaign
    from mailblast.model.recipient import Recipient
    from mailblast.recipients.seen_keys import SeenKeys
    from mailblast.recipients.suppression import SuppressionList
    from mailblast.recipients.suppression_entry import SuppressionEntry

_NO_KEYS = Keys()
CHUNK = 1000
#: Any date; it has the same length as all others.
SAMPLE_DATE_S = 1_800_000_000
#: About as long as a real one.
SAMPLE_LINK = "https://example.com/unsubscribe/" + "x" * 96
FIX_ROW = "Correct the row, or leave it: it becomes an 'invalid' outcome and the run goes on."
FIX_ATTACHMENT = "Put the file where the row says, or correct the row."
FIX_RENDER = "Fill the column, or give the template a default: {{ name | default('…') }}."


class ListCheck:
    """Check rows one after the other, in flat memory.

    Args:
        name: The list as the user named it.
        recipients: What it gives; may raise ``ListError`` where the list breaks.
        seen: Keys so far, for duplicates.
        campaign: Renders and builds each row's message; None checks the rows alone.
        on_progress: Called with the rows read so far, now and then.
        suppressions: The do-not-mail list; None leaves it alone.
        domains: Gets the domain of each good address.
        load_own: Loads a recipient's own attachments; None where there are none.
        keys: What signs unsubscribe links, where the campaign has them.
    """

    def __init__(
        self,
        name: str,
        recipients: Iterator[Recipient | BadRow],
        seen: SeenKeys,
        campaign: Campaign | None,
        *,
        on_progress: Callable[[int], None],
        keys: Keys = _NO_KEYS,
        suppressions: SuppressionList | None = None,
        domains: RecipientDomains | None = None,
        load_own: Callable[[Recipient], object] | None = None,
    ) -> None:
        self._name = name
        self._recipients = recipients
        self._seen = seen
        self._renderer = self._builder = None
        if campaign is not None:
            campaign = with_css_inlined(campaign)
            self._renderer = Renderer(campaign.template, inline_css=campaign.inline_css)
            self._builder = MessageBuilder(campaign, keys)
        self._on_progress = on_progress
        self._suppressions = suppressions
        self._domains = domains
        self._load_own = load_own
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
        suppressed: Mapping[str, SuppressionEntry] = {}
        if self._suppressions is not None:
            suppressed = self._suppressions.suppressed([recipient.address for recipient in recipients])
        yield from self._addresses(recipients, suppressed)
        duplicates = self._seen.add([(recipient.key, recipient.row) for recipient in recipients])
        for recipient in recipients:
            first_row = duplicates.get(recipient.row) if duplicates else None
            if first_row is not None:
                text = f"The key {recipient.key} was seen before, in row {first_row}."
                fix = "Nothing: the first of them is sent. Use --key where one address may get several messages."
                yield Check("list.duplicate", Level.WARNING, recipient.address, text, fix, recipient.row)
                continue
            fault = self._fault(recipient)
            if fault is not None:
                yield fault
            elif self._builder is None or recipient.address not in suppressed:
                self.good += 1

    def _addresses(self, recipients: list[Recipient], suppressed: Mapping[str, SuppressionEntry]) -> Iterator[Check]:
        """Yield what is odd about addresses whose syntax is right."""
        for recipient in recipients:
            address, row = recipient.address, recipient.row
            for oddity in oddities(address):
                yield Check(oddity.id, Level.WARNING, address, oddity.message, oddity.fix, row)
            if suppressed and (entry := suppressed.get(address)):
                message = f"It is on the do-not-mail list ({entry.reason.value}), and is left out."
                yield Check(
                    "list.suppressed", Level.WARNING, address, message, "Nothing, or take it off the list.", row
                )
            if self._domains is not None:
                self._domains.add(address, row)

    def _fault(self, recipient: Recipient) -> Check | None:
        """Return what keeps this row from becoming a message, None where nothing does."""
        try:
            if self._renderer is not None and self._builder is not None:
                claim = Claim(recipient.row, recipient, SAMPLE_DATE_S)
                if UNSUBSCRIBE_URL in self._renderer.variables:
                    claim = self._with_link(self._builder, claim)
                self._builder.build(claim, self._renderer.render(claim.recipient.variables))
        except RowFaultError as fault:
            return _fault_of("template.row", recipient, fault, FIX_RENDER)
        try:
            if self._load_own is not None:
                self._load_own(recipient)
        except RowFaultError as fault:
            return _fault_of("attachment.row", recipient, fault, FIX_ATTACHMENT)
        return None

    def _with_link(self, builder: MessageBuilder, claim: Claim) -> Claim:
        """Return the claim with its unsubscribe link, or one that stands for it where no option says what it is."""
        if builder.has_unsubscribe_link:
            return builder.with_unsubscribe_url(claim)
        recipient = claim.recipient
        variables = {UNSUBSCRIBE_URL: SAMPLE_LINK, **recipient.variables}
        return claim._replace(recipient=recipient._replace(variables=variables))


def _fault_of(id_: str, recipient: Recipient, fault: RowFaultError, fix: str) -> Check:
    message = f"column '{fault.column}': {fault.reason}" if fault.column else fault.reason
    return Check(id_, Level.ERROR, recipient.address, message, fix, recipient.row)


def _bad_row(row: BadRow) -> Check:
    message = f"column '{row.column}': {row.reason}" if row.column else row.reason
    return Check("list.row", Level.ERROR, row.address or "(no address)", message, FIX_ROW, row.number)

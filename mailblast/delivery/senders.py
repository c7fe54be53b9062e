"""Messages of one campaign by several senders: the column of a list says whose each is."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import RowFaultError
from mailblast.message.builder import MessageBuilder
from mailblast.recipients.address import parse_mailbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.message.attachments.part import AttachedPart
    from mailblast.model.campaign import Campaign, Keys
    from mailblast.model.message import Composition, Content, Message, QuotedContent
    from mailblast.model.recipient import Claim

    BuildMessage = Callable[[Claim, Content | QuotedContent, Sequence[AttachedPart]], Message]
    MakeComposition = Callable[[Claim, Content, Message], Composition]

#: Senders that are remembered, about 5 KB each, for attachments are shared; the one not used for longest goes first.
MAX_SENDERS = 200


class Sender(NamedTuple):
    """What makes the messages of one sender."""

    build: BuildMessage
    make_composition: MakeComposition | None


class Senders:
    """Find the sender of each row.

    Args:
        campaign: Has a column of senders. It is signed where the domain of the signature is that of the sender.
        keys: What signs messages and links.
        composition: Whether messages carry what they are made of.
    """

    def __init__(self, campaign: Campaign, keys: Keys, *, composition: bool) -> None:
        self._campaign = campaign
        self._column = campaign.sender_column
        self._keys = keys
        self._composition = composition
        #: By the cell as it stands in the list.
        self._known: OrderedDict[str, Sender] = OrderedDict()

    def of(self, claim: Claim) -> Sender | None:
        """Return the sender that a row names; None where it names none.

        Raises:
            RowFaultError: What it names is no address.
        """
        text = claim.recipient.fields.get(self._column)
        if text is None or text == "":
            return None
        sender = self._known.get(text) if isinstance(text, str) else None
        if sender is not None:
            self._known.move_to_end(str(text))
            return sender
        return self._make(text)

    def _make(self, text: object) -> Sender | None:
        if not isinstance(text, str):
            raise RowFaultError("is not text", column=self._column)
        if not text.strip():
            return None
        try:
            mailbox = parse_mailbox(text)
        except RowFaultError as fault:
            raise RowFaultError(fault.reason, column=self._column) from fault
        campaign = self._campaign._replace(sender=mailbox)
        if campaign.dkim is not None and not is_signed_for(mailbox.address, campaign.dkim.domain):
            campaign = campaign._replace(dkim=None)
        make = None
        if self._composition:
            from mailblast.delivery.composition import CompositionMaker  # noqa: PLC0415 - not needed for SMTP

            make = CompositionMaker(campaign).make
        sender = self._known[text] = Sender(MessageBuilder(campaign, self._keys).build, make)
        if len(self._known) > MAX_SENDERS:
            self._known.popitem(last=False)
        return sender


def is_signed_for(address: str, domain: str) -> bool:
    """Return whether a signature by a domain speaks for a sender: it is the sender's, or one above it (RFC 7489)."""
    of_sender, domain = address.rpartition("@")[2].lower(), domain.lower()
    return of_sender == domain or of_sender.endswith(f".{domain}")

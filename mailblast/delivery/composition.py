"""What a message is made of, for providers that put messages together themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.message.builder import display_name
from mailblast.model.campaign import Mailbox
from mailblast.model.message import Composition
from mailblast.render.slots import SlotRenderer

if TYPE_CHECKING:
    from mailblast.model.campaign import Campaign
    from mailblast.model.message import Content, Message
    from mailblast.model.recipient import Claim

# What such a provider writes itself: from the composition's other fields, or as only it can.
_THEIRS = frozenset(
    {"from", "to", "reply-to", "subject", "date", "message-id", "mime-version", "dkim-signature", "sender"}
)
_FOLD = re.compile(r"\r\n(?=[ \t])")


class CompositionMaker:
    """Make the compositions of one campaign; its layout is made once and shared by all of them.

    Args:
        campaign: Its template is split into static text and slots here.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._sender = campaign.sender
        self._reply_to = campaign.reply_to
        self._attachments = campaign.attachments
        self._slots = SlotRenderer(campaign.template)

    def make(self, claim: Claim, content: Content, message: Message) -> Composition:
        """Return what one message is made of.

        Args:
            claim: Whose it is.
            content: Rendered for it.
            message: As built from both; its headers are taken as they stand there.
        """
        recipient = claim.recipient
        values = self._slots.values(recipient.variables, content)
        return Composition(
            self._sender,
            self._reply_to,
            Mailbox(display_name(recipient), recipient.address),
            content,
            further_headers(message),
            self._attachments,
            None if values is None else self._slots.layout,
            values or (),
        )


def further_headers(message: Message) -> tuple[tuple[str, str], ...]:
    """Return the headers of a message that say more than whose it is, to whom, when, and in what form; unfolded."""
    first = message.parts[0]
    assert isinstance(first, bytes)
    head = _FOLD.sub("", first.partition(b"\r\n\r\n")[0].decode())
    found = []
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        lowered = name.lower()
        if lowered not in _THEIRS and not lowered.startswith("content-"):
            found.append((name, value.strip(" ")))
    return tuple(found)

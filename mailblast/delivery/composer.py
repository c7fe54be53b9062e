"""Claim to message: render and build, prepared once per campaign and process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.delivery.moulding import moulding
from mailblast.message.builder import UNSUBSCRIBE_URL, MessageBuilder
from mailblast.model.campaign import Keys
from mailblast.model.message import QuotedContent
from mailblast.render.css import with_css_inlined
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from mailblast.delivery.senders import BuildMessage, MakeComposition
    from mailblast.model.campaign import Campaign
    from mailblast.model.message import Message
    from mailblast.model.recipient import Claim

_NO_KEYS = Keys()


class ContentChangedError(Exception):
    """A message in doubt can no longer be repeated byte for byte: its template or its row has changed."""


class Composer:
    """Make the message of one claim.

    Args:
        campaign: Compiled here, so that a broken template stops the start, not a row.
        keys: What signs messages and links.
        composition: Whether messages carry what they are made of, for providers that put them together themselves.

    Raises:
        TemplateError: The template, or the path of an attachment, cannot be compiled.
        UsageError: A key, a list header, an attachment, or the folder of those of single recipients, cannot be used.
    """

    def __init__(self, campaign: Campaign, keys: Keys = _NO_KEYS, *, composition: bool = False) -> None:
        campaign = with_css_inlined(campaign)
        renderer, builder = Renderer(campaign.template, inline_css=campaign.inline_css), MessageBuilder(campaign, keys)
        self._render = renderer.render
        self._moulding = moulding(renderer)
        self._build = builder.build
        self._senders = None
        if campaign.sender_column:
            from mailblast.delivery.senders import Senders  # noqa: PLC0415 - most campaigns have one sender

            self._senders = Senders(campaign, keys, composition=composition)
        shows_link = builder.has_unsubscribe_link and UNSUBSCRIBE_URL in renderer.variables
        self._with_link = builder.with_unsubscribe_url if shows_link else None
        self._own = None
        if campaign.attachment_paths:
            from mailblast.delivery.row_attachments import RowAttachments  # noqa: PLC0415 - most campaigns have none

            self._own = RowAttachments(campaign.attachment_paths, campaign.attachment_folder).load
        self._make_composition = None
        if composition:
            from mailblast.delivery.composition import CompositionMaker  # noqa: PLC0415 - not needed for SMTP

            self._make_composition = CompositionMaker(campaign).make

    def compose(self, claim: Claim) -> Message:
        """Return the message for one claim; the same claim always gives the same bytes.

        Raises:
            RowFaultError: The template cannot be filled from this row, the row would break a header, or its own
                attachment is not there.
            InputError: The file of an attachment of all messages is gone.
            ContentChangedError: The claim repeats a message in doubt, and the bytes would differ.
        """
        build: BuildMessage = self._build
        make_composition: MakeComposition | None = self._make_composition
        if self._senders is not None and (own_sender := self._senders.of(claim)) is not None:
            build, make_composition = own_sender
        if self._with_link is not None:
            claim = self._with_link(claim)
        variables = claim.recipient.variables
        quoted = self._moulding.content(variables) if self._moulding is not None else None
        content = quoted or self._render(variables)
        own = self._own(claim.recipient) if self._own is not None else ()
        message = build(claim, content, own)
        if claim.digest is not None and claim.digest != message.digest:
            raise ContentChangedError
        if make_composition is not None:
            # Those who put messages together themselves want the text.
            written = self._render(variables) if isinstance(content, QuotedContent) else content
            composition = make_composition(claim, written, message)
            if own:
                attachments = (*composition.attachments, *(part.attachment for part in own))
                composition = composition._replace(attachments=attachments)
            message = message._replace(composition=composition)
        return message

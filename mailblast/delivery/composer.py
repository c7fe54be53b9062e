"""Claim to message: render and build, prepared once per campaign and process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.message.builder import MessageBuilder
from mailblast.render.renderer import Renderer

if TYPE_CHECKING:
    from mailblast.model.campaign import Campaign
    from mailblast.model.message import Message
    from mailblast.model.recipient import Claim


class ContentChangedError(Exception):
    """A message in doubt can no longer be repeated byte for byte: its template or its row has changed."""


class Composer:
    """Make the message of one claim.

    Args:
        campaign: Compiled here, so that a broken template stops the start, not a row.

    Raises:
        TemplateError: The template cannot be compiled.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._render = Renderer(campaign.template).render
        self._build = MessageBuilder(campaign).build

    def compose(self, claim: Claim) -> Message:
        """Return the message for one claim; the same claim always gives the same bytes.

        Raises:
            RowFaultError: The template cannot be filled from this row, or the row would break a header.
            ContentChangedError: The claim repeats a message in doubt, and the bytes would differ.
        """
        message = self._build(claim, self._render(claim.recipient.variables))
        if claim.digest is not None and claim.digest != message.digest:
            raise ContentChangedError
        return message

"""Content and messages."""

from __future__ import annotations

from typing import NamedTuple


class Content(NamedTuple):
    """What the template gives for one recipient."""

    subject: str
    #: None where the campaign has no such part.
    text: str | None
    html: str | None
    #: Extra headers from the template's header block, names as written there.
    headers: tuple[tuple[str, str], ...] = ()


class Message(NamedTuple):
    """One message to one recipient, ready for a provider."""

    #: The journal's number of the recipient (``Claim.id``).
    id: int
    #: Reverse path (MAIL FROM).
    sender: str
    #: Forward path (RCPT TO); equal to the address in the To header.
    recipient: str
    #: Message-ID with its angle brackets.
    message_id: str
    #: The whole message with CRLF line ends, in pieces so that large parts are shared, not copied. Not dot-stuffed.
    parts: tuple[bytes, ...]
    #: CRC-32 of the parts joined.
    digest: int
    #: Whether an address needs SMTPUTF8 (RFC 6531).
    needs_smtputf8: bool = False

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(map(len, self.parts))

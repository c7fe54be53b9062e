"""Content and messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.campaign import Mailbox


class Content(NamedTuple):
    """What the template gives for one recipient."""

    subject: str
    #: None where the campaign has no such part.
    text: str | None
    html: str | None
    #: Extra headers from the template's header block, names as written there.
    headers: tuple[tuple[str, str], ...] = ()


class QuotedContent(NamedTuple):
    """Content whose parts are quoted-printable already."""

    subject: str
    #: One of them is there.
    text: bytes | None
    html: bytes | None
    headers: tuple[tuple[str, str], ...] = ()


class StreamedPart(Protocol):
    """A part of a message that is too large to be held: it is read when it is written out."""

    def __len__(self) -> int:
        """Return its length on the wire in bytes, before dot-stuffing."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Read it from its start, in pieces of some 64 KB that end with a whole line.

        Raises:
            OSError: The file behind it cannot be read.
        """
        ...


class Attachment(NamedTuple):
    """A file that goes with a message, encoded once and shared by all messages that carry it."""

    #: As the recipient sees it.
    name: str
    content_type: str
    #: Base64 in lines of 76 with CRLF; what is too large for memory is read when it is written out.
    encoded: bytes | StreamedPart
    #: Without angle brackets, where the HTML shows it by ``cid:``; else empty.
    content_id: str = ""


class Layout(NamedTuple):
    """What a campaign's messages have in common, for providers that fill it in themselves.

    Static text stands as it is; each slot stands as ``{{name}}``.
    """

    names: tuple[str, ...]
    subject: str
    text: str | None
    html: str | None


class Composition(NamedTuple):
    """A message as providers want it which put it together themselves."""

    sender: Mailbox
    reply_to: Mailbox | None
    #: The recipient with its display name.
    recipient: Mailbox
    content: Content
    #: All further headers, such as List-Unsubscribe: ready to stand on the wire, not folded.
    headers: tuple[tuple[str, str], ...] = ()
    attachments: tuple[Attachment, ...] = ()
    #: One and the same object for all messages of a campaign; None where filling it would not give ``content`` exactly.
    layout: Layout | None = None
    #: One for each of the layout's names.
    values: tuple[str, ...] = ()


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
    parts: tuple[bytes | StreamedPart, ...]
    #: CRC-32 of all that could differ between two messages with this Message-ID.
    digest: int
    #: Whether an address needs SMTPUTF8 (RFC 6531).
    needs_smtputf8: bool = False
    #: Set where the provider asked for it (``Provider.wants_composition``).
    composition: Composition | None = None

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(map(len, self.parts))

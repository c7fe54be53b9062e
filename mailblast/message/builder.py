"""One recipient's content written out as a message."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from zlib import crc32

from mailblast.errors import InputError, RowFaultError, UsageError
from mailblast.message.attachments.file_part import FilePart
from mailblast.message.headers import encode_mailbox, encode_unstructured, format_date
from mailblast.message.message_id import Identifiers
from mailblast.message.mime import boundary, known_runs, quoted_printable
from mailblast.message.structure import HTML, TEXT, Structure
from mailblast.model.campaign import Keys, ListHeaders, Mailbox
from mailblast.model.message import Message, QuotedContent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.message.attachments.part import AttachedPart
    from mailblast.model.campaign import Campaign
    from mailblast.model.message import Content, StreamedPart
    from mailblast.model.recipient import Claim, Recipient

#: What a row without a name is called in the text, not on the envelope (``recipients`` sets it).
PLACEHOLDER_NAME = "there"
#: Variable by which templates show the unsubscribe link.
UNSUBSCRIBE_URL = "unsubscribe_url"

# Headers written here, or that would reach others than the recipient.
_OURS = frozenset({"from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "sender", "mime-version"})
_PLAIN_HEADERS = re.compile(rb"(?:[ -~]++\r\n)++").fullmatch
_CONTROLS = bytes(code for code in (*range(32), 127) if code not in b"\r\n")
_BLANKS = re.compile(r"[ \t]+")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_NO_KEYS = Keys()


class MessageBuilder:
    """Write messages of one campaign; what they share is prepared once.

    Args:
        campaign: Its token is part of the Message-IDs, and keys their opaque half.
        keys: What signs messages and unsubscribe links, where the campaign wants that.

    Raises:
        UsageError: The sender, the reply address or a list header cannot be written, or a key cannot be used, or an
            attachment cannot be written.
    """

    def __init__(self, campaign: Campaign, keys: Keys = _NO_KEYS) -> None:
        self._sender = campaign.sender.address
        self._from = _constant("From", campaign.sender)
        reply_to = b"" if campaign.reply_to is None else _constant("Reply-To", campaign.reply_to)
        self._shared = reply_to + b"MIME-Version: 1.0\r\n"
        self._list = None
        if campaign.list_headers != ListHeaders():
            from mailblast.message.list_headers import ListHeaderWriter  # noqa: PLC0415 - most campaigns have none

            self._list = ListHeaderWriter(campaign, keys)
            self._shared += b"".join([f"{name}: {value}\r\n".encode() for name, value in self._list.shared])
        self._sign = None
        if campaign.dkim is not None:
            from mailblast.message.dkim import DkimSigner  # noqa: PLC0415 - 13 ms of cryptography, for signing only

            self._sign = DkimSigner(campaign.dkim, keys).sign
        self._needs_smtputf8 = not self._sender.isascii()
        if not _TOKEN.fullmatch(campaign.token):
            raise UsageError("The campaign's token may hold letters, digits, hyphens and underscores only.")
        self._identifier = Identifiers(campaign.token).of
        self._id_begin = f"<{campaign.token}."
        self._id_end = f"@{self._sender.rpartition('@')[2]}>"
        self._known = known_runs((campaign.template.text, campaign.template.html))
        line = boundary(campaign.token).encode()
        self._alternative = b'Content-Type: multipart/alternative; boundary="%s"\r\n\r\n' % line
        # The line break before a boundary belongs to it (RFC 2046 section 5.1.1).
        self._begin_text = b"--%s\r\n%s" % (line, TEXT)
        self._begin_html = b"\r\n--%s\r\n%s" % (line, HTML)
        self._end = b"\r\n--%s--\r\n" % line
        attachments, has_own = campaign.attachments, bool(campaign.attachment_paths)
        #: None where messages have no attachments, which costs them nothing.
        self._structure = Structure(campaign.token, attachments, has_own=has_own) if attachments or has_own else None
        self._files = tuple(each.encoded for each in attachments if isinstance(each.encoded, FilePart))

    def build(self, claim: Claim, content: Content | QuotedContent, own: Sequence[AttachedPart] = ()) -> Message:
        """Return the message for one claim.

        Args:
            claim: Its address is envelope and To alike, its date the Date header.
            content: Rendered for it.
            own: Attachments of this message alone; only where the campaign has paths of such.

        Raises:
            RowFaultError: Something in the row cannot stand in a message.
            InputError: The file of an attachment of all messages is gone or has changed.
        """
        quoted = content if isinstance(content, QuotedContent) else self._quoted(content)
        recipient = claim.recipient
        address = recipient.address
        message_id = self.message_id(recipient.key)
        to = encode_mailbox("To", Mailbox(display_name(recipient), address))
        headers = b"".join((
            self._from,
            to,
            encode_unstructured("Subject", quoted.subject),
            f"Date: {format_date(claim.dated_s)}\r\nMessage-ID: {message_id}\r\n".encode(),
            self._shared,
            self._list.line(recipient) if self._list is not None else b"",
            _extra_headers(quoted.headers) if quoted.headers else b"",
        ))  # fmt: skip
        needs_smtputf8 = self._needs_smtputf8 or not address.isascii()
        _check(headers, needs_smtputf8=needs_smtputf8)
        parts: tuple[bytes | StreamedPart, ...]
        if self._structure is None:
            whole = b"".join((headers, *self._body(quoted)))
            parts, digest = (whole,), crc32(whole)
        else:
            parts, digest = self._with_attachments(self._structure, headers, quoted, own)
        if self._sign is not None:
            signature = _signature(self._sign, parts, claim.dated_s)
            parts, digest = _signed(signature, parts), crc32(signature, digest)
        return Message(claim.id, self._sender, address, message_id, parts, digest, needs_smtputf8)

    def list_headers(self, claim: Claim) -> tuple[tuple[str, str], ...]:
        """Return the list headers of a claim's message as names and values, for providers that write the message.

        Raises:
            RowFaultError: An unsubscribe link cannot be filled from this row.
        """
        return self._list.of(claim.recipient) if self._list is not None else ()

    @property
    def has_unsubscribe_link(self) -> bool:
        """Whether ``with_unsubscribe_url()`` may be called."""
        return self._list is not None and self._list.links is not None

    def with_unsubscribe_url(self, claim: Claim) -> Claim:
        """Return the claim with the link that its message shows as a variable: https where there is one, else mailto.

        Raises:
            RowFaultError: It cannot be filled from this row.
        """
        assert self._list is not None
        assert self._list.links is not None
        recipient = claim.recipient
        url, mailto = self._list.links.of(recipient)
        variables = {**recipient.variables, UNSUBSCRIBE_URL: url or mailto}
        return claim._replace(recipient=recipient._replace(variables=variables))

    def message_id(self, key: str) -> str:
        """Return the Message-ID of the recipient with this key, with its angle brackets; always the same one.

        Raises:
            RowFaultError: The key holds a lone surrogate.
        """
        return f"{self._id_begin}{self._identifier(key)}{self._id_end}"

    def _with_attachments(
        self, structure: Structure, headers: bytes, content: QuotedContent, own: Sequence[AttachedPart]
    ) -> tuple[tuple[bytes | StreamedPart, ...], int]:
        for file in self._files:
            try:
                file.check()
            except OSError as error:
                fix = "Run the same command again to go on; attachments may not change during a run."
                raise InputError(f"The attachment {file.path} cannot be sent: {error.strerror}.", fix=fix) from error
        return structure.lay_out(headers, content.text, content.html, own)

    def _quoted(self, content: Content) -> QuotedContent:
        text = None if content.text is None else quoted_printable(content.text, self._known)
        html = None if content.html is None else quoted_printable(content.html, self._known)
        if text is None and html is None:
            raise RowFaultError("The message has no content.")
        return QuotedContent(content.subject, text, html, content.headers)

    def _body(self, content: QuotedContent) -> tuple[bytes, ...]:
        text, html = content.text, content.html
        if text is None:
            assert html is not None
            return HTML, html
        if html is None:
            return TEXT, text
        return self._alternative, self._begin_text, text, self._begin_html, html, self._end


def _signature(
    sign: Callable[[Sequence[bytes | StreamedPart], int], bytes], parts: tuple[bytes | StreamedPart, ...], dated_s: int
) -> bytes:
    try:
        return sign(parts, dated_s)
    except OSError as error:
        raise RowFaultError(f"An attachment cannot be read: {error.strerror or error}.") from error


def _signed(signature: bytes, parts: tuple[bytes | StreamedPart, ...]) -> tuple[bytes | StreamedPart, ...]:
    first = parts[0]
    assert isinstance(first, bytes)
    return (signature + first, *parts[1:])


def _constant(name: str, mailbox: Mailbox) -> bytes:
    try:
        line = encode_mailbox(name, mailbox)
        _check(line, needs_smtputf8=not mailbox.address.isascii())
    except RowFaultError as error:
        fix = "Use an address such as news@example.com, with or without a name before it."
        raise UsageError(f"{name} cannot be written into a message: {mailbox.address!r}.", fix=fix) from error
    return line


def display_name(recipient: Recipient) -> str:
    """Return the name that the row gave; empty where it gave none and only the placeholder is known."""
    name = recipient.variables.get("name")
    if not isinstance(name, str) or (name == PLACEHOLDER_NAME and recipient.fields.get("name") != name):
        return ""
    if "  " in name or "\t" in name:
        name = _BLANKS.sub(" ", name)
    return name.strip(" ")


def _extra_headers(headers: tuple[tuple[str, str], ...]) -> bytes:
    lines = []
    for name, value in headers:
        lowered = name.lower()
        if lowered in _OURS or lowered.startswith("content-"):
            raise RowFaultError(f"The header {name} may not be set.")
        # An empty value means that this row has none.
        if value.strip(" "):
            lines.append(encode_unstructured(name, value))
    return b"".join(lines)


def _check(headers: bytes, *, needs_smtputf8: bool) -> None:
    """Look at the header block as a whole once more: each line break is ours, each byte one that may stand there.

    The writers of the lines see to that; this holds also when one of them is changed.
    """
    if _PLAIN_HEADERS(headers):
        return
    breaks = headers.count(b"\r\n")
    whole = headers.count(b"\n") == breaks == headers.count(b"\r") and b"\r\n\r\n" not in headers
    if not whole or not (needs_smtputf8 or headers.isascii()) or headers.translate(None, _CONTROLS) != headers:
        raise RowFaultError("A value would break the header of the message; look for control characters in the row.")

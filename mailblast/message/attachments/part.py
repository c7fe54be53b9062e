"""Attachments as parts of a message: their headers, and what stands for them in the message's digest."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from mailblast.errors import UsageError
from mailblast.message.attachments.file_part import FilePart
from mailblast.message.attachments.names import disposition, safe_name

if TYPE_CHECKING:
    from mailblast.model.message import Attachment, StreamedPart

# RFC 6838 section 4.2, with parameters of tokens (RFC 2045 section 5.1).
_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}(?:; ?[a-z-]{1,40}=[\w.+-]{1,70})?",
    re.ASCII,
)
# msg-id without its brackets (RFC 2392), short enough for one line.
_CONTENT_ID = re.compile(r"[!-;=?-~]{1,200}")


class AttachedPart(NamedTuple):
    """One attachment between two boundaries. One object for all messages that carry it."""

    attachment: Attachment
    #: With the empty line that ends it.
    header: bytes
    #: CRC-32 of the header and of the content.
    digest: int


def attached_part(attachment: Attachment) -> AttachedPart:
    """Return an attachment with its headers.

    Raises:
        UsageError: Its content type or content id cannot be written into a header.
    """
    name, content_type, encoded, content_id = attachment
    if not _TYPE.fullmatch(content_type):
        raise UsageError(f"'{content_type[:80]}' is no content type.", fix="Write it like application/pdf.")
    if content_id and not _CONTENT_ID.fullmatch(content_id):
        raise UsageError(f"'{content_id[:80]}' cannot be a content id.", fix="Use letters, digits, dots and one @.")
    header = b"".join((
        f"Content-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n".encode(),
        f"Content-ID: <{content_id}>\r\n".encode() if content_id else b"",
        disposition(safe_name(name) if name else "", inline=bool(content_id)),
        b"\r\n",
    ))  # fmt: skip
    return AttachedPart(attachment, header, _digest(encoded, crc32(header)))


def _digest(encoded: bytes | StreamedPart, crc: int) -> int:
    if isinstance(encoded, bytes):
        return crc32(encoded, crc)
    if isinstance(encoded, FilePart):
        # The file was read once when it was loaded; its bytes stand for their base64.
        return crc32(b"%d %d" % (encoded.crc, len(encoded)), crc)
    for chunk in encoded.chunks():
        crc = crc32(chunk, crc)
    return crc

"""The parts of a message with attachments, and how they lie in each other.

RFC 2046 section 5.1 and RFC 2387::

    multipart/mixed
    ├── multipart/alternative
    │   ├── text/plain
    │   └── multipart/related       where the HTML has pictures
    │       ├── text/html
    │       └── image/png           by its Content-ID
    └── application/pdf             one for each attachment

Levels with a single part are left out. The boundaries begin with ``=_``, which neither quoted-printable nor base64
ever holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias
from zlib import crc32

from mailblast.message.attachments.part import AttachedPart, attached_part
from mailblast.message.mime import boundary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mailblast.model.message import Attachment, StreamedPart

    Parts: TypeAlias = tuple[bytes | StreamedPart, ...]

PART = b"Content-Type: text/%s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
TEXT, HTML = PART % b"plain", PART % b"html"


class _Level:
    """One multipart."""

    def __init__(self, kind: bytes, token: str) -> None:
        # Tokens hold no dot: no two boundaries of a campaign are equal.
        line = boundary(f"{token}.{kind.decode()}").encode()
        root = b' type="text/html";\r\n' if kind == b"related" else b""
        self.begin = b'Content-Type: multipart/%s;%s boundary="%s"\r\n\r\n--%s\r\n' % (kind, root, line, line)
        # The line break before a boundary belongs to it.
        self.next = b"\r\n--%s\r\n" % line
        self.end = b"\r\n--%s--\r\n" % line


class _Frame(NamedTuple):
    """What stands around the text of all messages of one form."""

    begin: bytes
    between: bytes
    #: What follows the text: the bytes before each content, and the content. All of it is shared.
    contents: tuple[tuple[bytes, bytes | StreamedPart], ...]
    #: What follows the last content, up to where an attachment of the message alone would stand.
    end: bytes
    #: The last line.
    closing: bytes
    #: Stands for the contents in the message's digest.
    digest: bytes


class Structure:
    """Lays out messages that have attachments.

    Args:
        token: Of the campaign.
        attachments: Of every message; those with a content id lie beside the HTML, if there is any.
        has_own: Whether messages may have attachments of their own besides.

    Raises:
        UsageError: An attachment cannot be written.
    """

    def __init__(self, token: str, attachments: Iterable[Attachment], *, has_own: bool) -> None:
        shared = [attached_part(attachment) for attachment in attachments]
        pictures = [part for part in shared if part.attachment.content_id]
        files = [part for part in shared if not part.attachment.content_id]
        self._levels = {kind: _Level(kind, token) for kind in (b"mixed", b"alternative", b"related")}
        self._next = self._levels[b"mixed"].next
        text_alone = self._frame([], [*pictures, *files], has_own=has_own, text=True, html=False)
        #: By whether there is a text part and an HTML part.
        self._frames = {
            (True, False): text_alone,
            (False, True): self._frame(pictures, files, has_own=has_own, text=False, html=True),
            (True, True): self._frame(pictures, files, has_own=has_own, text=True, html=True),
        }

    def lay_out(
        self, headers: bytes, text: bytes | None, html: bytes | None, own: Sequence[AttachedPart] = ()
    ) -> tuple[Parts, int]:
        """Return the parts of a message, and its digest.

        The digest takes in the attachments by digests made before: the CRC of 20 MB would cost 10 ms a message.

        Args:
            headers: Without those of the content.
            text: Quoted-printable; None where there is none.
            html: Likewise; not both are None.
            own: Attachments of this message alone; only with ``has_own``.
        """
        begin, between, contents, end, closing, digest = self._frames[text is not None, html is not None]
        before = b"".join((headers, begin, text or b"", between, html or b""))
        crc = crc32(before)
        parts: list[bytes | StreamedPart] = []
        for header, content in contents:
            parts += (before + header, content)
            before = b""
        before += end
        for part in own:
            parts += (before + self._next + part.header, part.attachment.encoded)
            before = b""
            digest += _mark(part)
        parts.append(before + closing)
        return tuple(parts), crc32(digest, crc)

    def _frame(
        self, pictures: list[AttachedPart], files: list[AttachedPart], *, has_own: bool, text: bool, html: bool
    ) -> _Frame:
        mixed, alternative, related = self._levels.values()
        is_mixed = bool(files) or has_own
        whole_html = (related.begin if pictures else b"") + HTML
        begin, between, end = mixed.begin if is_mixed else b"", b"", b""
        if text and html:
            begin += alternative.begin + TEXT
            between = alternative.next + whole_html
        else:
            begin += TEXT if text else whole_html
        contents = [(related.next + part.header, part.attachment.encoded) for part in pictures]
        if pictures:
            end = related.end
        if text and html:
            end += alternative.end
        for part in files:
            contents.append((end + mixed.next + part.header, part.attachment.encoded))
            end = b""
        digest = b"".join(map(_mark, (*pictures, *files)))
        closing = mixed.end if is_mixed else b""
        return _Frame(begin, between, tuple(contents), end, closing, digest)


def _mark(part: AttachedPart) -> bytes:
    return b"%08x" % part.digest

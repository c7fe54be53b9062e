"""Content types by file names: the same on every machine, whatever its own tables say."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mimetypes import MimeTypes

UNKNOWN = "application/octet-stream"
GZIP = "application/gzip"

_ENCODINGS = {
    "gzip": GZIP,
    "bzip2": "application/x-bzip2",
    "xz": "application/x-xz",
    "br": UNKNOWN,
    "compress": "application/x-compress",
}
# What the standard library's table lacks in some of the Python versions we run on (IANA's media type registry).
_FURTHER = {
    ".7z": "application/x-7z-compressed",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".ics": "text/calendar",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".ods": "application/vnd.oasis.opendocument.spreadsheet",
    ".odt": "application/vnd.oasis.opendocument.text",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".rar": "application/vnd.rar",
    ".vcf": "text/vcard",
    ".webp": "image/webp",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def content_type_of(name: str) -> str:
    """Return the content type of a file by its name; ``application/octet-stream`` where the name does not tell."""
    guessed, encoding = _table().guess_type(f"./{name}", strict=True)
    if encoding is not None:
        return _ENCODINGS.get(encoding, UNKNOWN)
    # RFC 2046 sections 5.1 and 5.2.1 forbid base64 in these.
    if guessed is None or guessed.startswith(("message/", "multipart/")):
        return UNKNOWN
    return guessed


@functools.cache
def _table() -> MimeTypes:
    from mimetypes import MimeTypes  # noqa: PLC0415 - not needed without attachments

    table = MimeTypes()
    for suffix, content_type in _FURTHER.items():
        table.add_type(content_type, suffix)
    return table

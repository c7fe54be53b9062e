"""The lines on top of a template: ``Subject: …`` and other headers, then an empty line."""

from __future__ import annotations

import re
from typing import NamedTuple

from mailblast.errors import TemplateError

#: RFC 5322 section 3.6.8 allows more; these are the ones that pass everywhere.
_NAME = re.compile(r"[A-Za-z0-9-]+")
_LINE = re.compile(r"([^\s:]+)[ \t]*:[ \t]*(.*)")
_CODE = re.compile(r"\{[{%#]")

# A first line with one of these names, or X-…, begins a header block; any other is the template itself.
_KNOWN = frozenset({
    "subject", "from", "reply-to", "list-id", "list-unsubscribe", "list-unsubscribe-post", "list-help", "list-owner",
    "list-archive", "list-post", "list-subscribe", "precedence", "auto-submitted", "feedback-id", "organization",
    "importance", "priority", "comments", "keywords", "references", "in-reply-to",
})  # fmt: skip
# Written by the program, by the relay, or misleading in a message to one recipient.
_REFUSED = frozenset({
    "to", "cc", "bcc", "date", "message-id", "mime-version", "sender", "received", "received-spf", "return-path",
    "dkim-signature", "domainkey-signature", "authentication-results", "delivered-to",
})  # fmt: skip
_REFUSED_PREFIXES = ("content-", "resent-", "arc-")


class HeaderBlock(NamedTuple):
    """A template's header block and what follows it."""

    #: Each value as written, its continuation lines joined by a blank.
    subject: str
    sender: str
    reply_to: str
    #: The other headers, in order, names as written.
    headers: tuple[tuple[str, str], ...]
    #: The template without the block.
    body: str
    #: Lines that the block took, so that errors can name the file's own line.
    lines: int


def split_header_block(source: str, name: str) -> HeaderBlock:
    """Return the header block of a template, all empty where it has none.

    Args:
        source: The template, with LF line ends.
        name: Of its file, for messages.

    Raises:
        TemplateError: The block has a line that is no header, a header twice, or one that may not be set.
    """
    first = _LINE.match(source)
    if first is None or not _begins_block(first[1].lower()):
        return HeaderBlock("", "", "", (), source, 0)
    fields: list[tuple[str, str, int]] = []
    lines = source.split("\n")
    used = len(lines)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            used = number
            break
        if line.lstrip().startswith("<"):
            used = number - 1
            break
        if line[0] in " \t" and fields:
            field, value, at = fields[-1]
            fields[-1] = field, f"{value} {line.strip()}".strip(), at
        elif match := _LINE.fullmatch(line):
            fields.append((match[1], match[2].strip(), number))
        else:
            fix = "The block ends at the first empty line; write 'Name: value' lines above it."
            raise TemplateError(f"{name}:{number}: this line of the header block is no header.", fix=fix)
    return _sorted_out(fields, name, "\n".join(lines[used:]), used)


def _begins_block(name: str) -> bool:
    return name in _KNOWN or name.startswith("x-")


def _sorted_out(fields: list[tuple[str, str, int]], name: str, body: str, lines: int) -> HeaderBlock:
    once = {"subject": "", "from": "", "reply-to": ""}
    seen: set[str] = set()
    headers: list[tuple[str, str]] = []
    for field, value, number in fields:
        lowered = field.lower()
        if _NAME.fullmatch(field) is None:
            raise TemplateError(
                f"{name}:{number}: '{field}' is no header name.", fix="Use letters, digits and hyphens."
            )
        if lowered in _REFUSED or lowered.startswith(_REFUSED_PREFIXES):
            reason = "is written for each message by mailblast or by the mail servers"
            if lowered in {"cc", "bcc"}:
                reason = "would reach others than the one recipient that each message has"
            raise TemplateError(f"{name}:{number}: {field} {reason}.", fix="Remove the line.")
        if lowered in seen and not lowered.startswith("x-"):
            raise TemplateError(f"{name}:{number}: {field} is given twice.", fix="Keep one.")
        seen.add(lowered)
        if lowered not in once:
            headers.append((field, value))
            continue
        if lowered != "subject" and _CODE.search(value):
            fix = "Write the address itself."
            raise TemplateError(
                f"{name}:{number}: {field} is the same for all recipients, it takes no variables.", fix=fix
            )
        once[lowered] = value
    return HeaderBlock(once["subject"], once["from"], once["reply-to"], tuple(headers), body, lines)

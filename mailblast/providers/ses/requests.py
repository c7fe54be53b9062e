"""Messages as requests of the API: one by one as they are, or many as one layout and values."""

from __future__ import annotations

import json
import re
from email.utils import formataddr
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from mailblast.model.campaign import Mailbox
    from mailblast.model.message import Composition, Layout, Message
    from mailblast.providers.ses.settings import SesSettings

#: Destinations of one call (SES developer guide, "Sending personalized email").
MAX_ENTRIES = 50
#: JSON of one call with a template of its own, in bytes (same page: 1 MB); some of it kept free.
MAX_REQUEST = 1_000_000 - 2_000
#: Characters of the values of one recipient (service model, EmailTemplateData).
MAX_DATA = 262_144
#: Service model, MessageHeader: count, name, value, and both together.
MAX_HEADERS = 15
HEADER_NAME = re.compile(r"[!-9;-~]{1,126}")
HEADER_VALUE = re.compile(r"[ -~]{1,995}")
MAX_HEADER = 996
#: Bytes of one character in JSON at most: two escapes of six for one outside the Basic Multilingual Plane.
LARGEST_ESCAPE = 12
#: JSON around one entry: names of members, braces, commas.
ENTRY_FRAME = 200
HEADER_FRAME = 30

Request = dict[str, Any]

# Made once: ``json.dumps`` makes another each time, unless all is as it is by default.
_VALUES = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class GroupKey(NamedTuple):
    """What all entries of one call have in common."""

    layout: Layout
    sender: Mailbox
    reply_to: Mailbox | None


class Entry(NamedTuple):
    """One recipient of a call of many."""

    message: Message
    composition: Composition
    body: Request
    #: Bytes of its JSON, at most.
    size_bytes: int


class RequestWriter:
    """Write requests; what they share is prepared once.

    Args:
        settings: Configuration set and tags.
    """

    def __init__(self, settings: SesSettings) -> None:
        tags = [{"Name": name, "Value": value} for name, value in settings.tags]
        self._single: Request = {"EmailTags": tags} if tags else {}
        self._many: Request = {"DefaultEmailTags": tags} if tags else {}
        if settings.configuration_set:
            self._single["ConfigurationSetName"] = self._many["ConfigurationSetName"] = settings.configuration_set
        self._layouts: dict[int, tuple[Layout, int]] = {}

    def single(self, message: Message) -> Request:
        """Return the request of SendEmail for one message, as it is.

        Raises:
            OSError: A part that is read when it is written out cannot be read.
        """
        pieces: list[bytes] = []
        for part in message.parts:
            pieces += (part,) if isinstance(part, bytes) else part.chunks()
        return {
            "FromEmailAddress": message.sender,
            "Destination": {"ToAddresses": [message.recipient]},
            "Content": {"Raw": {"Data": b"".join(pieces)}},
            **self._single,
        }

    def entry(self, message: Message) -> Entry | None:
        """Return the entry for one message; None where only the message as it is says it all."""
        composition = message.composition
        if composition is None or composition.layout is None or composition.attachments:
            return None
        if message.sender != composition.sender.address:
            return None
        headers = _headers(composition.headers)
        if headers is None:
            return None
        data = _VALUES.encode(dict(zip(composition.layout.names, composition.values, strict=True)))
        if len(data) > MAX_DATA:
            return None
        to = address(composition.recipient)
        body: Request = {
            "Destination": {"ToAddresses": [to]},
            "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": data}},
        }
        size = ENTRY_FRAME + 2 * len(to)
        if headers:
            body["ReplacementHeaders"] = headers
            size += sum(2 * (len(name) + len(value)) + HEADER_FRAME for name, value in composition.headers)
        room = MAX_REQUEST - self.layout_bytes(composition.layout)
        most = len(data) * LARGEST_ESCAPE
        # Only where fifty such might not fit is it worth the time to measure.
        size += most if (size + most) * MAX_ENTRIES <= room else len(json.dumps(data))
        if size > room:
            return None
        return Entry(message, composition, body, size)

    def layout_bytes(self, layout: Layout) -> int:
        """Return the bytes of a request without entries."""
        known = self._layouts.get(id(layout))
        if known is None:
            # The layout is kept with it, so that no other object gets its identity.
            known = layout, len(json.dumps(_template(layout))) + 2_000
            self._layouts[id(layout)] = known
        return known[1]

    def many(self, entries: list[Entry]) -> Request:
        """Return the request of SendBulkEmail for entries with the same key."""
        composition = entries[0].composition
        assert composition.layout is not None
        request: Request = {
            "FromEmailAddress": address(composition.sender),
            "DefaultContent": {"Template": _template(composition.layout)},
            "BulkEmailEntries": [entry.body for entry in entries],
            **self._many,
        }
        if composition.reply_to is not None:
            request["ReplyToAddresses"] = [address(composition.reply_to)]
        return request


def key_of(entry: Entry) -> GroupKey:
    """Return what an entry shares with others of its call."""
    composition = entry.composition
    assert composition.layout is not None
    return GroupKey(composition.layout, composition.sender, composition.reply_to)


def address(mailbox: Mailbox) -> str:
    """Return a mailbox as the API takes it: ASCII, a name as an encoded word where it needs one."""
    return formataddr((mailbox.display_name, mailbox.address)) if mailbox.display_name else mailbox.address


def _template(layout: Layout) -> Request:
    content = {"Subject": layout.subject, "Text": layout.text, "Html": layout.html}
    # Default values are asked for by the API, and no entry uses them.
    return {
        "TemplateContent": {name: text for name, text in content.items() if text is not None},
        "TemplateData": "{}",
    }


def _headers(headers: tuple[tuple[str, str], ...]) -> list[dict[str, str]] | None:
    if len(headers) > MAX_HEADERS:
        return None
    for name, value in headers:
        if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value) or len(name + value) > MAX_HEADER:
            return None
    return [{"Name": name, "Value": value} for name, value in headers]

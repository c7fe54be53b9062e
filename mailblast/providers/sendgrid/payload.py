"""Messages as JSON for ``POST /v3/mail/send``: what they share is written once a request."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.model.campaign import Mailbox
    from mailblast.model.message import Attachment, Composition, Message
    from mailblast.providers.sendgrid.settings import SendgridSettings

#: "The total size of your email, including attachments, must be less than 30MB" (Mail Send: overview).
MAX_REQUEST_BYTES = 30_000_000
#: "may not exceed 10,000 bytes per personalization object" (Twilio's OpenAPI file). Counted as JSON, which is never
#: less than their own count.
MAX_SUBSTITUTION_BYTES = 10_000
#: Headers that SendGrid writes itself; a request that holds one is refused (same file).
RESERVED_HEADERS = frozenset({
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
    "subject", "reply-to", "cc", "bcc",
})  # fmt: skip
#: Name of the custom argument that carries our Message-ID into SendGrid's events.
MESSAGE_ID_ARGUMENT = "message_id"

to_json: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class UnfitError(Exception):
    """A message that SendGrid would never take; it is not sent there."""


class Entry(NamedTuple):
    """One message's part of a request."""

    message: Message
    #: Its personalization, as JSON.
    data: bytes
    #: Event loop's seconds when it was taken.
    taken_s: float = 0.0

    @property
    def address(self) -> str:
        """What must be there once in a request only."""
        return self.message.recipient.lower()


class Request(NamedTuple):
    """Entries that go in one call."""

    entries: tuple[Entry, ...]
    #: All but the personalizations, as JSON without the opening brace.
    shared: bytes

    def body(self) -> bytes:
        """Return the JSON."""
        return b"".join(
            (b'{"personalizations":[', b",".join([entry.data for entry in self.entries]), b"],", self.shared)
        )

    def of(self, entries: Sequence[Entry]) -> Request:
        """Return the same request with some of its entries."""
        return Request(tuple(entries), self.shared)

    def halves(self) -> tuple[Request, Request]:
        """Return it as two requests."""
        middle = len(self.entries) // 2
        return self.of(self.entries[:middle]), self.of(self.entries[middle:])


class Schedule(NamedTuple):
    """When SendGrid is to send, and under which name that can be called off."""

    #: Unix seconds.
    send_at_s: int
    #: Issued by the API.
    batch_id: str


class PayloadWriter:
    """Writes the JSON of one account's requests.

    Args:
        settings: What every request says.
        schedule: When it is to be sent; None for now.
    """

    def __init__(self, settings: SendgridSettings, schedule: Schedule | None) -> None:
        always: dict[str, Any] = {}
        if settings.sandbox:
            always["mail_settings"] = {"sandbox_mode": {"enable": True}}
        if settings.asm_group is not None:
            always["asm"] = {"group_id": settings.asm_group}
        if settings.categories:
            always["categories"] = list(settings.categories)
        if schedule is not None:
            always["send_at"], always["batch_id"] = schedule
        self._always = always
        self._attachments: tuple[tuple[Attachment, ...], list[dict[str, str]]] = ((), [])

    def entry(self, message: Message, *, with_values: bool, taken_s: float = 0.0) -> Entry:
        """Return a message's personalization.

        All headers stand there, also those that are the same for everybody: whether SendGrid joins those of a
        personalization with those of the request is nowhere promised.

        Args:
            message: With its composition.
            with_values: Whether the values of its layout go along.
            taken_s: When it was taken.

        Raises:
            UnfitError: It can never go this way.
        """
        composition = _composition(message)
        data: dict[str, Any] = {
            "to": [_mailbox(composition.recipient)],
            "headers": _headers(message, composition),
            "custom_args": {MESSAGE_ID_ARGUMENT: message.message_id.strip("<>")},
        }
        if with_values and composition.values:
            data["substitutions"] = substitutions(composition)
        return Entry(message, _encoded(data), taken_s)

    def shared(self, composition: Composition, *, with_layout: bool) -> bytes:
        """Return what all messages with this layout, sender and attachments have in common.

        Raises:
            UnfitError: A part cannot go this way.
        """
        layout = composition.layout
        subject, text, html = composition.content[:3]
        if with_layout and layout is not None:
            subject, text, html = layout.subject, layout.text, layout.html
        # "text/plain must be first" (Mail Send: errors); an empty part is refused.
        parts = (("text/plain", text), ("text/html", html))
        content = [{"type": kind, "value": value} for kind, value in parts if value]
        if not content:
            raise UnfitError("The message has no content.")
        data: dict[str, Any] = {"from": _mailbox(composition.sender), "subject": subject, "content": content}
        if composition.reply_to is not None:
            data["reply_to"] = _mailbox(composition.reply_to)
        if composition.attachments:
            data["attachments"] = self._files(composition.attachments)
        return _encoded({**data, **self._always})[1:]

    def _files(self, attachments: tuple[Attachment, ...]) -> list[dict[str, str]]:
        if self._attachments[0] != attachments:
            if sum(len(file.encoded) for file in attachments) >= MAX_REQUEST_BYTES:
                raise UnfitError(f"The attachments are over SendGrid's {MAX_REQUEST_BYTES // 1_000_000} MB.")
            self._attachments = attachments, [_file(file) for file in attachments]
        return self._attachments[1]


def substitutions(composition: Composition) -> dict[str, str]:
    """Return the values of a layout's slots under the text that stands for each slot."""
    assert composition.layout is not None
    return {f"{{{{{name}}}}}": value for name, value in zip(composition.layout.names, composition.values, strict=True)}


def fits_layout(composition: Composition) -> bool:
    """Return whether a message may go as the values of its layout."""
    if composition.layout is None:
        return False
    values = composition.values
    # Cheap first: most are far below. Nothing becomes longer than six bytes a character.
    if 6 * (sum(map(len, values)) + 16 * len(values)) <= MAX_SUBSTITUTION_BYTES:
        return True
    return len(_encoded(substitutions(composition))) <= MAX_SUBSTITUTION_BYTES


def _composition(message: Message) -> Composition:
    assert message.composition is not None, "the provider asks for compositions"
    return message.composition


def _mailbox(mailbox: Mailbox) -> dict[str, str]:
    if mailbox.display_name:
        return {"email": mailbox.address, "name": mailbox.display_name}
    return {"email": mailbox.address}


def _headers(message: Message, composition: Composition) -> dict[str, str]:
    headers = {"Message-ID": message.message_id}
    seen = {"message-id"}
    for name, value in composition.headers:
        lowered = name.lower()
        if lowered in RESERVED_HEADERS or lowered == "message-id":
            continue
        if lowered in seen:
            raise UnfitError(f"SendGrid takes each header once, and {name} is there twice.")
        seen.add(lowered)
        headers[name] = value
    return headers


def _file(file: Attachment) -> dict[str, str]:
    encoded = file.encoded if isinstance(file.encoded, bytes) else b"".join(file.encoded.chunks())
    data = {
        "content": encoded.replace(b"\r\n", b"").decode("ascii"),
        "type": file.content_type,
        "filename": file.name,
        "disposition": "inline" if file.content_id else "attachment",
    }
    if file.content_id:
        data["content_id"] = file.content_id
    return data


def _encoded(data: object) -> bytes:
    try:
        return to_json(data).encode()
    except UnicodeEncodeError:
        raise UnfitError("The message holds half a character (a lone surrogate).") from None

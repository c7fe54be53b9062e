"""A campaign: one template to one list, the unit of resume."""

from __future__ import annotations

from typing import NamedTuple


class Mailbox(NamedTuple):
    """A display name and an addr-spec (RFC 5322 section 3.4)."""

    #: Empty where there is none. Never holds control characters.
    display_name: str
    #: addr-spec as it goes on the wire.
    address: str


class Template(NamedTuple):
    """The sources of one campaign's content, read once; compiled in each process that renders."""

    #: The file as the user named it, for messages.
    name: str
    #: Folder that ``{% include %}`` and ``{% extends %}`` may read from; empty where nothing may be read.
    folder: str
    subject: str
    #: At least one of the two is set.
    text: str | None
    html: str | None
    #: Extra headers from the header block: name and template of the value.
    headers: tuple[tuple[str, str], ...] = ()
    #: From and Reply-To of the header block as written there; empty where it has none.
    sender: str = ""
    reply_to: str = ""


class Campaign(NamedTuple):
    """All that a process needs to make this campaign's messages. Holds no secret and is picklable."""

    name: str
    #: Opaque token drawn when the journal was made; part of every Message-ID.
    token: str
    template: Template
    sender: Mailbox
    reply_to: Mailbox | None = None

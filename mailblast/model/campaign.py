"""A campaign: one template to one list, the unit of resume."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mailblast.model.message import Attachment
    from mailblast.model.secret import Secret


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


class Dkim(NamedTuple):
    """Under which names messages are signed (RFC 6376); the keys are in ``Keys``."""

    #: The ``d=`` tag: the domain of From, or one above it.
    domain: str
    #: Selector of the RSA key.
    selector: str
    #: Selector of the Ed25519 key (RFC 8463); empty where there is no second signature.
    ed25519_selector: str = ""


class ListHeaders(NamedTuple):
    """What tells the recipient, and the recipient's provider, which list this is and how to leave it."""

    #: ``https://…`` with ``{{ token }}`` for what names list and recipient; empty for none (RFC 8058).
    unsubscribe_url: str = ""
    #: Address of a mailbox that takes people off the list; empty for none (RFC 2369).
    unsubscribe_mailto: str = ""
    #: RFC 2919, without angle brackets; empty for none.
    list_id: str = ""
    #: Gmail's four fields, the last of them the sender; empty for none.
    feedback_id: str = ""
    #: Whether messages say that a program sent them (RFC 3834).
    auto_submitted: bool = False


class Keys(NamedTuple):
    """What must not travel with a campaign: each process reads it from its own settings."""

    #: RSA private key in PEM.
    dkim_rsa: Secret | None = None
    #: Ed25519 private key in PEM.
    dkim_ed25519: Secret | None = None
    #: Keys the tokens of unsubscribe links.
    unsubscribe: Secret | None = None


class Campaign(NamedTuple):
    """All that a process needs to make this campaign's messages. Holds no secret and is picklable."""

    name: str
    #: Opaque token drawn when the journal was made; part of every Message-ID.
    token: str
    template: Template
    sender: Mailbox
    reply_to: Mailbox | None = None
    #: Files that go with every message, encoded once.
    attachments: tuple[Attachment, ...] = ()
    #: Paths of files that go with single messages: templates, filled from the row.
    attachment_paths: tuple[str, ...] = ()
    #: Folder that those paths must stay inside.
    attachment_folder: str = ""
    #: Whether the HTML's style sheets are moved into its tags.
    inline_css: bool = True
    dkim: Dkim | None = None
    list_headers: ListHeaders = ListHeaders()
    #: Column that holds a row's own sender, where it is not empty; empty where all have the same one.
    sender_column: str = ""

"""A campaign as JSON, so that a worker can deliver it later and elsewhere. Never holds a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.model.campaign import Campaign, Dkim, ListHeaders, Mailbox, Template
from mailblast.model.message import Attachment

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailblast.model.message import StreamedPart

    PutBlob = Callable[[bytes | StreamedPart], str]
    GetBlob = Callable[[str], bytes | StreamedPart]

VERSION = 1


class Delivery(NamedTuple):
    """How a campaign is to be delivered, as it was asked for; what is not set here, each worker's settings say."""

    via: str | None = None
    connections: int | None = None
    messages_per_connection: int | None = None
    rates: tuple[str, ...] = ()
    domain_rates: tuple[str, ...] = ()
    daily_cap: int | None = None
    warm_up: bool = False
    warm_up_table: str | None = None
    #: How long deferred recipients are tried again, from ``queued_s`` on.
    retry_for_s: float = 3600.0
    batch_size: int = 100
    batches: int = 5
    durable: bool = False
    #: File of the DKIM key; None where the settings say.
    dkim_key: str | None = None
    #: Unix seconds.
    queued_s: float = 0.0
    #: The provider's name, for the record of runs.
    provider: str = ""
    #: Of the template.
    fingerprint: str = ""
    #: 0 goes first, 2 last.
    priority: int = 1
    #: Whether addresses that a server refuses for good as unknown go on the do-not-mail list of the worker.
    suppress_hard_bounces: bool = False


def to_document(campaign: Campaign, delivery: Delivery, put_blob: PutBlob) -> dict[str, Any]:
    """Return campaign and delivery as JSON values.

    Args:
        campaign: Its attachments are handed to ``put_blob``.
        delivery: How.
        put_blob: Keeps an encoded attachment; returns what it is found by again.
    """
    document = campaign._asdict()
    document["template"] = campaign.template._asdict()
    document["attachments"] = [
        {**attachment._asdict(), "encoded": put_blob(attachment.encoded)} for attachment in campaign.attachments
    ]
    document["dkim"] = campaign.dkim._asdict() if campaign.dkim else None
    document["list_headers"] = campaign.list_headers._asdict()
    return {"version": VERSION, "campaign": document, "delivery": delivery._asdict()}


def from_document(document: dict[str, Any], get_blob: GetBlob) -> tuple[Campaign, Delivery]:
    """Return what ``to_document()`` was given.

    Raises:
        KeyError, TypeError, ValueError: It is none of ours.
    """
    if document["version"] != VERSION:
        message = f"format {document['version']}"
        raise ValueError(message)
    values = dict(document["campaign"])
    template = dict(values["template"])
    template["headers"] = tuple((name, value) for name, value in template["headers"])
    values["template"] = Template(**template)
    values["sender"] = Mailbox(*values["sender"])
    values["reply_to"] = Mailbox(*values["reply_to"]) if values["reply_to"] else None
    values["attachments"] = tuple(
        Attachment(**{**attachment, "encoded": get_blob(attachment["encoded"])}) for attachment in values["attachments"]
    )
    values["attachment_paths"] = tuple(values["attachment_paths"])
    values["dkim"] = Dkim(**values["dkim"]) if values["dkim"] else None
    values["list_headers"] = ListHeaders(**values["list_headers"])
    delivery = dict(document["delivery"])
    for name in ("rates", "domain_rates"):
        delivery[name] = tuple(delivery[name])
    return Campaign(**values), Delivery(**delivery)

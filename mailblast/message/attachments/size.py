"""Whether attachments fit into what a provider takes, before the first message is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailblast.model.message import Attachment

#: Set aside for the headers and for the text of the message.
AROUND_BYTES = 16_384
MB = 1024**2


def encoded_size(attachments: Iterable[Attachment]) -> int:
    """Return what attachments add to a message, in bytes on the wire: 1.37 times their files."""
    return sum(len(attachment.encoded) for attachment in attachments)


def check_total_size(attachments: Iterable[Attachment], limit: int | None, *, provider: str = "The provider") -> None:
    """Refuse attachments that no message could carry.

    Args:
        attachments: Of every message.
        limit: Largest message in bytes (EHLO's SIZE, RFC 1870, or an API's limit); None where none is known.
        provider: Whose limit it is.

    Raises:
        UsageError: Encoded, they are larger than that, with 16 KB for the rest of the message.
    """
    given = list(attachments)
    size = encoded_size(given) + AROUND_BYTES
    if not given or limit is None or size <= limit:
        return
    largest = max(given, key=lambda attachment: len(attachment.encoded))
    raise UsageError(
        f"With its attachments a message has {size / MB:,.1f} MB, and {provider} takes {limit / MB:,.1f} MB "
        f"({largest.name} has {len(largest.encoded) / MB:,.1f} MB when encoded).",
        fix="Offer large files as links.",
    )

"""Message-IDs: always the same one for the same recipient of a campaign, and recognised again in a report."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import NamedTuple

from mailblast.errors import RowFaultError

#: Both halves of our Message-IDs: the journal's token and the recipient's identifier.
OURS = re.compile(rb"<([0-9a-f]{16})\.([0-9a-f]{16})@[^<>\s]{1,255}>")


class MessageName(NamedTuple):
    """What a Message-ID of ours tells."""

    #: Of the campaign's journal.
    token: str
    #: Of the recipient; follows from its key, which does not follow from it.
    identifier: str


class Identifiers:
    """The identifiers of one campaign's recipients.

    Equal keys of two campaigns give different ones, and none tells the address that it was made from.

    Args:
        token: Of the campaign's journal.
    """

    def __init__(self, token: str) -> None:
        self._hash = blake2b(key=blake2b(token.encode()).digest(), digest_size=8)

    def of(self, key: str) -> str:
        """Return the identifier of the recipient with this key: 16 hexadecimal digits.

        Raises:
            RowFaultError: The key holds a lone surrogate.
        """
        identifier = self._hash.copy()
        try:
            identifier.update(key.encode())
        except UnicodeEncodeError:
            raise RowFaultError("The key holds half a character (a lone surrogate).") from None
        return identifier.hexdigest()


def names_in(text: bytes) -> tuple[MessageName, ...]:
    """Return what in a text looks like a Message-ID of ours, each once, in the order of the text."""
    return tuple(dict.fromkeys(MessageName(*(half.decode() for half in match)) for match in OURS.findall(text)))

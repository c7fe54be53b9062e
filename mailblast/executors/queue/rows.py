"""Claims as JSON, one array each. What columns and variables have in common is written once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Mapping

#: In no list.
_ABSENT = object()
#: Made once: json.dumps() makes one for each call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_row(claim: Claim) -> str:
    """Return a claim as JSON in ASCII."""
    recipient = claim.recipient
    fields = recipient.fields
    own = {name: value for name, value in recipient.variables.items() if not _is_same(fields, name, value)}
    values = [
        claim.id,
        recipient.row,
        recipient.key,
        recipient.address,
        dict(fields),
        own,
        claim.dated_s,
        claim.attempts,
        claim.digest,
    ]
    return _encode(values)


def decode_row(values: list[Any]) -> Claim:
    """Return the claim of an array."""
    claim_id, row, key, address, fields, own, dated_s, attempts, digest = values
    return Claim(claim_id, Recipient(row, key, address, {**fields, **own}, fields), dated_s, attempts, digest)


def _is_same(fields: Mapping[str, object], name: str, value: object) -> bool:
    other = fields.get(name, _ABSENT)
    # 1 and true are equal, and are not written the same.
    return other is value or (type(other) is type(value) and other == value)

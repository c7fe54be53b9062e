"""Claims as JSON, an array of arrays. What columns and variables have in common is written once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: In no list.
_ABSENT = object()
#: Made once: json.dumps() makes one for each call.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def encode_rows(claims: Iterable[Claim]) -> str:
    """Return claims as JSON in ASCII, on one line."""
    return _encode([_values(claim) for claim in claims])


def decode_rows(text: bytes | str) -> list[Claim]:
    """Return the claims that were encoded."""
    return [
        Claim(claim_id, Recipient(row, key, address, {**fields, **own}, fields), dated_s, attempts, digest)
        for claim_id, row, key, address, fields, own, dated_s, attempts, digest in json.loads(text)
    ]


def _values(claim: Claim) -> list[Any]:
    claim_id, (row, key, address, variables, fields), dated_s, attempts, digest = claim
    own = {
        name: value
        for name, value in variables.items()
        # Most are the very cell of their column.
        if fields.get(name, _ABSENT) is not value and not _is_same(fields, name, value)
    }
    return [claim_id, row, key, address, dict(fields), own, dated_s, attempts, digest]


def _is_same(fields: Mapping[str, object], name: str, value: object) -> bool:
    other = fields.get(name, _ABSENT)
    # 1 and true are equal, and are not written the same.
    return type(other) is type(value) and other == value

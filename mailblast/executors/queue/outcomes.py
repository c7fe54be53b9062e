"""Outcomes as they travel: JSON arrays as in the journal's segments, without checksums, commas between them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mailblast.journal.codes import STATES
from mailblast.model.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mailblast.model.recipient import Claim


def from_text(text: bytes, claims: Mapping[int, Claim]) -> Iterator[Outcome]:
    """Yield outcomes from arrays with commas between them.

    Args:
        text: Any number of them; parsed together, in half the time.
        claims: Say whose they are, by number, where that is known.
    """
    for (
        _, claim_id, code, time_us, reply, attempts, duration_us, digest, enhanced, said, by, by_id, fields
    ) in json.loads(b"[%b]" % text):  # fmt: skip
        claim = claims.get(claim_id)
        if claim is None:
            row, key, address = 0, "", ""
        else:
            row, key, address, _, _ = claim.recipient
        # In the order of its fields, without their defaults: this is done for every message.
        yield Outcome._make(
            (
                claim_id,
                key,
                address,
                row,
                STATES[code],
                time_us / 1e6,
                by,
                reply,
                enhanced,
                said,
                attempts,
                duration_us / 1e6,
                "",
                by_id,
                digest,
                fields,
                None,
            )
        )

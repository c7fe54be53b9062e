"""Nouns ↔ columns of the keyed table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mailblast.journal.codes import CODES, STATES
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Columns of ``recipient`` in the order ``to_outcome()`` takes them.
OUTCOME_COLUMNS = (
    "id, key, coalesce(address, key), row, state, coalesce(time, 0.0), coalesce(provider, ''), coalesce(code, 0), "
    "coalesce(enhanced, ''), coalesce(text, ''), attempts, coalesce(duration, 0.0), coalesce(provider_id, ''), "
    "digest, fields"
)
#: The same of ``fault``, whose rows have no claim.
FAULT_COLUMNS = "0, key, address, row, state, time, '', 0, '', text, 0, 0.0, '', NULL, fields"


def accept_values(outcome: Outcome) -> tuple[Any, ...]:
    """Return an accepted outcome as the values that the accepting statement takes."""
    # Unpacked at once: this is done for every message, and look-ups by name would cost more than the rest.
    claim_id, _, _, _, _, time_s, provider, code, enhanced, text, attempts, duration_s, _, by_id, digest, _, _ = outcome
    return time_s, provider, code, enhanced, text, attempts, duration_s, by_id, digest, claim_id


def fold_values(outcome: Outcome) -> tuple[Any, ...]:
    """Return another outcome as the values that the folding statement takes."""
    return (
        outcome.state is State.FAILED,
        CODES[outcome.state],
        outcome.time_s,
        outcome.provider,
        outcome.code,
        outcome.enhanced,
        outcome.text,
        outcome.attempts,
        outcome.duration_s,
        outcome.provider_id,
        outcome.digest,
        to_json(outcome.fields),
        outcome.id,
    )


def fault_values(outcome: Outcome) -> tuple[Any, ...]:
    """Return the outcome of a row without a claim as the values of a fault. Such rows hold anything."""
    return (
        outcome.row,
        storable(outcome.key),
        storable(outcome.address),
        CODES[outcome.state],
        outcome.time_s,
        storable(outcome.text),
        to_json(outcome.fields),
    )


def to_outcome(row: tuple[Any, ...]) -> Outcome:
    """Return a selected row as an outcome. Its Message-ID is not on record: it follows from campaign and key."""
    (
        claim_id,
        key,
        address,
        number,
        code,
        time_s,
        provider,
        reply,
        enhanced,
        text,
        attempts,
        duration_s,
        provider_id,
        digest,
        fields,
    ) = row
    return Outcome(
        id=claim_id,
        key=key,
        address=address,
        row=number,
        state=STATES[code],
        time_s=time_s,
        provider=provider,
        code=reply,
        enhanced=enhanced,
        text=text,
        attempts=attempts,
        duration_s=duration_s,
        provider_id=provider_id,
        digest=digest,
        fields=None if fields is None else json.loads(fields),
    )


def to_json(fields: Mapping[str, object] | None) -> str | None:
    """Return columns as JSON text in ASCII."""
    return None if fields is None else json.dumps(dict(fields))


def storable(value: Any) -> Any:
    r"""Return text with lone surrogates written out (``\udc80``), which UTF-8 has no form for; else the value."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value

r"""One line of a segment: a CRC-32 in eight hex digits, a space, a JSON array, a line feed.

    8f9a0c11 ["s",1]                                     first line of a file: its format
    0b1e77d2 ["m",17,2893017733,1700000000125000]        mark: id, digest, Unix microseconds
    52c1d9aa ["v",17]                                    void: the marked message was certainly not sent
    6d10f7e3 ["o",17,1,1700000000250000,250,1,110000,null,"2.0.0","2.0.0 Ok","smtp:mx","4XyZ",null]

An outcome holds id, state code, Unix microseconds, reply code, attempts, microseconds it took, digest or null, enhanced
code, text, provider, provider id, and the original columns (null for accepted ones). Text is ASCII with JSON escapes,
so that a line feed ends a record and nothing else does.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as _quote
from typing import NamedTuple
from zlib import crc32

from mailblast.journal.codes import CODES, STATES
from mailblast.model.outcome import Outcome, State

SEGMENT_VERSION = 1
#: A name of this module: before Python 3.12 a member of an enumeration takes 0.1 µs.
_ACCEPTED = State.ACCEPTED


class Header(NamedTuple):
    """First line of a segment."""

    version: int


class Mark(NamedTuple):
    """A message that may be complete at the provider from now on."""

    id: int
    digest: int
    #: Unix seconds.
    time_s: float


class Void(NamedTuple):
    """A marked message that was certainly not sent."""

    id: int


Record = Header | Mark | Void | Outcome


def encode_header() -> bytes:
    """Return the first line of a segment."""
    return _line(b'["s",%d]' % SEGMENT_VERSION)


def encode_mark(claim_id: int, digest: int, time_s: float) -> bytes:
    """Return the line of a mark."""
    body = b'["m",%d,%d,%d]' % (claim_id, digest, time_s * 1e6)
    return b"%08x %b\n" % (crc32(body), body)


def encode_void(claim_id: int) -> bytes:
    """Return the line that takes a mark back."""
    return _line(b'["v",%d]' % claim_id)


def encode_outcome(outcome: Outcome) -> bytes:
    """Return the line of an outcome. Key, address and row are not in it: the keyed table has them."""
    return _line(outcome_json(outcome).encode("ascii"))


def outcome_json(outcome: Outcome) -> str:
    """Return the JSON array in the line of an outcome, in ASCII."""
    # Unpacked at once: this is done for every message, and a look-up by name for each cost as much as all the rest.
    ident, _, _, _, state, time_s, by, reply, enhanced, text, attempts, duration_s, _, by_id, digest, fields, _ = (
        outcome
    )
    columns = "null" if fields is None or state is _ACCEPTED else json.dumps(dict(fields))
    return (
        f'["o",{ident},{CODES[state]},{int(time_s * 1e6)},{reply},{attempts},{int(duration_s * 1e6)},'
        f"{'null' if digest is None else digest},{_quote(enhanced)},{_quote(text)},{_quote(by)},"
        f"{_quote(by_id)},{columns}]"
    )


def decode(line: bytes) -> Record | None:
    """Return what a line (without its line feed) says, or None where it is not a whole record."""
    checksum, space, body = line[:8], line[8:9], line[9:]
    if space != b" " or checksum != b"%08x" % crc32(body):
        return None
    match json.loads(body):
        case ["s", int(version), *_]:
            return Header(version)
        case ["m", claim_id, digest, time_us]:
            return Mark(claim_id, digest, time_us / 1e6)
        case ["v", claim_id]:
            return Void(claim_id)
        case ["o", claim_id, code, time_us, reply, attempts, duration_us, digest, enhanced, text, by, by_id, fields]:
            return Outcome(
                id=claim_id,
                key="",
                address="",
                row=0,
                state=STATES[code],
                time_s=time_us / 1e6,
                provider=by,
                code=reply,
                enhanced=enhanced,
                text=text,
                attempts=attempts,
                duration_s=duration_us / 1e6,
                provider_id=by_id,
                digest=digest,
                fields=fields,
            )
    return None


def _line(body: bytes) -> bytes:
    return b"%08x %b\n" % (crc32(body), body)

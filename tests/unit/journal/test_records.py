from __future__ import annotations

from typing import Any
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.journal.records import (
    SEGMENT_VERSION,
    Header,
    Mark,
    Void,
    decode,
    encode_header,
    encode_mark,
    encode_outcome,
    encode_void,
)
from mailblast.model.outcome import Outcome, State


def an_outcome(**changes: Any) -> Outcome:
    outcome = Outcome(
        id=7,
        key="",
        address="",
        row=0,
        state=State.ACCEPTED,
        time_s=1_700_000_000.25,
        provider="smtp:mx.example.com",
        code=250,
        enhanced="2.0.0",
        text="2.0.0 Ok",
        attempts=1,
        duration_s=0.5,
        provider_id="4XyZ",
        digest=12,
    )
    return outcome._replace(**changes)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (encode_header(), Header(SEGMENT_VERSION)),
        (encode_mark(17, 2**32 - 1, 1_700_000_000.125), Mark(17, 2**32 - 1, 1_700_000_000.125)),
        (encode_void(17), Void(17)),
        (encode_outcome(an_outcome()), an_outcome()),
        (
            encode_outcome(an_outcome(state=State.FAILED, digest=None, fields={"name": "Zoë\n", "n": [1, None]})),
            an_outcome(state=State.FAILED, digest=None, fields={"name": "Zoë\n", "n": [1, None]}),
        ),
    ],
)
def test_decode_of_encoded_record_gives_it_back(line: bytes, record: object) -> None:
    assert line.endswith(b"\n")
    assert record == decode(line[:-1])


def test_encode_accepted_outcome_drops_fields_and_addressee() -> None:
    line = encode_outcome(an_outcome(key="k", address="a@b.c", row=3, message_id="<x@y>", fields={"email": "a@b.c"}))

    assert an_outcome() == decode(line[:-1])


@given(st.text(), st.text())
def test_encode_any_text_is_one_ascii_line(text: str, provider_id: str) -> None:
    line = encode_outcome(an_outcome(text=text, provider_id=provider_id))

    assert line.isascii()
    assert line.index(b"\n") == len(line) - 1
    assert an_outcome(text=text, provider_id=provider_id) == decode(line[:-1])


def test_decode_line_with_any_byte_changed_gives_none() -> None:
    line = encode_outcome(an_outcome())[:-1]

    for at in range(len(line)):
        assert decode(line[:at] + bytes([line[at] ^ 1]) + line[at + 1 :]) is None


@pytest.mark.parametrize("line", [b"", b"00000000", b'00000000 ["m",1,2,3]', b'b0cf6fb9["m"]', b"\x00" * 40])
def test_decode_of_what_is_no_record_gives_none(line: bytes) -> None:
    assert decode(line) is None


def test_decode_of_unknown_kind_gives_none() -> None:
    body = b'["z",1]'

    assert decode(b"%08x %b" % (crc32(body), body)) is None

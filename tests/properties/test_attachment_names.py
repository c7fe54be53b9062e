"""Whatever a file is called: one header, the same name for every reader, and none that does harm."""

from __future__ import annotations

import email
import email.policy
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mailblast.message.attachments.content_types import content_type_of
from mailblast.message.attachments.names import LONGEST_NAME, disposition, safe_name
from mailblast.message.attachments.part import attached_part
from mailblast.model.message import Attachment

HOSTILE = [*"\r\n\t\0\x7f\x85\u2028\u2029\u202e\u2066\u200b\ufeff\ud800/\\:\"'<>|?*;=%() .\xe9"]
WORDS = st.sampled_from(["\r\n", "../", "=?utf-8?q?x?=", "con", ".exe", ".pdf"])
CHARACTERS = st.one_of(st.sampled_from(HOSTILE), st.characters())
NAMES = st.lists(st.one_of(WORDS, CHARACTERS), max_size=80).map("".join) | st.text(min_size=200, max_size=400)


@given(NAMES)
def test_safe_name_is_one_visible_component(name: str) -> None:
    safe = safe_name(name)
    assert safe
    assert not set('/\\:*?"<>|\r\n\t') & set(safe)
    assert not [each for each in safe if unicodedata.category(each)[0] == "C" and each not in "\u200c\u200d"]
    assert safe == safe.strip(" ")
    assert not safe.endswith(".")
    assert len(safe.encode()) <= LONGEST_NAME
    assert safe == safe_name(safe)


@given(NAMES, st.booleans())
def test_header_is_read_back_as_the_safe_name(name: str, inline: bool) -> None:  # noqa: FBT001 - hypothesis
    header = attached_part(Attachment(name or "x", "application/pdf", b"", "a@b" if inline else "")).header
    lines = header.split(b"\r\n")
    assert [b"", b""] == lines[-2:]
    assert header.isascii()
    assert header.count(b"\n") == header.count(b"\r") == len(lines) - 1
    assert max(map(len, lines)) < 300
    read = email.message_from_bytes(header, policy=email.policy.default)
    identified = ["Content-ID"] if inline else []
    assert ["Content-Type", "Content-Transfer-Encoding", *identified, "Content-Disposition"] == read.keys()
    assert safe_name(name or "x") == read.get_filename()
    assert ("inline" if inline else "attachment") == read.get_content_disposition()


@given(NAMES)
def test_folded_disposition_keeps_to_lines_of_78_beyond_plain_names(name: str) -> None:
    header = disposition(safe_name(name), inline=False)
    if b"filename*" in header:
        assert max(map(len, header.split(b"\r\n"))) <= 78


@given(NAMES)
def test_content_type_of_any_name_can_be_written(name: str) -> None:
    attached_part(Attachment("x", content_type_of(safe_name(name)), b""))

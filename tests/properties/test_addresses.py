from __future__ import annotations

import re
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from mailblast.errors import RowFaultError
from mailblast.recipients.address import dedupe_key, parse_address, parse_mailbox

#: Text out of which addresses, and attacks on them, are made.
PIECES = st.one_of(
    st.sampled_from([*'@.-<>",; []()\\\0\x7f_1', "\r\n", "xn--", "example", "com"]),
    st.sampled_from(["münchen", "ß", "\u3002", "\u200b", "\u2028", "\ud800", "e\u0301", "例え"]),
    st.text(max_size=5),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)
DOMAINS = st.sampled_from(["example.com", "EXAMPLE.com", "münchen.de", "xn--mnchen-3ya.de", "例え.jp", "a.b.test"])
LIKELY = st.tuples(TEXTS, DOMAINS, TEXTS).map(lambda parts: f"{parts[0]}@{parts[1]}{parts[2]}")
DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


@given(TEXTS | LIKELY | st.emails())
def test_address_is_safe_on_the_wire_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except RowFaultError:
        return
    local, _, domain = address.rpartition("@")
    assert DOMAIN.fullmatch(domain)
    assert not set(local) & set('<>@," \\()[]:;')
    assert "".join(address.split()) == address
    assert not {unicodedata.category(character) for character in address} & {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
    assert len(local.encode()) <= 64
    assert len(address.encode()) <= 254


@given(TEXTS | LIKELY | st.emails())
def test_address_that_was_parsed_stays_as_it_is(text: str) -> None:
    try:
        address = parse_address(text)
    except RowFaultError:
        return
    assert address == parse_address(address) == dedupe_key(address)


@given(TEXTS | LIKELY, LIKELY | DOMAINS)
def test_mailbox_has_no_control_characters_and_a_good_address(name: str, address: str) -> None:
    for text in (f"{name} <{address}>", f'"{name}" <{address}>'):
        try:
            mailbox = parse_mailbox(text)
        except RowFaultError:
            continue
        assert mailbox.address == parse_address(mailbox.address)
        assert not {unicodedata.category(character) for character in mailbox.display_name} & {"Cc", "Cs", "Zl", "Zp"}


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=50))
def test_quoted_name_comes_back_as_it_was(name: str) -> None:
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    expected = unicodedata.normalize("NFC", name.strip())
    assert (expected, "a@b.co") == parse_mailbox(f'"{quoted}" <a@b.co>')

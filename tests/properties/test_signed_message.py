"""Whatever a list holds, a signed message is verified, and its header block holds the lines that were meant.

Another implementation judges signatures: dkimpy.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signing import URL, a_signed_campaign, keys, verified

from mailblast.errors import RowFaultError
from mailblast.message.builder import MessageBuilder
from mailblast.message.unsubscribe import TokenMaker, Unsubscribed
from mailblast.model.campaign import ListHeaders
from mailblast.model.message import Content, Message
from mailblast.model.recipient import Claim, Recipient
from mailblast.model.secret import Secret

#: 10,000 examples where it counts, and 1,000 signatures: with ``--hypothesis-profile full``.
FULL = settings.get_current_profile_name() == "full"
PIECES = [
    "\r", "\n", "\r\n", "\0", "\t", "\x85", "\u2028", "\ud800", "=?utf-8?q?=0A?=", "=?", "?=", "\n.\n", ".", "From ",
    "\r\nBcc: x@y.z", "\r\n\r\n", "<", ">", ",", ";", ":", '"', "\\", "@", "=", " ", "  ", " \n", "é", "日本語",
    "w" * 990, "{{7*7}}", "\n--=_", "https://evil.example/", "%0d%0a", "ada", "example.com",
]  # fmt: skip
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# What may stand in a header, however it looks; and in a body, where line ends may as well.
LINES = st.lists(
    st.sampled_from([piece for piece in PIECES if not CONTROL.search(piece) and len(piece) < 99])
    | st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=8),
    max_size=8,
).map("".join)
BODIES = st.lists(
    st.sampled_from([piece for piece in PIECES if piece not in {"\0", "\ud800"}])
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    max_size=8,
).map("".join)
TEXTS = LINES | st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=8).map("".join)
ADDRESSES = st.sampled_from(["ada@example.com", "o'neil+x@xn--bcher-kva.example", "zoë@example.com"]) | TEXTS
LISTED = a_signed_campaign(dkim=None, list_headers=ListHeaders(f"{URL}?c={{{{ code }}}}", "leave@example.com", "a.b"))
ANY = MessageBuilder(LISTED, keys())
SIGNED = MessageBuilder(a_signed_campaign(ed25519=True), keys())
NAMES = [
    b"From", b"To", b"Subject", b"Date", b"Message-ID", b"MIME-Version", b"List-Unsubscribe-Post", b"List-Id",
    b"List-Unsubscribe",
]  # fmt: skip


def build(builder: MessageBuilder, address: str, name: str, code: str, content: Content) -> Message | None:
    variables = {"email": address, "name": name, "code": code}
    try:
        return builder.build(Claim(1, Recipient(1, "key", address, variables, variables), 1_751_367_157), content)
    except RowFaultError:
        return None


# In shares that several processes take.
@pytest.mark.parametrize("share", range(4 if FULL else 2))
@settings(max_examples=2500 if FULL else 200)
@given(address=ADDRESSES, name=TEXTS, code=TEXTS, subject=TEXTS, extra=TEXTS, body=TEXTS)
def test_no_line_is_injected_into_a_message(
    share: int, address: str, name: str, code: str, subject: str, extra: str, body: str
) -> None:
    message = build(ANY, address, name, code, Content(subject, body, None, (("X-Extra", extra),)))
    if message is None:
        return
    raw = b"".join(part for part in message.parts if isinstance(part, bytes))
    head, _, text = raw.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    names = [line.partition(b":")[0] for line in lines if not line.startswith(b" ")]

    extras = [b"X-Extra"] if extra.strip(" ") else []
    assert [*NAMES, *extras, b"Content-Type", b"Content-Transfer-Encoding"] == names
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
    assert max(map(len, raw.split(b"\r\n"))) <= 998
    assert text.isascii()
    assert address == message.recipient


@settings(max_examples=1000 if FULL else 100)
@given(LINES, LINES, LINES, BODIES, st.none() | BODIES)
def test_signature_of_hostile_text_is_verified(
    name: str, subject: str, extra: str, text: str, html: str | None
) -> None:
    message = build(SIGNED, "ada@example.com", name, "c", Content(subject, text, html, (("X-Extra", extra),)))

    assert message is not None
    assert [True, True] == verified(b"".join(part for part in message.parts if isinstance(part, bytes)))


@given(st.text(), st.text().filter(lambda text: "\0" not in text), st.binary(max_size=60))
def test_token_reads_back_and_noise_never_does(address: str, list_name: str, noise: bytes) -> None:
    maker = TokenMaker(Secret("a secret of its own"))
    try:
        token = maker.token(list_name, address)
    except RowFaultError:
        return

    assert Unsubscribed(list_name, address) == maker.verify(token)
    assert maker.verify(noise.hex()) is None
    assert maker.verify(token[:-2] + noise.hex()[:2]) in {None, Unsubscribed(list_name, address)}

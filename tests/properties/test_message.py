"""Whatever a list holds, a message reads back as what was meant, or its row is refused.

Two readers of the standard library judge: ``policy.default`` for structure, bodies and plain headers, and the older
``decode_header`` for what encoded words say. The newer one has faults of its own that are not ours to avoid: in a
display name it puts blanks between adjacent encoded words, and it decodes encoded words inside quoted strings.
"""

from __future__ import annotations

import email
import email.policy
import re
from email.header import decode_header, make_header
from email.utils import parseaddr

from hypothesis import example, given
from hypothesis import strategies as st

from mailblast.errors import RowFaultError
from mailblast.message.builder import MessageBuilder
from mailblast.message.headers import encode_mailbox, encode_unstructured
from mailblast.message.mime import known_runs, quoted_printable
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.message import Content, Message
from mailblast.model.recipient import Claim, Recipient

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
PIECES = [
    "\r", "\n", "\r\n", "\0", "\t", "\x85", "\u2028", "\ud800", "=?utf-8?q?=0A?=", "=?", "?=", "\n.\n", ".", "From ",
     "\r\nBcc: x@y.z", "<", ">", ",", ";", ":", '"', "\\", "(", ")", "@", "=", "_", " ", "  ", "\N{WOMAN}\u200d\N{MAN}",
     "\u202e", "שלום", "{{7*7}}", "é", "日本語", "x" * 80, "w" * 990, "\n--=_"
]  # fmt: skip
HOSTILE = st.sampled_from(PIECES)
TEXTS = st.lists(st.one_of(HOSTILE, st.text(max_size=20), st.text("ab .=", max_size=90)), max_size=12).map("".join)
GOOD_ADDRESSES = ["ada@example.com", '"a b"@example.com', "o'neil+x@xn--bcher-kva.example", "zoë@example.com"]
ADDRESSES = st.one_of(
    st.sampled_from(GOOD_ADDRESSES),
    st.tuples(st.text(min_size=1, max_size=9), st.just("@example.com")).map("".join),
    TEXTS,
)
VISIBLE = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])
# Data that looks dangerous and is not.
HARMLESS = st.lists(
    st.one_of(
        st.sampled_from([piece for piece in PIECES if not CONTROL.search(piece) and len(piece) < 100]), st.text(VISIBLE)
    ),
    max_size=12,
).map("".join)
TEMPLATE = Template("t", "", "s", "a\n.b\nFrom x\n{{ a }}", "<p>\n.x {}\n")
BUILDER = MessageBuilder(Campaign("c", "t0ken", TEMPLATE, Mailbox("Team, The", "team@example.com")))


def normal(text: str) -> str:
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") else f"{text}\n"


def shown(value: str) -> str:
    return str(make_header(decode_header(value.replace("\r\n", ""))))


def build(address: str, name: str, content: Content) -> Message | None:
    variables = {"email": address, "name": name}
    try:
        return BUILDER.build(Claim(1, Recipient(1, "key", address, variables, variables), 1), content)
    except RowFaultError:
        return None


def check_wire(raw: bytes, *, utf8: bool) -> None:
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")
    assert raw.endswith(b"\r\n")
    assert b"\0" not in raw
    head, _, body = raw.partition(b"\r\n\r\n")
    assert utf8 or head.isascii()
    assert body.isascii()
    assert all(len(line) <= 998 for line in head.split(b"\r\n"))
    assert all(len(line) <= 78 and not line.startswith((b".", b"From ")) for line in body.split(b"\r\n"))


def check_bodies(raw: bytes, content: Content) -> None:
    expected = [normal(part) for part in (content.text, content.html) if part is not None]
    for policy in (email.policy.default, email.policy.compat32):
        read = email.message_from_bytes(raw, policy=policy)
        parts = [part for part in read.walk() if not part.is_multipart()]
        payloads = [part.get_payload(decode=True) for part in parts]
        assert expected == [payload.decode().replace("\r\n", "\n") for payload in payloads]  # type: ignore[union-attr]  # bytes
        assert not [defect for part in read.walk() for defect in part.defects]


def check(message: Message, content: Content) -> None:
    raw = b"".join(part for part in message.parts if isinstance(part, bytes))
    check_wire(raw, utf8=message.needs_smtputf8)
    read = email.message_from_bytes(raw, policy=email.policy.compat32)
    ((_, extra),) = content.headers
    extras = ["X-Extra"] if extra.strip(" ") else []
    names = ["From", "To", "Subject", "Date", "Message-ID", "MIME-Version", *extras, "Content-Type"]
    assert names == [header for header, _ in read.items() if header != "Content-Transfer-Encoding"]
    if not message.needs_smtputf8:
        assert message.recipient == parseaddr(str(read["To"]).replace("\r\n", ""))[1]
        assert content.subject == shown(read["Subject"])
        if extras:
            assert extra == shown(read["X-Extra"])
    check_bodies(raw, content)


@given(ADDRESSES, TEXTS, TEXTS, st.none() | TEXTS, st.none() | TEXTS, TEXTS)
@example("ada@example.com", "there", "=?UTF-8?Q?=0A?=Bcc: x@y", ".", "From ", "x")
def test_message_reads_back_as_meant_or_is_refused(
    address: str, name: str, subject: str, text: str | None, html: str | None, extra: str
) -> None:
    content = Content(subject, text, html, (("X-Extra", extra),))
    message = build(address, name, content)
    if message is not None:
        assert address == message.recipient
        check(message, content)


@given(st.sampled_from(GOOD_ADDRESSES), HARMLESS, HARMLESS, HARMLESS, HARMLESS)
def test_message_without_control_characters_is_never_refused(
    address: str, name: str, subject: str, body: str, extra: str
) -> None:
    content = Content(subject, body, body, (("X-Extra", extra),))
    message = build(address, name, content)
    assert message is not None
    check(message, content)


@given(st.text(VISIBLE, max_size=300))
def test_unstructured_value_without_controls_reads_back(value: str) -> None:
    line = encode_unstructured("Subject", value)

    assert value == shown(email.message_from_bytes(line, policy=email.policy.compat32)["Subject"])
    assert value == email.message_from_bytes(line, policy=email.policy.default)["Subject"]


@given(st.text(max_size=60) | TEXTS)
def test_display_name_reads_back_beside_its_address(name: str) -> None:
    try:
        line = encode_mailbox("To", Mailbox(name, "ada@example.com"))
    except RowFaultError:
        assert CONTROL.search(name) or len(name) > 16_000
        return
    value = str(email.message_from_bytes(line, policy=email.policy.compat32)["To"]).replace("\r\n", "")
    phrase, address = parseaddr(value)
    assert "ada@example.com" == address
    assert name == (shown(value.rpartition("<")[0].removesuffix(" ")) if "=?" in value else phrase)
    (mailbox,) = email.message_from_bytes(line, policy=email.policy.default)["To"].addresses
    assert ("ada", "example.com") == (mailbox.username, mailbox.domain)


@given(TEXTS, st.lists(st.text("ab .=\n", max_size=90), max_size=4))
def test_known_runs_never_change_a_body(text: str, sources: list[str]) -> None:
    try:
        expected = quoted_printable(text)
    except RowFaultError:
        assert "\0" in text or re.search("[\ud800-\udfff]", text)
        return

    assert expected == quoted_printable(text, known_runs([*sources, text]))

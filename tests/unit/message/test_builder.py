from __future__ import annotations

import email
import email.policy
import pickle
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.builder import MessageBuilder, _check
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.message import Content
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from email.message import EmailMessage, MIMEPart

    from mailblast.model.message import Message

TEMPLATE = Template("t.html", "", "s", "Hi {{ name }}\nbye\n", None)


def a_campaign(**changes: object) -> Campaign:
    campaign = Campaign("c", "t0ken", TEMPLATE, Mailbox("The Team", "team@example.com"))
    return campaign._replace(**changes)  # type: ignore[arg-type]  # fields by name


def a_claim(address: str = "ada@example.com", **fields: str | int) -> Claim:
    variables = {"email": address, "name": fields.get("name") or "there", "data": ""}
    return Claim(7, Recipient(2, address, address, variables, fields), 1_751_367_157)


def build(claim: Claim, content: Content, **changes: object) -> Message:
    return MessageBuilder(a_campaign(**changes)).build(claim, content)


def whole(message: Message) -> bytes:
    return b"".join(part for part in message.parts if isinstance(part, bytes))


def parsed(message: Message) -> EmailMessage:
    return email.message_from_bytes(whole(message), policy=email.policy.default)


def body_of(part: MIMEPart) -> str:
    """Return a part's text with the line ends of the template."""
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode().replace("\r\n", "\n")


TEXT = Content("Hello", "text\n", None)
BOTH = Content("Hello", "text\n", "<p>html</p>\n")


def test_message_with_both_parts_has_text_first() -> None:
    message = build(a_claim(name="Ada"), BOTH, reply_to=Mailbox("", "answers@example.com"))
    read = parsed(message)

    assert [
        ("From", "The Team <team@example.com>"),
        ("To", "Ada <ada@example.com>"),
        ("Subject", "Hello"),
        ("Date", "Tue, 01 Jul 2025 10:52:37 +0000"),
        ("Message-ID", message.message_id),
        ("Reply-To", "answers@example.com"),
        ("MIME-Version", "1.0"),
    ] == list(read.items())[:-1]
    assert "multipart/alternative" == read.get_content_type()
    assert ["text/plain", "text/html"] == [part.get_content_type() for part in read.iter_parts()]
    assert ["text\n", "<p>html</p>\n"] == [body_of(part) for part in read.iter_parts()]
    assert not read.defects
    assert (7, "team@example.com", "ada@example.com", False) == (
        message.id,
        message.sender,
        message.recipient,
        message.needs_smtputf8,
    )


@pytest.mark.parametrize(
    ("content", "kind", "body"),
    [
        (TEXT, "text/plain", "text\n"),
        (Content("s", None, "<p>"), "text/html", "<p>\n"),
        (Content("s", "", None), "text/plain", "\n"),
    ],
)
def test_message_with_one_part_is_no_multipart(content: Content, kind: str, body: str) -> None:
    read = parsed(build(a_claim(), content))

    assert (kind, body) == (read.get_content_type(), body_of(read))


def test_message_without_content_is_refused() -> None:
    with pytest.raises(RowFaultError):
        build(a_claim(), Content("s", None, None))


def test_same_claim_gives_the_same_bytes() -> None:
    first, second = build(a_claim(), BOTH), build(a_claim(), BOTH)

    assert first == second
    assert first == pickle.loads(pickle.dumps(first))
    assert zlib.crc32(whole(first)) == first.digest
    assert len(whole(first)) == first.size


def test_message_id_differs_by_key_and_campaign_and_hides_the_address() -> None:
    one, other = MessageBuilder(a_campaign()), MessageBuilder(a_campaign(token="other"))
    ids = {one.message_id("ada@example.com"), one.message_id("bob@example.com"), other.message_id("ada@example.com")}

    assert 3 == len(ids)
    assert all(identifier.startswith("<") and identifier.endswith("@example.com>") for identifier in ids)
    assert not any("ada" in identifier for identifier in ids)


def test_message_id_of_key_with_lone_surrogate_is_refused() -> None:
    with pytest.raises(RowFaultError):
        MessageBuilder(a_campaign()).message_id("\ud800")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "ada@example.com"),
        ({"name": ""}, "ada@example.com"),
        ({"name": "there"}, "there <ada@example.com>"),
        ({"name": "Ada"}, "Ada <ada@example.com>"),
        ({"name": " Ada \t L. "}, '"Ada L." <ada@example.com>'),
        ({"name": 5}, "ada@example.com"),
    ],
)
def test_to_holds_a_name_only_where_the_row_gave_one(fields: dict[str, Any], expected: str) -> None:
    raw = whole(build(a_claim(**fields), TEXT))

    assert f"\r\nTo: {expected}\r\n".encode() in raw


def test_extra_headers_follow_in_order_and_empty_ones_are_left_out() -> None:
    headers = (("X-One", "1"), ("List-Id", "<l.example.com>"), ("X-None", " "), ("X-One", "é"))
    read = parsed(build(a_claim(), TEXT._replace(headers=headers)))

    assert [("X-One", "1"), ("List-Id", "<l.example.com>"), ("X-One", "é")] == list(read.items())[6:9]


@pytest.mark.parametrize("name", ["To", "bcc", "CC", "Content-Type", "content-disposition", "Message-ID", "A: b\nBcc"])
def test_extra_header_that_would_reach_others_or_stand_twice_is_refused(name: str) -> None:
    with pytest.raises(RowFaultError):
        build(a_claim(), TEXT._replace(headers=((name, "x"),)))


@pytest.mark.parametrize("bad", ["a\r\nBcc: x@y.z", "a\nb", "a\rb", "a\0", "a\u2028b", "\ud800"])
def test_injection_through_any_value_is_refused(bad: str) -> None:
    with pytest.raises(RowFaultError):
        build(a_claim(), TEXT._replace(subject=bad))
    with pytest.raises(RowFaultError):
        build(a_claim(name=bad), TEXT)
    with pytest.raises(RowFaultError):
        build(a_claim(), TEXT._replace(headers=(("X-A", bad),)))
    with pytest.raises(RowFaultError):
        build(a_claim(f"{bad}@example.com"), TEXT)


def test_subject_that_looks_encoded_is_shown_as_it_is() -> None:
    subject = "=?UTF-8?Q?=0A?=Bcc: x@y"

    assert subject == parsed(build(a_claim(), TEXT._replace(subject=subject)))["Subject"]


def test_address_beyond_ascii_needs_smtputf8_and_is_never_encoded() -> None:
    message = build(a_claim("zoë@example.com"), TEXT)

    assert message.needs_smtputf8
    assert "\r\nTo: zoë@example.com\r\n".encode() in whole(message)
    assert build(a_claim(), TEXT, sender=Mailbox("", "zoë@example.com")).needs_smtputf8


@pytest.mark.parametrize("sender", [Mailbox("a\nb", "a@b.c"), Mailbox("", "a@b.c\r\nX: y"), Mailbox("", "")])
def test_sender_that_cannot_be_written_stops_the_start(sender: Mailbox) -> None:
    with pytest.raises(UsageError, match="From"):
        MessageBuilder(a_campaign(sender=sender))
    with pytest.raises(UsageError, match="Reply-To"):
        MessageBuilder(a_campaign(reply_to=sender))


@pytest.mark.parametrize("token", ["", "a b", "a@b", "a\r\nb"])
def test_token_that_would_break_a_message_id_stops_the_start(token: str) -> None:
    with pytest.raises(UsageError):
        MessageBuilder(a_campaign(token=token))


@pytest.mark.parametrize(
    "headers", [b"A: b\nC: d\r\n", b"A: b\rC\r\n", b"A: b\r\n\r\nC\r\n", b"A: \xc3\xa9\r\n", b"A: \0\r\n"]
)
def test_header_block_is_looked_at_once_more(headers: bytes) -> None:
    with pytest.raises(RowFaultError):
        _check(headers, needs_smtputf8=False)


def test_bodies_may_hold_anything_else() -> None:
    text = "a\n.\nb\nFrom x\n" + "w" * 2000 + "\n\u2028\U0001f600\x1b\n"
    message = build(a_claim(), Content("s", text, text))
    raw = whole(message)

    assert [text, text] == [body_of(part) for part in parsed(message).iter_parts()]
    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r") == raw.count(b"\r\n")

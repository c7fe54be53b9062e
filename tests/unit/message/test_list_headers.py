from __future__ import annotations

import email
import email.policy
from typing import TYPE_CHECKING

import pytest
from signing import ALL_LIST_HEADERS, SECRET, a_signed_campaign, keys

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.builder import UNSUBSCRIBE_URL, MessageBuilder
from mailblast.message.unsubscribe import verify_token
from mailblast.model.campaign import Keys, ListHeaders
from mailblast.model.message import Content
from mailblast.model.recipient import Claim, Recipient

if TYPE_CHECKING:
    from mailblast.model.campaign import Campaign

CONTENT = Content("s", "t\n", None)


def a_campaign(list_headers: ListHeaders = ALL_LIST_HEADERS) -> Campaign:
    return a_signed_campaign(dkim=None, list_headers=list_headers)


def a_claim(**variables: object) -> Claim:
    values = {"email": "ada@example.com", "name": "Ada", **variables}
    return Claim(1, Recipient(1, "ada@example.com", "ada@example.com", values, values), 1)


def headers_of(builder: MessageBuilder, claim: Claim) -> list[bytes]:
    (part,) = builder.build(claim, CONTENT).parts
    assert isinstance(part, bytes)
    return part.partition(b"\r\n\r\n")[0].split(b"\r\n")


def test_all_list_headers_stand_in_the_message_as_in_the_pairs() -> None:
    builder = MessageBuilder(a_campaign(), keys())
    pairs = builder.list_headers(a_claim())
    token = pairs[0][1].partition(">")[0].rpartition("/")[2]

    assert (
        (
            "List-Unsubscribe",
            f"<https://example.com/leave/{token}>, <mailto:leave@example.com?subject={token}>",
        ),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", "<news.example.com>"),
        ("Feedback-ID", "c:u:bulk:example"),
        ("Auto-Submitted", "auto-generated"),
    ) == pairs
    assert {f"{name}: {value}".encode() for name, value in pairs} <= set(headers_of(builder, a_claim()))
    assert ("news.example.com", "ada@example.com") == verify_token(SECRET, token)


def test_campaign_without_list_headers_has_none() -> None:
    builder = MessageBuilder(a_campaign(ListHeaders()))

    assert () == builder.list_headers(a_claim())
    assert not builder.has_unsubscribe_link
    assert not [line for line in headers_of(builder, a_claim()) if line.startswith((b"List-", b"Feedback", b"Auto"))]


def test_list_without_a_name_is_called_as_the_campaign() -> None:
    builder = MessageBuilder(a_campaign(ListHeaders("https://example.com/{{ token }}")), keys())
    claim = builder.with_unsubscribe_url(a_claim())
    url = str(claim.recipient.variables[UNSUBSCRIBE_URL])

    assert ("news", "ada@example.com") == verify_token(SECRET, url.rpartition("/")[2])


def test_mailbox_alone_is_not_one_click() -> None:
    builder = MessageBuilder(a_campaign(ListHeaders(unsubscribe_mailto="leave@example.com")), Keys())
    claim = builder.with_unsubscribe_url(a_claim())

    assert (("List-Unsubscribe", "<mailto:leave@example.com?subject=unsubscribe>"),) == builder.list_headers(a_claim())
    assert "mailto:leave@example.com?subject=unsubscribe" == claim.recipient.variables[UNSUBSCRIBE_URL]


def test_list_id_alone_is_the_only_header() -> None:
    builder = MessageBuilder(a_campaign(ListHeaders(list_id="news.example.com")))

    assert (("List-Id", "<news.example.com>"),) == builder.list_headers(a_claim())
    assert b"List-Id: <news.example.com>" in headers_of(builder, a_claim())
    assert not [line for line in headers_of(builder, a_claim()) if line.startswith(b"List-Unsubscribe")]
    assert not builder.has_unsubscribe_link


@pytest.mark.parametrize("length", [60, 80, 200, 900, 976])
@pytest.mark.parametrize("mailto", ["", "leave@example.com"])
def test_link_of_any_length_is_one_uri_that_is_not_encoded(length: int, mailto: str) -> None:
    beginning = "https://example.com/leave/"
    campaign = a_campaign(ListHeaders(beginning + "{{ code }}", mailto))
    claim = a_claim(code="x" * (length - len(beginning)))
    raw = headers_of(MessageBuilder(campaign, Keys()), claim)
    (number,) = [number for number, line in enumerate(raw) if line.startswith(b"List-Unsubscribe:")]
    written = raw[number] + (raw[number + 1] if raw[number + 1].startswith(b" ") else b"")
    uri = beginning.encode() + b"x" * (length - len(beginning))

    assert all(len(line) <= 998 for line in raw)
    assert b"<%s>" % uri in raw[number]
    rest = b", <mailto:leave@example.com?subject=unsubscribe>" if mailto else b""
    assert b"List-Unsubscribe: <%s>%s" % (uri, rest) == written
    assert b"=?" not in written
    parsed = email.message_from_bytes(b"\r\n".join([*raw, b"", b""]), policy=email.policy.compat32)
    assert 1 + bool(mailto) == str(parsed["List-Unsubscribe"]).count("<")


def test_mailbox_whose_line_would_be_too_long_is_a_fault_of_the_row() -> None:
    campaign = a_campaign(ListHeaders("https://x.example/{{ token }}", f"{'x' * 64}@example.com"))
    recipient = a_claim().recipient._replace(address=f"{'y' * 670}@example.com")

    with pytest.raises(RowFaultError, match="998"):
        MessageBuilder(campaign, keys())._list.line(recipient)  # type: ignore[union-attr]  # it has some


def test_row_without_a_value_of_the_link_is_a_fault() -> None:
    builder = MessageBuilder(a_campaign(ListHeaders("https://example.com/{{ code }}")), Keys())

    with pytest.raises(RowFaultError) as caught:
        builder.build(a_claim(), CONTENT)
    assert "code" == caught.value.column


@pytest.mark.parametrize(
    ("list_headers", "words"),
    [
        (ListHeaders(list_id="news"), "--list-id"),
        (ListHeaders(list_id="a b.example.com"), "--list-id"),
        (ListHeaders(list_id="a.b\r\nBcc: x"), "--list-id"),
        (ListHeaders(feedback_id="a:b:c"), "--feedback-id"),
        (ListHeaders(feedback_id="a:b:c:d"), "--feedback-id"),
        (ListHeaders(feedback_id="a:b:c:example\r\nX: y"), "--feedback-id"),
        (ListHeaders("https://example.com/{{ token }}"), "MAILBLAST_UNSUBSCRIBE_SECRET"),
        (ListHeaders("http://example.com/{{ token }}"), "--unsubscribe"),
    ],
)
def test_list_header_that_cannot_be_written_stops_the_start(list_headers: ListHeaders, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        MessageBuilder(a_campaign(list_headers), Keys())

    assert caught.value.fix


@pytest.mark.parametrize("name", ["List-Unsubscribe", "list-unsubscribe-post", "List-ID", "Feedback-ID"])
def test_header_of_the_template_and_an_option_exclude_each_other(name: str) -> None:
    campaign = a_campaign()
    campaign = campaign._replace(template=campaign.template._replace(headers=(("X-Other", "x"), (name, "x"))))

    with pytest.raises(UsageError, match="may stand once"):
        MessageBuilder(campaign, keys())
    # Without the option it is the template's own business.
    MessageBuilder(campaign._replace(list_headers=ListHeaders()), keys())

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from servers.list_deliveries import a_composition, a_message

from mailblast.model.campaign import Mailbox
from mailblast.model.message import Attachment, Composition, Content, Layout, Message
from mailblast.model.secret import Secret
from mailblast.providers.sendgrid.grouping import Grouping
from mailblast.providers.sendgrid.payload import (
    MAX_SUBSTITUTION_BYTES,
    PayloadWriter,
    Request,
    Schedule,
    UnfitError,
    fits_layout,
)
from mailblast.providers.sendgrid.settings import SendgridSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = SendgridSettings(Secret("SG.x"))


def writer(settings: SendgridSettings = SETTINGS, schedule: Schedule | None = None) -> PayloadWriter:
    return PayloadWriter(settings, schedule)


def composed(number: int = 1, address: str = "", **changes: Any) -> Message:
    message = a_message(number, address)
    return message._replace(composition=a_composition(number, message.recipient)._replace(**changes))


def composition_of(message: Message) -> Composition:
    assert message.composition is not None
    return message.composition


def document_of(request: Request) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(request.body())
    return document


def alone(message: Message, settings: SendgridSettings = SETTINGS, schedule: Schedule | None = None) -> dict[str, Any]:
    grouping = Grouping(writer(settings, schedule))
    grouping.add(message, limit=100, alone=True)
    (request,) = grouping.pop_all()
    return document_of(request)


def grouped(*messages: Message, limit: int = 100) -> list[dict[str, Any]]:
    grouping = Grouping(writer())
    for message in messages:
        grouping.add(message, limit=limit)
    assert grouping.waiting + grouping.has_alone > 0
    return [document_of(request) for request in grouping.pop_all()]


def addresses(document: dict[str, Any]) -> list[str]:
    return [one["to"][0]["email"] for one in document["personalizations"]]


def test_request_with_layout_has_static_text_once_and_values_each() -> None:
    (document,) = grouped(composed(1), composed(2))
    assert {
        "personalizations": [
            {
                "to": [{"email": f"recipient{number}@example.com"}],
                "headers": {"Message-ID": f"<{number}@example.org>"},
                "custom_args": {"message_id": f"{number}@example.org"},
                "substitutions": {"{{number}}": str(number)},
            }
            for number in (1, 2)
        ],
        "from": {"email": "sender@example.org"},
        "subject": "message {{number}}",
        "content": [{"type": "text/plain", "value": "Hello\n"}],
    } == document


def test_request_without_layout_has_its_own_content() -> None:
    content = Content("Häßlich", "täxt", "<p>x</p>")
    sender, answers, to = Mailbox("S", "s@example.org"), Mailbox("", "r@example.org"), Mailbox("Zoë", "z@example.com")
    message = composed(layout=None, values=(), content=content, sender=sender, reply_to=answers, recipient=to)
    document = alone(message)
    assert ({"email": "s@example.org", "name": "S"}, {"email": "r@example.org"}, "Häßlich") == (
        document["from"],
        document["reply_to"],
        document["subject"],
    )
    assert [{"type": "text/plain", "value": "täxt"}, {"type": "text/html", "value": "<p>x</p>"}] == document["content"]
    (one,) = document["personalizations"]
    assert [{"email": "z@example.com", "name": "Zoë"}] == one["to"]
    assert "substitutions" not in one


def test_request_with_layout_and_no_slot_has_no_substitutions() -> None:
    same = Layout((), "subject", None, "<p>all alike</p>")
    (document,) = grouped(composed(1, layout=same, values=()), composed(2, layout=same, values=()))
    assert 2 == len(document["personalizations"])
    assert all("substitutions" not in one for one in document["personalizations"])
    assert [{"type": "text/html", "value": "<p>all alike</p>"}] == document["content"]


def test_headers_stand_at_each_recipient_and_reserved_ones_nowhere() -> None:
    headers = (
        ("List-Unsubscribe", "<https://example.org/u/1>"),
        ("List-Id", "<n.example.org>"),
        ("Subject", "no"),
        ("TO", "no"),
        ("Reply-To", "no"),
        ("DKIM-Signature", "no"),
        ("Message-Id", "<no>"),
    )
    (document,) = grouped(composed(1, headers=headers))
    assert "headers" not in document
    assert {
        "Message-ID": "<1@example.org>",
        "List-Unsubscribe": "<https://example.org/u/1>",
        "List-Id": "<n.example.org>",
    } == document["personalizations"][0]["headers"]


def test_header_there_twice_does_not_fit() -> None:
    message = composed(headers=(("X-Tag", "a"), ("x-tag", "b")))
    with pytest.raises(UnfitError, match="each header once, and x-tag is there twice"):
        Grouping(writer()).add(message, limit=10)


def test_lone_surrogate_does_not_fit() -> None:
    with pytest.raises(UnfitError, match="half a character"):
        Grouping(writer()).add(composed(values=("\ud800",)), limit=10)


@pytest.mark.parametrize(
    ("content", "kinds"),
    [(Content("s", "", "<p>"), ["text/html"]), (Content("s", "t", ""), ["text/plain"]), (Content("s", "", None), None)],
)
def test_empty_parts_are_left_out_and_nothing_at_all_does_not_fit(content: Content, kinds: list[str] | None) -> None:
    message = composed(layout=None, values=(), content=content)
    if kinds is None:
        with pytest.raises(UnfitError, match="no content"):
            alone(message)
    else:
        assert kinds == [part["type"] for part in alone(message)["content"]]


class Streamed:
    """A file that is read when it is needed."""

    def __init__(self, lines: int, length: int | None = None) -> None:
        self._lines = lines
        self._length = length

    def __len__(self) -> int:
        return self._length if self._length is not None else self._lines * 78

    def chunks(self) -> Iterator[bytes]:
        for _ in range(self._lines):
            yield base64.encodebytes(b"x" * 57).replace(b"\n", b"\r\n")


def test_attachments_are_base64_without_line_ends() -> None:
    logo = Attachment("logo.png", "image/png", b"aGVs\r\nbG8=\r\n", "logo")
    attachments = (logo, Attachment("b.txt", "text/plain", Streamed(3)))
    first, second = alone(composed(attachments=attachments))["attachments"]
    expected = {"content": "aGVsbG8=", "type": "image/png", "filename": "logo.png", "disposition": "inline"}
    assert {**expected, "content_id": "logo"} == first
    assert b"x" * 57 * 3 == base64.b64decode(second["content"], validate=True)
    assert ("attachment", False) == (second["disposition"], "content_id" in second)


def test_attachments_over_the_limit_are_not_even_read() -> None:
    message = composed(attachments=(Attachment("b.bin", "application/octet-stream", Streamed(0, 30_000_000)),))
    with pytest.raises(UnfitError, match="attachments are over SendGrid's 30 MB"):
        alone(message)


@pytest.mark.parametrize("layout", [True, False])
def test_message_over_the_limit_does_not_fit(layout: bool) -> None:  # noqa: FBT001 - a table
    big = Attachment("b.bin", "application/octet-stream", b"A" * 29_999_990)
    message = composed(attachments=(big,)) if layout else composed(attachments=(big,), layout=None, values=())
    with pytest.raises(UnfitError, match="over SendGrid's 30 MB"):
        Grouping(writer()).add(message, limit=10)


def test_settings_and_schedule_are_in_every_request() -> None:
    settings = replace(SETTINGS, sandbox=True, asm_group=7, categories=("news", "spring"))
    document = alone(composed(), settings, Schedule(1_800_000_000, "batch"))
    assert ({"sandbox_mode": {"enable": True}}, {"group_id": 7}, ["news", "spring"], 1_800_000_000, "batch") == tuple(
        document[name] for name in ("mail_settings", "asm", "categories", "send_at", "batch_id")
    )


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (("x",), True),
        (("x" * 1600,), True),
        (("x" * 9_900,), True),
        (("x" * MAX_SUBSTITUTION_BYTES,), False),
        # Bytes, not characters.
        (("ä" * 4_900,), True),
        (("ä" * 5_000,), False),
        (("€" * 3_400,), False),
        # As JSON each of these takes more.
        (('"' * 5_000,), False),
        (("\x01" * 1_700,), False),
    ],
)
def test_fits_layout_up_to_ten_thousand_bytes(values: tuple[str, ...], fits: bool) -> None:  # noqa: FBT001 - a table
    assert fits == fits_layout(composition_of(composed(values=values)))


def test_values_over_the_limit_go_alone_with_their_content() -> None:
    long = "x" * 11_000
    documents = grouped(composed(1), composed(2, values=(long,), content=Content("s", long, None)), composed(3))
    assert [["recipient2@example.com"], ["recipient1@example.com", "recipient3@example.com"]] == [
        addresses(document) for document in documents
    ]
    assert long == documents[0]["content"][0]["value"]
    assert "substitutions" not in documents[0]["personalizations"][0]


def test_same_address_is_kept_apart() -> None:
    messages = [composed(1, "a@x.org"), composed(2, "b@x.org"), composed(3, "A@X.ORG"), composed(4, "a@x.org")]
    assert [["a@x.org", "b@x.org"], ["A@X.ORG"], ["a@x.org"]] == [addresses(each) for each in grouped(*messages)]


def test_full_request_is_followed_by_another() -> None:
    documents = grouped(*(composed(number) for number in range(1, 8)), limit=3)
    assert [3, 3, 1] == [len(document["personalizations"]) for document in documents]


def test_request_stays_below_thirty_megabytes() -> None:
    file = (Attachment("b.bin", "application/octet-stream", b"A" * 29_999_000),)
    grouping = Grouping(writer())
    for number in range(1, 9):
        grouping.add(composed(number, attachments=file), limit=100)
    requests = grouping.pop_all()
    assert len(requests) > 1
    assert 8 == sum(len(request.entries) for request in requests)
    assert all(len(request.body()) < 30_000_000 for request in requests)


OTHER = {
    "sender": {"sender": Mailbox("Other", "sender@example.org")},
    "reply_to": {"reply_to": Mailbox("", "r@example.org")},
    "attachments": {"attachments": (Attachment("a", "text/plain", b"QQ=="),)},
    "layout": {"layout": Layout(("number",), "message {{number}}", "Hello\n", None)},
}


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER.keys())
def test_what_differs_in_common_parts_goes_apart(changes: dict[str, Any]) -> None:
    assert [1, 1] == [len(each["personalizations"]) for each in grouped(composed(1), composed(2, **changes))]


def test_same_files_in_another_tuple_share_a_request() -> None:
    file = Attachment("a", "text/plain", b"QQ==")
    (document,) = grouped(composed(1, attachments=(file,)), composed(2, attachments=(file,)))
    assert 2 == len(document["personalizations"])


def test_limit_of_one_sends_each_alone_but_by_its_layout() -> None:
    documents = grouped(composed(1), composed(2), limit=1)
    assert [{"{{number}}": "1"}, {"{{number}}": "2"}] == [
        document["personalizations"][0]["substitutions"] for document in documents
    ]


def test_pop_alone_leaves_the_others_waiting() -> None:
    grouping = Grouping(writer())
    grouping.add(composed(1), limit=10)
    grouping.add(composed(2, layout=None, values=()), limit=10)
    assert ["recipient2@example.com"] == [request.entries[0].address for request in grouping.pop_alone()]
    assert (1, False) == (grouping.waiting, grouping.has_alone)
    assert 1 == len(grouping.pop_all())
    assert [] == grouping.pop_all()


def test_halves_hold_everybody_once() -> None:
    grouping = Grouping(writer())
    for number in range(1, 6):
        grouping.add(composed(number), limit=10)
    (request,) = grouping.pop_all()
    first, second = request.halves()
    assert (2, 3) == (len(first.entries), len(second.entries))
    assert request.entries == first.entries + second.entries
    assert document_of(request)["content"] == document_of(second)["content"]

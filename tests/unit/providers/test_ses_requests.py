from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from servers.list_deliveries import a_message
from ses_messages import LAYOUT, SENDER, composed

from mailblast.model.campaign import Mailbox
from mailblast.model.message import Attachment, Layout
from mailblast.providers.ses.grouping import LINGER_S, Grouping
from mailblast.providers.ses.requests import MAX_ENTRIES, MAX_REQUEST, Entry, RequestWriter, address
from mailblast.providers.ses.settings import SesSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.message import Message

WRITER = RequestWriter(SesSettings())
TAGGED = RequestWriter(SesSettings(configuration_set="set", tags=(("a", "b"),)))


def an_entry(message: Message, writer: RequestWriter = WRITER) -> Entry:
    entry = writer.entry(message)
    assert entry is not None
    return entry


class File:
    """A part that is read when it is written out."""

    def __len__(self) -> int:
        return 4

    def chunks(self) -> Iterator[bytes]:
        yield b"a\r"
        yield b"\nb"


def test_single_is_the_message_as_it_is() -> None:
    message = a_message(3)._replace(parts=(b"head\r\n\r\n", File(), b"end"))
    assert {
        "FromEmailAddress": "sender@example.org",
        "Destination": {"ToAddresses": ["recipient3@example.com"]},
        "Content": {"Raw": {"Data": b"head\r\n\r\na\r\nbend"}},
    } == WRITER.single(message)


def test_configuration_set_and_tags_go_with_both_kinds() -> None:
    tags = [{"Name": "a", "Value": "b"}]
    single, many = TAGGED.single(a_message()), TAGGED.many([an_entry(composed(), TAGGED)])
    assert ("set", tags) == (single["ConfigurationSetName"], single["EmailTags"])
    assert ("set", tags) == (many["ConfigurationSetName"], many["DefaultEmailTags"])


def test_many_holds_the_layout_once_and_values_for_each() -> None:
    entries = [an_entry(composed(1)), an_entry(composed(2, values=('"B" \n é', "")))]
    request = WRITER.many(entries)
    assert {
        "TemplateContent": {"Subject": LAYOUT.subject, "Text": LAYOUT.text, "Html": LAYOUT.html},
        "TemplateData": "{}",
    } == request["DefaultContent"]["Template"]
    assert "News <sender@example.org>" == request["FromEmailAddress"]
    assert "ReplyToAddresses" not in request
    assert [["recipient1@example.com"], ["recipient2@example.com"]] == [
        entry["Destination"]["ToAddresses"] for entry in request["BulkEmailEntries"]
    ]
    data = [
        json.loads(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
        for entry in request["BulkEmailEntries"]
    ]
    assert [{"s1": "Ann", "s2": "x"}, {"s1": '"B" \n é', "s2": ""}] == data


def test_reply_to_and_headers_are_expressed() -> None:
    message = composed(reply_to=Mailbox("Désk", "desk@example.org"), headers=(("List-Id", "<a.b>"),))
    request = WRITER.many([an_entry(message)])
    assert ["=?utf-8?b?RMOpc2s=?= <desk@example.org>"] == request["ReplyToAddresses"]
    assert [{"Name": "List-Id", "Value": "<a.b>"}] == request["BulkEmailEntries"][0]["ReplacementHeaders"]


def test_layout_without_a_part_leaves_it_out() -> None:
    request = WRITER.many([an_entry(composed(layout=Layout(("s1", "s2"), "Hi", "{{s1}}{{s2}}", None)))])
    assert {"Subject": "Hi", "Text": "{{s1}}{{s2}}"} == request["DefaultContent"]["Template"]["TemplateContent"]


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": None},
        {"attachments": (Attachment("a.txt", "text/plain", b""),)},
        {"sender": Mailbox("", "bounces@example.org")},
        {"headers": tuple((f"X-{number}", "v") for number in range(16))},
        {"headers": (("X-Long", "v" * 996),)},
        {"headers": (("X-Both-Long", "v" * 990),)},
        {"headers": (("X" * 127, "v"),)},
        {"headers": (("X Y", "v"),)},
        {"headers": (("X", "é"),)},
        {"headers": (("X", ""),)},
        {"values": ("v" * 262_144, "")},
        {"values": ("\\" * 131_073, "")},
    ],
)
def test_message_that_bulk_cannot_express_has_no_entry(changes: dict[str, Any]) -> None:
    assert WRITER.entry(composed(**changes)) is None


def test_message_without_a_composition_has_no_entry() -> None:
    assert WRITER.entry(a_message()._replace(composition=None)) is None


def test_layout_that_fills_the_call_leaves_no_room_for_an_entry() -> None:
    assert WRITER.entry(composed(layout=Layout(("s1", "s2"), "Hi", "x" * 999_000, None))) is None


@pytest.mark.parametrize(
    "value", ["plain", "\N{GRINNING FACE}" * 500, "é" * 900, '"\\' * 700, "\n\t" * 900, "v" * 9_000]
)
def test_size_is_never_less_than_the_bytes_of_the_call(value: str) -> None:
    entries = [an_entry(composed(number, values=(value, ""), headers=(("X-A", '"\\"'),))) for number in range(1, 21)]
    size = WRITER.layout_bytes(LAYOUT) + sum(entry.size_bytes for entry in entries)
    assert size >= len(json.dumps(WRITER.many(entries)))


@pytest.mark.parametrize(
    ("mailbox", "expected"),
    [
        (Mailbox("", "a@b.example"), "a@b.example"),
        (Mailbox("Ann", "a@b.example"), "Ann <a@b.example>"),
        (Mailbox('A "B" C, D', "a@b.example"), '"A \\"B\\" C, D" <a@b.example>'),
        (Mailbox("Jürgen", "a@b.example"), "=?utf-8?q?J=C3=BCrgen?= <a@b.example>"),
    ],
)
def test_mailbox_is_written_in_ascii(mailbox: Mailbox, expected: str) -> None:
    assert expected == address(mailbox)


def test_group_closes_when_it_is_full() -> None:
    grouping = Grouping(WRITER)
    closed = [grouping.add(an_entry(composed(number)), 0.0) for number in range(1, 102)]
    assert [MAX_ENTRIES, MAX_ENTRIES] == [len(group) for groups in closed for group in groups]
    assert 1 == len(grouping.drop())
    assert () == grouping.drop()


def test_group_is_no_larger_than_asked() -> None:
    grouping = Grouping(WRITER, 3)
    closed = [group for number in range(1, 8) for group in grouping.add(an_entry(composed(number)), 0.0)]
    assert [[1, 2, 3], [4, 5, 6]] == [[entry.message.id for entry in group] for group in closed]


def test_group_stays_within_a_megabyte() -> None:
    grouping = Grouping(WRITER)
    value = "v" * 100_000
    entries = [an_entry(composed(number, values=(value, ""))) for number in range(1, 24)]
    closed = [group for entry in entries for group in grouping.add(entry, 0.0)] + [grouping.drop()]
    assert entries == [entry for group in closed for entry in group]
    sizes = [len(json.dumps(WRITER.many(list(group)))) for group in closed]
    assert max(sizes) <= MAX_REQUEST
    assert [9, 9, 5] == [len(group) for group in closed]


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": Layout(LAYOUT.names, *LAYOUT[1:])},
        {"sender": SENDER._replace(display_name="Other")},
        {"reply_to": Mailbox("", "desk@example.org")},
    ],
)
def test_group_closes_when_the_next_has_another_layout_sender_or_reply_to(changes: dict[str, Any]) -> None:
    grouping = Grouping(WRITER)
    assert [] == grouping.add(an_entry(composed(1)), 0.0)
    (group,) = grouping.add(an_entry(composed(2, **changes)), 0.0)
    assert [1] == [entry.message.id for entry in group]
    assert [2] == [entry.message.id for entry in grouping.drop()]


def test_group_waits_a_little_from_its_first() -> None:
    grouping = Grouping(WRITER)
    assert grouping.linger_s(5.0) is None
    grouping.add(an_entry(composed(1)), 5.0)
    grouping.add(an_entry(composed(2)), 5.0 + LINGER_S / 2)
    assert [] == grouping.due(5.0 + LINGER_S / 2)
    assert pytest.approx(LINGER_S / 2) == grouping.linger_s(5.0 + LINGER_S / 2)
    assert 0.0 == grouping.linger_s(6.0)
    (group,) = grouping.due(6.0)
    assert [1, 2] == [entry.message.id for entry in group]
    assert [] == grouping.due(6.0)

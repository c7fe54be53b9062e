from __future__ import annotations

import pytest

from mailblast.errors import RowFaultError
from mailblast.message.builder import MessageBuilder
from mailblast.message.message_id import Identifiers, MessageName, names_in
from mailblast.model.campaign import Campaign, Mailbox, Template

TOKEN = "0123456789abcdef"


def test_identifier_is_found_again_in_a_built_message_id() -> None:
    campaign = Campaign("c", TOKEN, Template("t", "", "s", "text", None), Mailbox("", "news@example.com"))
    message_id = MessageBuilder(campaign).message_id("ada@example.com")
    assert (MessageName(TOKEN, Identifiers(TOKEN).of("ada@example.com")),) == names_in(message_id.encode())


def test_names_are_given_once_and_only_ours() -> None:
    text = b"<0123456789abcdef.fedcba9876543210@x.org> <a@b> <0123456789abcdef.fedcba9876543210@y.org> <0123.45@x>"
    assert (MessageName(TOKEN, "fedcba9876543210"),) == names_in(text)


def test_identifier_of_half_a_character_is_refused() -> None:
    with pytest.raises(RowFaultError, match="surrogate"):
        Identifiers(TOKEN).of("\ud800")

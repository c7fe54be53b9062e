from __future__ import annotations

import pytest

from mailblast.delivery.composer import Composer, ContentChangedError
from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.campaign import Campaign, Mailbox, Template
from mailblast.model.recipient import Claim, Recipient

TEMPLATE = Template("t.txt", "", "Hi {{ name }}", "Your plan: {{ plan }}\n", None)


def a_campaign(template: Template = TEMPLATE) -> Campaign:
    return Campaign("news", "t0ken", template, Mailbox("News", "news@example.com"))


def a_claim(digest: int | None = None, **columns: str) -> Claim:
    fields = {"email": "ann@example.com", **columns}
    return Claim(
        7, Recipient(2, "ann@example.com", "ann@example.com", {"name": "there", **fields}, fields), 1, 0, digest
    )


def test_claim_becomes_its_message() -> None:
    message = Composer(a_campaign()).compose(a_claim(name="Ann", plan="gold"))
    whole = b"".join(message.parts)
    assert (7, "news@example.com", "ann@example.com") == (message.id, message.sender, message.recipient)
    assert b"Subject: Hi Ann\r\n" in whole
    assert b"Your plan: gold\r\n" in whole
    assert message.message_id.encode() in whole


def test_same_claim_gives_the_same_bytes_from_another_composer() -> None:
    claim = a_claim(plan="gold")
    assert Composer(a_campaign()).compose(claim) == Composer(a_campaign()).compose(claim)


def test_missing_variable_is_a_fault_of_the_row() -> None:
    with pytest.raises(RowFaultError, match="plan"):
        Composer(a_campaign()).compose(a_claim())


def test_broken_template_stops_the_start() -> None:
    with pytest.raises(TemplateError):
        Composer(a_campaign(TEMPLATE._replace(text="{% if %}")))


def test_message_in_doubt_is_repeated_while_its_bytes_are_the_same() -> None:
    composer = Composer(a_campaign())
    first = composer.compose(a_claim(plan="gold"))
    assert first == composer.compose(a_claim(first.digest, plan="gold"))


@pytest.mark.parametrize("change", ["row", "template"])
def test_message_in_doubt_is_not_repeated_once_it_differs(change: str) -> None:
    first = Composer(a_campaign()).compose(a_claim(plan="gold"))
    template = TEMPLATE._replace(text="Plan: {{ plan }}\n") if change == "template" else TEMPLATE
    with pytest.raises(ContentChangedError):
        Composer(a_campaign(template)).compose(a_claim(first.digest, plan="gold" if change == "template" else "tin"))

from __future__ import annotations

import pytest

from mailblast.delivery.composer import Composer, ContentChangedError
from mailblast.errors import RowFaultError, TemplateError
from mailblast.model.campaign import Campaign, Keys, ListHeaders, Mailbox, Template
from mailblast.model.recipient import Claim, Recipient
from mailblast.model.secret import Secret

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
    whole = b"".join(part for part in message.parts if isinstance(part, bytes))
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


def test_unsubscribe_link_is_a_variable_and_the_same_as_in_the_header() -> None:
    html = "<p>{{ name }}</p><a href='{{ unsubscribe_url }}'>x</a>"
    template = TEMPLATE._replace(html=html, text="{{ unsubscribe_url }} {{ plan }}\n")
    links = ListHeaders("https://example.com/leave?t={{ token }}&e={{ email }}", list_id="news.example.com")
    campaign = a_campaign(template)._replace(list_headers=links)
    message = Composer(campaign, Keys(unsubscribe=Secret("a secret of its own")), composition=True).compose(
        a_claim(plan="gold", unsubscribe_url="https://evil.example/")
    )
    assert message.composition is not None
    headers = dict(message.composition.headers)
    url = headers["List-Unsubscribe"][1:-1]

    assert {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id"} == set(headers)
    assert url.startswith("https://example.com/leave?t=")
    assert f"{url} gold\n" == message.composition.content.text
    assert f"<a href='{url.replace('&', '&amp;')}'>" in str(message.composition.content.html)
    assert message.composition.layout is not None


def test_style_sheets_are_moved_into_tags_also_for_providers_that_write_the_message() -> None:
    html = "<html><head><style>p { top: 0 }</style></head><body><p>{{ plan }}</p></body></html>"
    campaign = a_campaign(TEMPLATE._replace(html=html))
    message = Composer(campaign, composition=True).compose(a_claim(plan="gold"))
    assert message.composition is not None
    layout = message.composition.layout
    assert layout is not None

    assert '<p style="top: 0;">gold</p>' in str(message.composition.content.html)
    assert '<p style="top: 0;">{{' in str(layout.html)


def test_each_message_is_inlined_where_the_template_cannot_be() -> None:
    html = "<html><head><style>p { top: 0 }</style></head><body><p>{{ plan | safe }}</p></body></html>"
    campaign = a_campaign(TEMPLATE._replace(html=html))
    message = Composer(campaign, composition=True).compose(a_claim(plan="<p>gold</p>"))
    assert message.composition is not None

    assert '<p style="top: 0' in str(message.composition.content.html)
    assert message.composition.layout is None
    assert message == Composer(campaign, composition=True).compose(a_claim(message.digest, plan="<p>gold</p>"))

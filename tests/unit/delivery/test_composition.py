from __future__ import annotations

import pytest

from mailblast.delivery.composer import Composer
from mailblast.delivery.composition import further_headers
from mailblast.model.campaign import Campaign, Keys, ListHeaders, Mailbox, Template
from mailblast.model.message import Attachment, Composition, Message
from mailblast.model.recipient import Claim, Recipient
from mailblast.model.secret import Secret

TEMPLATE = Template(
    "t.html", "", "Hi {{ name }}", "Plan: {{ plan }}\n", "<p>{{ plan }}</p>", (("X-Plan", "{{ plan }}"),)
)
CAMPAIGN = Campaign("news", "t0ken", TEMPLATE, Mailbox("News", "news@example.com"), Mailbox("", "desk@example.com"))


def a_claim(**columns: str) -> Claim:
    fields = {"email": "ann@example.org", **columns}
    return Claim(7, Recipient(2, "ann", "ann@example.org", {"name": "there", **fields}, fields), 1)


def composition_of(message: Message) -> Composition:
    assert message.composition is not None
    return message.composition


def filled(composition: Composition) -> tuple[str, ...]:
    layout = composition.layout
    assert layout is not None
    parts = []
    for part in (layout.subject, layout.text or "", layout.html or ""):
        text = part
        for name, value in zip(layout.names, composition.values, strict=True):
            text = text.replace(f"{{{{{name}}}}}", value)
        parts.append(text)
    return tuple(parts)


def test_message_carries_what_it_is_made_of_only_where_it_is_asked_for() -> None:
    claim = a_claim(name="Ann", plan="a < b")
    plain = Composer(CAMPAIGN).compose(claim)
    composed = Composer(CAMPAIGN, composition=True).compose(claim)
    assert plain.composition is None
    assert plain == composed._replace(composition=None)


def test_composition_says_all_that_the_message_says() -> None:
    composition = composition_of(Composer(CAMPAIGN, composition=True).compose(a_claim(name="Ann", plan="a < b")))
    assert (CAMPAIGN.sender, CAMPAIGN.reply_to, Mailbox("Ann", "ann@example.org")) == composition[:3]
    assert ("Hi Ann", "Plan: a < b\n", "<p>a &lt; b</p>") == composition.content[:3]
    assert ("Hi Ann", "Plan: a < b\n", "<p>a &lt; b</p>") == filled(composition)
    assert (("X-Plan", "a < b"),) == composition.headers


def test_layout_is_one_object_for_all_messages() -> None:
    composer = Composer(CAMPAIGN, composition=True)
    first, second = (composition_of(composer.compose(a_claim(plan=plan))) for plan in "ab")
    assert first.layout is second.layout
    assert first.values != second.values


def test_name_that_nobody_gave_is_no_display_name() -> None:
    composer = Composer(CAMPAIGN, composition=True)
    assert Mailbox("", "ann@example.org") == composition_of(composer.compose(a_claim(plan="x"))).recipient
    assert "there" == composition_of(composer.compose(a_claim(plan="x", name="there"))).recipient.display_name


def test_row_that_could_be_taken_for_a_slot_has_no_layout() -> None:
    composition = composition_of(Composer(CAMPAIGN, composition=True).compose(a_claim(plan="{{ x }}")))
    assert (None, ()) == (composition.layout, composition.values)
    assert "Plan: {{ x }}\n" == composition.content.text


def test_template_that_cannot_be_split_has_no_layout() -> None:
    campaign = CAMPAIGN._replace(template=TEMPLATE._replace(text="{% raw %}{{{% endraw %}{{ plan }}"))
    composition = composition_of(Composer(campaign, composition=True).compose(a_claim(plan="x")))
    assert composition.layout is None
    assert "{{x" == composition.content.text


def test_attachments_go_with_it() -> None:
    file = Attachment("a.txt", "text/plain", b"YQ==\r\n")
    campaign = CAMPAIGN._replace(attachments=(file,))
    assert (file,) == composition_of(Composer(campaign, composition=True).compose(a_claim(plan="x"))).attachments


def test_list_headers_go_with_it() -> None:
    list_headers = ListHeaders("https://example.com/u/{{ token }}", list_id="news.example.com")
    campaign = CAMPAIGN._replace(list_headers=list_headers)
    keys = Keys(unsubscribe=Secret("k" * 32))
    message = Composer(campaign, keys, composition=True).compose(a_claim(plan="x"))
    headers = dict(composition_of(message).headers)
    assert {"List-Unsubscribe", "List-Unsubscribe-Post", "List-Id", "X-Plan"} <= headers.keys()
    assert headers["List-Unsubscribe"].startswith("<https://example.com/u/")


ALL_OTHERS = b"""From: a
To: b
Cc: c
Subject: s
Date: d
Message-ID: m
MIME-Version: 1.0
Content-Type: text/plain
Reply-To: r
DKIM-Signature: v=1;
 a=b
"""
WORDS = b"X-Word: =?utf-8?q?J=C3=BCr?=\n =?utf-8?q?gen?=\n"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (ALL_OTHERS, (("Cc", "c"),)),
        (b"List-Id: <a.\n b>\nX-Empty: \n", (("List-Id", "<a. b>"), ("X-Empty", ""))),
        (WORDS, (("X-Word", "=?utf-8?q?J=C3=BCr?= =?utf-8?q?gen?="),)),
    ],
)
def test_further_headers_are_those_that_say_more_unfolded(head: bytes, expected: tuple[tuple[str, str], ...]) -> None:
    message = Message(1, "a", "b", "<m>", ((head + b"\nX-Body: no\n").replace(b"\n", b"\r\n"), b"rest"), 0)
    assert expected == further_headers(message)

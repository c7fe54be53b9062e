from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailblast.delivery import senders
from mailblast.delivery.composer import Composer
from mailblast.delivery.senders import is_signed_for
from mailblast.errors import RowFaultError
from mailblast.model.campaign import Campaign, Dkim, Keys, Mailbox, Template
from mailblast.model.recipient import Claim, Recipient
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from mailblast.model.message import Message

TEMPLATE = Template("t.txt", "", "Hello", "Hi {{ name }}\n", None)
CAMPAIGN = Campaign("news", "token", TEMPLATE, Mailbox("News", "news@example.com"), sender_column="from")


def a_claim(sender: object = None) -> Claim:
    fields = {"email": "ann@b.c"} if sender is None else {"email": "ann@b.c", "from": sender}
    return Claim(1, Recipient(1, "ann@b.c", "ann@b.c", {"name": "Ann"}, fields), 1_700_000_000)


def head_of(message: Message) -> str:
    (whole,) = message.parts
    assert isinstance(whole, bytes)
    return whole.partition(b"\r\n\r\n")[0].decode()


@pytest.mark.parametrize(
    ("cell", "sender", "line"),
    [
        (None, "news@example.com", "From: News <news@example.com>"),
        ("", "news@example.com", "From: News <news@example.com>"),
        ("  ", "news@example.com", "From: News <news@example.com>"),
        ("bills@example.org", "bills@example.org", "From: bills@example.org"),
        ("Bills & Co <bills@example.org>", "bills@example.org", "<bills@example.org>"),
    ],
)
@pytest.mark.parametrize("composition", [True, False])
def test_message_is_from_whom_the_row_says(cell: object, sender: str, line: str, *, composition: bool) -> None:
    composer = Composer(CAMPAIGN, composition=composition)
    for _ in range(2):
        message = composer.compose(a_claim(cell))
        assert sender == message.sender
        assert line in head_of(message)
        assert f"@{sender.rpartition('@')[2]}>" in message.message_id
        if composition:
            assert message.composition is not None
            assert sender == message.composition.sender.address


@pytest.mark.parametrize("cell", ["news", 5, ["a@b.c"], "a@b.c\nBcc: x@y.z"])
def test_sender_that_is_none_is_the_rows_fault(cell: object) -> None:
    with pytest.raises(RowFaultError) as caught:
        Composer(CAMPAIGN).compose(a_claim(cell))
    assert "from" == caught.value.column


def test_senders_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(senders, "MAX_SENDERS", 3)
    found = senders.Senders(CAMPAIGN, Keys(), composition=False)
    first = found.of(a_claim("s0@b.c"))
    for number in range(1, 3):
        found.of(a_claim(f"s{number}@b.c"))
    assert first is found.of(a_claim("s0@b.c"))
    second = found.of(a_claim("s1@b.c"))
    for number in range(3, 6):
        found.of(a_claim(f"s{number}@b.c"))
    assert second is not found.of(a_claim("s1@b.c"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("a@example.com", True),
        ("a@EXAMPLE.com", True),
        ("a@mail.example.com", True),
        ("a@badexample.com", False),
        ("a@example.org", False),
        ("a@com", False),
    ],
)
def test_is_signed_for_the_domain_and_those_below(address: str, expected: bool) -> None:  # noqa: FBT001 - a table
    assert expected is is_signed_for(address, "Example.com")


@pytest.fixture(scope="module")
def keys() -> Keys:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - takes its time
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - likewise
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Keys(dkim_rsa=Secret(pem.decode()))


@pytest.mark.parametrize(
    ("sender", "signed"), [("a@example.com", True), ("a@mail.example.com", True), ("a@b.c", False)]
)
def test_signature_only_where_it_speaks_for_the_sender(sender: str, keys: Keys, *, signed: bool) -> None:
    composer = Composer(CAMPAIGN._replace(dkim=Dkim("example.com", "mail")), keys)
    assert signed is ("DKIM-Signature:" in head_of(composer.compose(a_claim(sender))))

from __future__ import annotations

import subprocess
import sys

import pytest

from mailblast.errors import RowFaultError
from mailblast.model.campaign import Mailbox
from mailblast.recipients.address import dedupe_key, needs_smtputf8, parse_address, parse_mailbox

LONG_DOMAIN = ".".join(["d" * 61] * 3)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("a@b.co", "a@b.co"),
        ("  A.b+c@EXAMPLE.com\t", "A.b+c@example.com"),
        ("\u00a0a@b.co", "a@b.co"),
        ("o'brien!#$%&*/=?^_`{|}~-x@a-b.c-d.museum", "o'brien!#$%&*/=?^_`{|}~-x@a-b.c-d.museum"),
        ("a@b.test", "a@b.test"),
        ("a@mail.local", "a@mail.local"),
        ("a@1.2.x3", "a@1.2.x3"),
        ("x" * 64 + "@b.co", "x" * 64 + "@b.co"),
        (f"x@{'d' * 63}.co", f"x@{'d' * 63}.co"),
        (f"{'x' * 64}@{LONG_DOMAIN}.co", f"{'x' * 64}@{LONG_DOMAIN}.co"),
        ("a@münchen.de", "a@xn--mnchen-3ya.de"),
        ("a@MÜNCHEN.de", "a@xn--mnchen-3ya.de"),
        ("a@xn--mnchen-3ya.DE", "a@xn--mnchen-3ya.de"),
        ("a@例え.jp", "a@xn--r8jz45g.jp"),
        ("a@ex\u3002com", "a@ex.com"),
        ("jörg@example.com", "jörg@example.com"),
        ("jo\u0308rg@example.com", "jörg@example.com"),
        ("jörg@mail.local", "jörg@mail.local"),
    ],
)
def test_address_is_given_as_it_goes_on_the_wire(text: str, address: str) -> None:
    assert address == parse_address(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n ", "is empty"),
        ("bob", "has no '@'"),
        ("@b.co", "nothing before"),
        ("a@", "nothing after"),
        ("a@b@c.co", "more than one '@'"),
        ("a b@c.co", "white space"),
        ("a@b.co, d@e.co", "two addresses; one row, one recipient"),
        ("a@b.co;d@e.co", "two addresses; one row, one recipient"),
        ("a@b.co d@e.co", "two addresses; one row, one recipient"),
        ("a@b.co,", "a comma or semicolon"),
        ("a@b.co> NOTIFY=NEVER", "angle bracket"),
        ("<a@b.co>", "angle bracket"),
        ("a\r\nRCPT TO:<x@y.co>@b.co", "control character (U+000D)"),
        ("a\x00@b.co", "control character (U+0000)"),
        ("a\u200b@b.co", "invisible or control character (U+200B)"),
        ("a\u2028@b.co", "(U+2028)"),
        ("a\ud800@b.co", "(U+D800)"),
        ('"a b"@c.co', "quoted local part"),
        ("a@[192.0.2.1]", "address literal"),
        ("a@192.0.2.1", "IP address"),
        ("a@localhost", "without a dot"),
        ("a@b.c_d", "a domain that is not valid"),
        ("a@b.123", "a domain that is not valid"),
        ("a@-b.co", "a domain that is not valid"),
        ("a@b-.co", "a domain that is not valid"),
        ("a@b..co", "a domain that is not valid"),
        ("a@b.co.", "a domain that is not valid"),
        (f"a@{'d' * 64}.co", "a domain that is not valid"),
        ("a@exämple..de", "no valid international name"),
        ("a@xn--a.de", "no valid international name"),
        ("a..b@c.co", "a dot where none may be"),
        (".a@b.co", "a dot where none may be"),
        ("a.@b.co", "a dot where none may be"),
        ("a(b)@c.co", "a local part that is not valid"),
        ("x" * 65 + "@b.co", "more than 64 bytes before the '@'"),
        ("x" * 300 + "@b.co", "more than 64 bytes before the '@'"),
        ("ö" * 33 + "@b.co", "more than 64 bytes before the '@'"),
        (f"{'x' * 64}@{LONG_DOMAIN}.info", "longer than 254 bytes"),
        ("x" * 1_000_000, "has no '@'"),
        ("x" * 1_000_000 + "@b.co", "longer than 254 bytes"),
        ("a@" + "b." * 500_000 + "co", "longer than 254 bytes"),
    ],
)
def test_text_that_is_no_address_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(RowFaultError) as caught:
        parse_address(text)
    assert reason in caught.value.reason
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize(
    ("text", "mailbox"),
    [
        ("a@B.co", Mailbox("", "a@b.co")),
        ("<a@b.co>", Mailbox("", "a@b.co")),
        ("Bob  <a@b.co>", Mailbox("Bob", "a@b.co")),
        (' "Na, \\"me\\"" < a@b.co >', Mailbox('Na, "me"', "a@b.co")),
        ("Doe, Jane <a@b.co>", Mailbox("Doe, Jane", "a@b.co")),
        ("bob@x.org <bob@x.org>", Mailbox("bob@x.org", "bob@x.org")),
        ("Jo\u0308rg <a@münchen.de>", Mailbox("Jörg", "a@xn--mnchen-3ya.de")),
        ("Fam \U0001f468\u200d\U0001f469 <a@b.co>", Mailbox("Fam \U0001f468\u200d\U0001f469", "a@b.co")),
    ],
)
def test_mailbox_is_name_and_address(text: str, mailbox: Mailbox) -> None:
    assert mailbox == parse_mailbox(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Bob", "has no '@'"),
        ("Bob <bob>", "has no '@'"),
        ("x@y.co, Bob <a@b.co>", "two addresses"),
        ("A <a@b.co>, B <c@d.co>", "two addresses"),
        ("<a@b.co> NOTIFY=NEVER", "angle bracket"),
        ("B\nBcc: x <a@b.co>", "control character in the name"),
        ("B\u2029ob <a@b.co>", "control character in the name"),
        ("B" * 321 + " <a@b.co>", "a name of more than 320 characters"),
        ("B" * 100_000 + " <a@b.co>", "longer than 254 bytes"),
    ],
)
def test_text_that_is_no_mailbox_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(RowFaultError) as caught:
        parse_mailbox(text)
    assert reason in caught.value.reason


def test_dedupe_key_folds_the_domain_and_keeps_the_local_part() -> None:
    assert "A.b+c@example.com" == dedupe_key("A.b+c@EXAMPLE.Com")


def test_only_local_parts_beyond_ascii_need_smtputf8() -> None:
    assert not needs_smtputf8(parse_address("a@münchen.de"))
    assert needs_smtputf8(parse_address("jörg@example.com"))


def test_plain_addresses_import_no_validator() -> None:
    code = (
        "import sys; from mailblast.recipients.address import parse_address; parse_address('a@b.co');"
        "sys.exit(any(name in sys.modules for name in ('email_validator', 'idna', 'dns')))"
    )
    assert 0 == subprocess.run([sys.executable, "-c", code], check=False).returncode

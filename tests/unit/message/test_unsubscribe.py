from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode
from urllib.parse import unquote

import pytest

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.unsubscribe import TokenMaker, Unsubscribed, UnsubscribeLinks, UriTemplate, verify_token
from mailblast.model.recipient import Recipient
from mailblast.model.secret import Secret

SECRET = Secret("a secret of its own")
MAKER = TokenMaker(SECRET)
ADDRESSES = ["a@b.c", "ada@example.com", "zoë@example.com", "x" * 64 + "@" + "y" * 180 + ".com", "a\0b@example.com"]


def a_recipient(address: str = "ada@example.com", **variables: object) -> Recipient:
    return Recipient(1, address, address, {"email": address, "name": "Ada", **variables}, {})


def receiver(secret: bytes, token: str) -> tuple[str, str] | None:
    """Check a token as the documentation says, with nothing but HMAC-SHA256."""
    data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
    mac_key = hmac.digest(secret, b"mailblast unsubscribe tag", "sha256")
    pad_key = hmac.digest(secret, b"mailblast unsubscribe pad", "sha256")
    tag, sealed = data[:16], data[16:]
    pad = b"".join(hmac.digest(pad_key, tag + bytes([block]), "sha256") for block in range(len(sealed) // 32 + 1))
    text = bytes(a ^ b for a, b in zip(sealed, pad, strict=False))
    if hmac.digest(mac_key, text, "sha256")[:16] != tag:
        return None
    list_name, _, address = text.decode().partition("\0")
    return list_name, address


@pytest.mark.parametrize("address", ADDRESSES)
def test_token_names_list_and_address_to_who_has_the_secret(address: str) -> None:
    token = MAKER.token("news.example.com", address)

    assert re.fullmatch(r"[A-Za-z0-9_-]+", token)
    assert Unsubscribed("news.example.com", address) == verify_token(SECRET, token)
    assert ("news.example.com", address) == receiver(b"a secret of its own", token)
    assert token == TokenMaker(SECRET).token("news.example.com", address)


def test_token_tells_nobody_else_whom_it_names() -> None:
    tokens = {MAKER.token("l", "ada@example.com"), MAKER.token("m", "ada@example.com"), MAKER.token("l", "bob@b.com")}

    assert 3 == len(tokens)
    # Not even what two addresses have in common.
    assert 3 == len({token[-8:] for token in tokens})
    assert not any(b"example" in urlsafe_b64decode(token + "=" * (-len(token) % 4)) for token in tokens)


def test_token_that_was_changed_or_made_up_names_nobody() -> None:
    token = MAKER.token("news", "ada@example.com")
    for position in range(len(token)):
        for character in "AB":
            changed = token[:position] + character + token[position + 1 :]
            # The last character holds bits that are not used.
            assert changed == token or position == len(token) - 1 or MAKER.verify(changed) is None

    assert None is verify_token(Secret("another secret here"), token)
    assert [None] * 7 == [MAKER.verify(made) for made in ("", "A", "AAAA", "é", "a b", token + "=", "A" * 20_000)]


@pytest.mark.parametrize(
    ("secret", "words"), [(None, "is not set"), (Secret(""), "is not set"), (Secret("x" * 15), "is shorter than 16")]
)
def test_secret_that_is_missing_or_short_is_named(secret: Secret | None, words: str) -> None:
    with pytest.raises(UsageError, match=f"MAILBLAST_UNSUBSCRIBE_SECRET {words}"):
        TokenMaker(secret)


def test_address_with_half_a_character_is_a_fault_of_the_row() -> None:
    with pytest.raises(RowFaultError) as caught:
        MAKER.token("news", "\ud800@example.com")

    assert "email" == caught.value.column


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("https://example.com/u/{{ token }}", "https://example.com/u/T"),
        ("https://example.com/u/{{token}}?e={{ email }}", "https://example.com/u/T?e=ada%2Bx%40example.com"),
        ("https://example.com/{{ code }}/{{ number }}", "https://example.com/a%20%26%3Ca%3E%2F%C3%A9/7"),
        ("HTTPS://example.com:8443/u?t={{ token }}&x=%20", "HTTPS://example.com:8443/u?t=T&x=%20"),
        ("https://bücher.example/größe/{{ token }}", "https://xn--bcher-kva.example/gr%C3%B6%C3%9Fe/T"),
        ("https://bücher.example:444/{{ token }}é", "https://xn--bcher-kva.example:444/T%C3%A9"),
        ("https://[2001:db8::1]/{{ token }}", "https://[2001:db8::1]/T"),
    ],
)
def test_link_is_filled_with_values_that_are_percent_encoded(source: str, expected: str) -> None:
    variables = {"email": "ada+x@example.com", "code": "a &<a>/é", "number": 7}

    assert expected == UriTemplate(source).fill("T", variables)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("http://example.com/{{ token }}", "neither with https"),
        ("ftp://example.com/{{ token }}", "neither with https"),
        ("{{ token }}", "neither with https"),
        ("https://example.com/unsubscribe", "safe from guessing"),
        ("https://example.com/u?e={{ email }}&n={{ name }}", "safe from guessing"),
        ("https://example.com/{{ token | upper }}", "placeholder"),
        ("https://example.com/{{ token }}{{", "placeholder"),
        ("https://example.com/{% if x %}{{ token }}", "placeholder"),
        ("https://example.com/a b/{{ token }}", "character"),
        ("https://example.com/\n{{ token }}", "character"),
        ("https://example.com/>{{ token }}", "character"),
        ("https://example.com/u#{{ token }}", "character"),
        ("https://example.com\u2028/{{ token }}", "character"),
        ("https://{{ token }}.example.com/", "no host"),
        ("https://example.com{{ token }}", "no host"),
        ("https:///{{ token }}", "no host"),
        ("https://user@example.com/{{ token }}", "no host"),
        ("https://example.com:x/{{ token }}", "no host"),
        ("https://[example/{{ token }}", "no host"),
        ("https://a..bücher/{{ token }}", "no host name"),
    ],
)
def test_link_that_cannot_be_used_stops_the_start(source: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        UriTemplate(source)

    assert caught.value.fix


@pytest.mark.parametrize("value", ["", None, True, ["x"], {"a": 1}])
def test_row_without_a_value_of_the_link_is_a_fault(value: object) -> None:
    with pytest.raises(RowFaultError) as caught:
        UriTemplate("https://example.com/{{ code }}").fill("", {"code": value})

    assert "code" == caught.value.column


def test_link_that_is_too_long_or_holds_half_a_character_is_a_fault() -> None:
    template = UriTemplate("https://example.com/{{ code }}")

    assert 976 == len(template.fill("", {"code": "x" * 956}))
    with pytest.raises(RowFaultError, match="976"):
        template.fill("", {"code": "x" * 957})
    with pytest.raises(RowFaultError, match="half"):
        template.fill("", {"code": "\ud800"})


def test_links_of_a_recipient_are_made_of_one_token() -> None:
    links = UnsubscribeLinks("news", "https://example.com/{{ token }}", "leave+x@example.com", SECRET)
    url, mailto = links.of(a_recipient())
    token = url.rpartition("/")[2]

    assert links.is_one_click
    assert f"mailto:leave+x@example.com?subject={token}" == mailto
    assert Unsubscribed("news", "ada@example.com") == verify_token(SECRET, token)


def test_mailbox_alone_needs_no_secret_and_is_not_one_click() -> None:
    links = UnsubscribeLinks("news", "", 'le"ave@example.com', None)

    assert not links.is_one_click
    assert ("", "mailto:le%22ave@example.com?subject=unsubscribe") == links.of(a_recipient())
    assert 'mailto:le"ave@example.com?subject=unsubscribe' == unquote(links.of(a_recipient())[1])


def test_link_of_ones_own_tokens_needs_no_secret() -> None:
    links = UnsubscribeLinks("news", "https://example.com/{{ code }}", "", None)

    assert ("https://example.com/abc", "") == links.of(a_recipient(code="abc"))
    with pytest.raises(UsageError, match="MAILBLAST_UNSUBSCRIBE_SECRET"):
        UnsubscribeLinks("news", "https://example.com/{{ token }}", "", None)

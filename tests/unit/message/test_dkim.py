from __future__ import annotations

import email
import email.policy
import hashlib
import re
import sys
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from signing import a_signed_campaign, ed25519_key, keys, pem, rsa_key, verified

from mailblast.errors import RowFaultError, UsageError
from mailblast.message.builder import MessageBuilder
from mailblast.message.dkim import DkimSigner, _body_hash
from mailblast.model.campaign import Dkim, Keys, ListHeaders
from mailblast.model.message import Content
from mailblast.model.recipient import Claim, Recipient
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.model.message import Message

DATED_S = 1_751_367_157
NAMES = Dkim("example.com", "rsa")


def a_claim(address: str = "ada@example.com") -> Claim:
    variables = {"email": address, "name": "Ada"}
    return Claim(1, Recipient(1, address, address, variables, variables), DATED_S)


def build(content: Content, **changes: Any) -> Message:
    return MessageBuilder(a_signed_campaign(**changes), keys()).build(a_claim(), content)


def raw_of(message: Message) -> bytes:
    return b"".join(part for part in message.parts if isinstance(part, bytes))


def tags_of(raw: bytes) -> dict[str, str]:
    value = email.message_from_bytes(raw, policy=email.policy.compat32)["DKIM-Signature"]
    pairs = (tag.partition("=") for tag in re.sub(r"\s", "", value).split(";"))
    return {name: rest for name, _, rest in pairs}


class Streamed:
    """A part that is read when it is written out."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = chunks

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def chunks(self) -> Iterator[bytes]:
        yield from self._chunks


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("Hello\n", None),
        ("Hello\n\n\n\n", None),
        ("", None),
        ("\n\n", None),
        (".\n..\nFrom x\n  trailing \t \n", "<p>é</p>" * 300),
        ("é" * 2000, "<p>\n\n\n</p>\n\n"),
    ],
)
@pytest.mark.parametrize("ed25519", [False, True])
def test_signature_is_verified_by_dkimpy(text: str, html: str | None, *, ed25519: bool) -> None:
    message = build(Content("Größe, and a long subject that has to be folded " * 3, text, html), ed25519=ed25519)

    assert [True] * (1 + ed25519) == verified(raw_of(message))


def test_signature_covers_all_headers_and_closes_them() -> None:
    raw = raw_of(build(Content("s", "t\n", "<p>")))
    tags = tags_of(raw)
    signed = tags["h"].split(":")
    present = [name.lower() for name, _ in email.message_from_bytes(raw).items()][1:]

    assert raw.startswith(b"DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/simple; d=example.com;\r\n")
    assert {"1", "rsa-sha256", "relaxed/simple", "example.com", "rsa", str(DATED_S)} == {
        tags[name] for name in ("v", "a", "c", "d", "s", "t")
    }
    assert "l" not in tags
    assert dict.fromkeys(present, 2) == {name: signed.count(name) for name in present}
    assert {"list-unsubscribe", "list-unsubscribe-post", "list-id", "feedback-id", "auto-submitted"} <= set(signed)
    # Absent, and nobody can add them either.
    assert (1, 1) == (signed.count("reply-to"), signed.count("cc"))


@pytest.mark.parametrize("name", ["From", "Subject", "Reply-To", "Cc", "List-Unsubscribe", "Content-Type"])
def test_header_added_on_the_way_breaks_the_signature(name: str) -> None:
    raw = raw_of(build(Content("s", "t\n", None)))
    signature, rest = raw.split(b"From:", 1)

    assert [True] == verified(raw)
    assert [False] == verified(signature + f"{name}: evil@example.org\r\nFrom:".encode() + rest)


@pytest.mark.parametrize(("old", "new"), [(b"Hello", b"Hallo"), (b"ada@", b"eve@"), (b"\r\nHello", b"\r\nHello ")])
def test_change_on_the_way_breaks_the_signature(old: bytes, new: bytes) -> None:
    raw = raw_of(build(Content("s", "Hello\n", None)))

    assert [False] == verified(raw.replace(old, new))


def test_header_folded_anew_on_the_way_is_still_verified() -> None:
    raw = raw_of(build(Content("one two three", "Hello\n", None)))

    assert [True] == verified(raw.replace(b"Subject: one two", b"SUBJECT:   one\r\n\t two"))


def test_same_message_has_the_same_signature() -> None:
    content = Content("s", "t\n", "<p>")
    first = build(content, ed25519=True)

    assert first == build(content, ed25519=True)
    assert first.digest != build(Content("s", "u\n", "<p>"), ed25519=True).digest


def test_campaign_without_names_is_not_signed_and_loads_no_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mailblast.message.dkim", None)
    message = MessageBuilder(a_signed_campaign(dkim=None, list_headers=ListHeaders())).build(
        a_claim(), Content("s", "t\n", None)
    )

    assert message.parts[0].startswith(b"From:")  # type: ignore[union-attr]  # bytes


def test_streamed_parts_are_hashed_as_they_are_read() -> None:
    head = b"From: a@example.com\r\nSubject: s\r\n\r\n"
    parts = (head + b"first\r\n", Streamed(b"a" * 70_000 + b"\r\n", b"b\r\n"), b"\r\nlast\r\n\r\n\r\n")
    signature = DkimSigner(NAMES, keys()).sign(parts, 1)
    raw = head + b"first\r\n" + b"a" * 70_000 + b"\r\nb\r\n\r\nlast\r\n\r\n\r\n"

    assert [True] == verified(signature + raw)


@pytest.mark.parametrize(
    ("pieces", "canonical"),
    [
        ([], b"\r\n"),
        ([b""], b"\r\n"),
        ([b"\r\n\r\n"], b"\r\n"),
        ([b"a"], b"a\r\n"),
        ([b"a\r\n", b"\r\n", b"\r\n"], b"a\r\n"),
        ([b"a\r\n", b"\r\n", b"b\r", b"\n\r\n"], b"a\r\n\r\nb\r\n"),
        ([b"\r\na \r\n"], b"\r\na \r\n"),
    ],
)
def test_body_hash_reduces_empty_lines_at_the_end_to_one_line_end(pieces: list[bytes], canonical: bytes) -> None:
    assert hashlib.sha256(canonical).digest() == _body_hash(pieces)
    assert hashlib.sha256(canonical).digest() == _body_hash([memoryview(b"".join(pieces))])
    assert hashlib.sha256(canonical).digest() == _body_hash([bytes([byte]) for byte in b"".join(pieces)])


def test_body_hash_of_the_signature_is_the_body_s() -> None:
    raw = raw_of(build(Content("s", "Hello\n\n", None)))
    body = raw.partition(b"\r\n\r\n")[2]

    assert b64encode(hashlib.sha256(body.rstrip(b"\r\n") + b"\r\n").digest()).decode() == tags_of(raw)["bh"]
    assert 256 == len(b64decode(tags_of(raw)["b"]))


def test_lines_of_a_signature_are_short() -> None:
    raw = raw_of(build(Content("s", "t\n", None), ed25519=True))
    lines = raw.partition(b"From:")[0].split(b"\r\n")

    assert all(len(line) <= 78 for line in lines)
    assert all(line.startswith((b" ", b"DKIM-Signature: ")) for line in lines[:-1])


def test_file_that_is_gone_ends_the_row_alone() -> None:
    class Gone(Streamed):
        def chunks(self) -> Iterator[bytes]:
            raise FileNotFoundError(2, "No such file or directory")

    builder = MessageBuilder(a_signed_campaign(), keys())
    build_parts = builder._with_attachments
    builder._structure = object()  # type: ignore[assignment]  # only that there is one
    builder._with_attachments = lambda *_: ((b"From: x\r\n\r\n", Gone(b"x")), 0)  # type: ignore[method-assign]  # a file that goes away

    assert build_parts is not None
    with pytest.raises(RowFaultError, match="attachment cannot be read"):
        builder.build(a_claim(), Content("s", "t\n", None))


@pytest.mark.parametrize(
    ("dkim", "given", "words"),
    [
        (NAMES, None, "missing: MAILBLAST_DKIM_KEY"),
        (NAMES, "", "missing"),
        (NAMES, "no key", "no private key that can be read"),
        (NAMES, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key that can be read"),
        (NAMES, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "public"),
        (NAMES, pem(ed25519_key()), "no RSA key"),
        (NAMES, pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
        (NAMES, pem(rsa_key(), b"secret"), "encrypted"),
        (Dkim("no domain", "s"), pem(rsa_key()), "no DKIM domain"),
        (Dkim("bücher.example", "s"), pem(rsa_key()), "no DKIM domain"),
        (Dkim("example.com", "s;x"), pem(rsa_key()), "no DKIM selector"),
        (Dkim("example.com", "s", "s"), pem(rsa_key()), "Both DKIM keys"),
    ],
)
def test_key_or_name_that_cannot_be_used_stops_the_start(dkim: Dkim, given: str | None, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        DkimSigner(dkim, Keys(None if given is None else Secret(given)))

    assert caught.value.fix


@pytest.mark.parametrize(
    ("given", "words"), [(None, "missing: MAILBLAST_DKIM_ED25519_KEY"), (pem(rsa_key()), "no Ed25519 key")]
)
def test_second_key_that_cannot_be_used_stops_the_start(given: str | None, words: str) -> None:
    second = None if given is None else Secret(given)
    with pytest.raises(UsageError, match=words):
        DkimSigner(Dkim("example.com", "rsa", "ed"), keys()._replace(dkim_ed25519=second))


def test_short_key_is_warned_of_and_too_short_a_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = DkimSigner(NAMES, Keys(Secret(pem(rsa_key(1024)))))
    assert ("1024 bits",) == tuple(re.findall(r"\d+ bits", signer.warnings[0])[:1])
    assert () == DkimSigner(NAMES, keys()).warnings

    monkeypatch.setattr("mailblast.message.dkim_keys.SHORTEST_BITS", 1025)
    with pytest.raises(UsageError, match="1024 bits; receivers ignore"):
        DkimSigner(NAMES, Keys(Secret(pem(rsa_key(1024)))))

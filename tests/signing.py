"""Keys to sign with, and dkimpy as the judge of what was signed."""

from __future__ import annotations

import functools
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mailblast.model.campaign import Campaign, Dkim, Keys, ListHeaders, Mailbox, Template
from mailblast.model.secret import Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SECRET = Secret("a secret of its own")
URL = "https://example.com/leave/{{ token }}"
ALL_LIST_HEADERS = ListHeaders(URL, "leave@example.com", "news.example.com", "c:u:bulk:example", auto_submitted=True)
TEMPLATE = Template("t", "", "s", "a\n.b\nFrom x\n{{ a }}", "<p>\n.x {}\n")


def pem(key: PrivateKeyTypes, password: bytes = b"") -> str:
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if password:
        encryption = serialization.BestAvailableEncryption(password)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption).decode()


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@functools.cache
def ed25519_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


@functools.cache
def keys() -> Keys:
    return Keys(Secret(pem(rsa_key())), Secret(pem(ed25519_key())), SECRET)


@functools.cache
def dns_records() -> dict[bytes, bytes]:
    public = rsa_key().public_key()
    spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = ed25519_key().public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return {
        b"rsa._domainkey.example.com.": b"v=DKIM1; k=rsa; p=" + b64encode(spki),
        b"ed._domainkey.example.com.": b"v=DKIM1; k=ed25519; p=" + b64encode(raw),
    }


def a_signed_campaign(*, ed25519: bool = False, **changes: Any) -> Campaign:
    """A campaign that is signed and has all list headers."""
    dkim_names = Dkim("example.com", "rsa", "ed" if ed25519 else "")
    campaign = Campaign("news", "t0ken", TEMPLATE, Mailbox("Team, The", "team@example.com"))
    return campaign._replace(**{"dkim": dkim_names, "list_headers": ALL_LIST_HEADERS, **changes})


def verified(raw: bytes) -> list[bool]:
    """Return dkimpy's verdict on each signature."""
    judge = dkim.DKIM(raw)
    count = raw.partition(b"\r\n\r\n")[0].count(b"DKIM-Signature:")
    return [_verdict(judge, number) for number in range(count)]


def _verdict(judge: dkim.DKIM, number: int) -> bool:
    try:
        return bool(judge.verify(number, dnsfunc=_look_up))
    except dkim.ValidationError:  # the body has changed
        return False


def _look_up(name: bytes | str, timeout: float = 5) -> bytes | None:
    return dns_records().get(name if isinstance(name, bytes) else name.encode())

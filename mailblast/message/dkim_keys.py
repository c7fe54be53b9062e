"""Private keys for DKIM, read from PEM."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from mailblast.model.secret import Secret

#: RFC 8301 section 3.2: receivers take no shorter keys, and signers should use 2048 bits.
SHORTEST_BITS = 1024
ADVISED_BITS = 2048
_MAKE_RSA = "openssl genrsa -out dkim.pem 2048"
_MAKE_ED25519 = "openssl genpkey -algorithm ed25519 -out dkim-ed25519.pem"


def load_rsa(pem: Secret | None) -> tuple[Callable[[bytes], bytes], tuple[str, ...]]:
    """Return what signs as ``rsa-sha256`` does, and warnings about the key.

    Raises:
        UsageError: There is no key, it is none that can be read, no RSA key, or shorter than 1024 bits.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15  # noqa: PLC0415 - 13 ms, for signing only
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - likewise
    from cryptography.hazmat.primitives.hashes import SHA256  # noqa: PLC0415 - likewise

    key = _load(pem, "MAILBLAST_DKIM_KEY", _MAKE_RSA)
    if not isinstance(key, RSAPrivateKey):
        fix = f"Make one with: {_MAKE_RSA}. An Ed25519 key belongs in MAILBLAST_DKIM_ED25519_KEY, beside an RSA key."
        raise UsageError("The DKIM key is no RSA key, the only kind that all receivers verify.", fix=fix)
    bits = key.key_size
    if bits < SHORTEST_BITS:
        fix = f"Make one with: {_MAKE_RSA}"
        raise UsageError(
            f"The DKIM key has {bits} bits; receivers ignore keys below {SHORTEST_BITS} (RFC 8301).", fix=fix
        )
    warnings: tuple[str, ...] = ()
    if bits < ADVISED_BITS:
        warnings = (f"The DKIM key has {bits} bits; {ADVISED_BITS} are advised (RFC 8301). Make one with: {_MAKE_RSA}",)
    padding, algorithm = PKCS1v15(), SHA256()
    return lambda data: key.sign(data, padding, algorithm), warnings


def load_ed25519(pem: Secret | None) -> Callable[[bytes], bytes]:
    """Return what signs as ``ed25519-sha256`` does (RFC 8463): the hash of the data is signed.

    Raises:
        UsageError: There is no key, or it is no Ed25519 key that can be read.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - for signing only
        Ed25519PrivateKey,
    )

    key = _load(pem, "MAILBLAST_DKIM_ED25519_KEY", _MAKE_ED25519)
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError("MAILBLAST_DKIM_ED25519_KEY is no Ed25519 key.", fix=f"Make one with: {_MAKE_ED25519}")
    return lambda data: key.sign(sha256(data).digest())


def _load(pem: Secret | None, setting: str, command: str) -> PrivateKeyTypes:
    if not pem:
        raise UsageError(
            f"The key to sign with is missing: {setting}.", fix=f"Name its file there. Make it with: {command}"
        )
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - for signing only
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - likewise

    text = pem.reveal()
    if "PUBLIC KEY-----" in text or "CERTIFICATE-----" in text:
        fix = "Give the private key; the public one belongs into the DNS."
        raise UsageError(f"{setting} holds what is public, not the private key.", fix=fix)
    try:
        return load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        fix = "Take its password away and keep it private: openssl pkey -in old.pem -out dkim.pem; chmod 600 dkim.pem"
        raise UsageError(f"The key in {setting} is encrypted.", fix=fix) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        fix = f"It must be a private key in PEM, which begins with -----BEGIN. Make one with: {command}"
        raise UsageError(f"{setting} holds no private key that can be read.", fix=fix) from error

"""Unsubscribe links: a token that names list and recipient to nobody but who knows the secret.

A token is URL-safe base64, without padding, of a 16-byte tag and the sealed text::

    text   = list NUL address                              (UTF-8)
    tag    = HMAC-SHA256(mac key, text), its first 16 bytes
    sealed = text XOR (HMAC-SHA256(pad key, tag 0) HMAC-SHA256(pad key, tag 1) ...)

where ``mac key`` and ``pad key`` are HMAC-SHA256(secret, ``mailblast unsubscribe tag``) and (secret, ``mailblast
unsubscribe pad``), and the counter after the tag is one byte. The tag is both signature and synthetic initialisation
vector, as in RFC 5297: the same list and recipient always give the same token, which is what lets a message be repeated
byte for byte, and without the secret nobody can read, change or make one. Any language with HMAC can check it.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, urlsplit

from mailblast.errors import RowFaultError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.model.recipient import Recipient
    from mailblast.model.secret import Secret

#: Where the secret is set, and the least that it may hold.
SECRET_SETTING = "MAILBLAST_UNSUBSCRIBE_SECRET"  # noqa: S105 - a name
SHORTEST_SECRET = 16
#: Longer ones fit on no header line together with their name (RFC 5322 section 2.1.1).
LONGEST_URI = 976

_TAG_BYTES = 16
_PAD_BYTES = 32
_LONGEST_TEXT = 255 * _PAD_BYTES
_PLACEHOLDER = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_CONTROL_OR_BLANK = re.compile("[\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]")
# RFC 3986: what may stand in a URI, and the percent sign of what is escaped already.
_URI_CHARACTERS = "!$%&'()*+,/:;=?@[]~-._"


class Unsubscribed(NamedTuple):
    """What a token says."""

    #: List-Id where the campaign has one, else the campaign's name.
    list_name: str
    address: str


class TokenMaker:
    """Make and check the tokens of one secret; about 5 µs each.

    Args:
        secret: Of at least 16 characters.

    Raises:
        UsageError: It is missing or too short.
    """

    def __init__(self, secret: Secret | None) -> None:
        value = secret.reveal() if secret else ""
        if len(value) < SHORTEST_SECRET:
            what = f"is shorter than {SHORTEST_SECRET} characters" if value else "is not set"
            fix = "Set it to a secret of your own, such as what 'openssl rand -hex 32' prints, and keep it."
            raise UsageError(f"{SECRET_SETTING} {what}; unsubscribe links cannot be made without.", fix=fix)
        key = value.encode("utf-8", "surrogatepass")
        self._mac_key = hmac.digest(key, b"mailblast unsubscribe tag", "sha256")
        self._pad_key = hmac.digest(key, b"mailblast unsubscribe pad", "sha256")

    def token(self, list_name: str, address: str) -> str:
        """Return the token of a recipient on a list.

        Raises:
            RowFaultError: The address is no text that can be written.
        """
        try:
            text = f"{list_name}\0{address}".encode()
        except UnicodeEncodeError:
            raise RowFaultError("The address holds half a character (a lone surrogate).", column="email") from None
        tag = hmac.digest(self._mac_key, text, "sha256")[:_TAG_BYTES]
        return urlsafe_b64encode(tag + self._sealed(tag, text)).rstrip(b"=").decode()

    def verify(self, token: str) -> Unsubscribed | None:
        """Return whom a token names; None where it was not made with this secret."""
        if not _TOKEN.fullmatch(token) or len(token) > 2 * _LONGEST_TEXT:
            return None
        try:
            data = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except ValueError:
            return None
        tag = data[:_TAG_BYTES]
        text = self._sealed(tag, data[_TAG_BYTES:])
        if not hmac.compare_digest(tag, hmac.digest(self._mac_key, text, "sha256")[:_TAG_BYTES]):
            return None
        list_name, _, address = text.decode().partition("\0")
        return Unsubscribed(list_name, address)

    def _sealed(self, tag: bytes, text: bytes) -> bytes:
        """Return the text under its pad, or from under it."""
        blocks = -(-len(text) // _PAD_BYTES)
        pad = b"".join([hmac.digest(self._pad_key, tag + bytes([block]), "sha256") for block in range(blocks)])
        mixed = int.from_bytes(text, "big") ^ int.from_bytes(pad[: len(text)], "big")
        return mixed.to_bytes(len(text), "big")


def verify_token(secret: Secret, token: str) -> Unsubscribed | None:
    """Return list and address that a token names; None where it was not made with this secret.

    For the web page behind ``--unsubscribe``, which must act on POST alone: scanners follow links (RFC 8058).

    Raises:
        UsageError: The secret is missing or too short.
    """
    return TokenMaker(secret).verify(token)


class UriTemplate:
    """The link of ``--unsubscribe``, checked once, filled for each recipient.

    Each ``{{ name }}`` stands for a value, percent-encoded: ``token``, or a column of the list, for those whose own
    software gave each recipient a token.

    Args:
        source: ``https://…`` with at least one placeholder other than the address.

    Raises:
        UsageError: It is no such link, or would let anybody take anybody off the list.
    """

    def __init__(self, source: str) -> None:
        pieces = _PLACEHOLDER.split(source)
        fixed, self._names = pieces[::2], tuple(pieces[1::2])
        whole = "".join(fixed)
        _check(source, whole, fixed[0])
        if not set(self._names) - {"email", "name"}:
            fix = "Put {{ token }} into it: https://example.com/unsubscribe/{{ token }}"
            raise UsageError(f"--unsubscribe '{source}' does not say who unsubscribes, safe from guessing.", fix=fix)
        self._fixed = tuple(quote(piece, safe=_URI_CHARACTERS) for piece in (_with_a_labels(fixed[0]), *fixed[1:]))
        #: Whether the secret is needed.
        self.has_token = "token" in self._names

    def fill(self, token: str, variables: Mapping[str, object]) -> str:
        """Return the link of one recipient.

        Raises:
            RowFaultError: The row lacks a value, or the link would be too long for a header line.
        """
        pieces = [self._fixed[0]]
        for name, fixed in zip(self._names, self._fixed[1:], strict=True):
            pieces += (token if name == "token" else _quoted(name, variables), fixed)
        uri = "".join(pieces)
        if len(uri) > LONGEST_URI:
            raise RowFaultError(f"The unsubscribe link would have more than {LONGEST_URI} characters.")
        return uri


def _quoted(name: str, variables: Mapping[str, object]) -> str:
    value = variables.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or value == "":
        raise RowFaultError(f"The unsubscribe link needs '{name}', which this row lacks.", column=name)
    try:
        return quote(str(value), safe="")
    except UnicodeEncodeError:
        raise RowFaultError("The unsubscribe link would hold half a character.", column=name) from None


def _check(source: str, fixed: str, beginning: str) -> None:
    example = "https://example.com/unsubscribe/{{ token }}"
    if not fixed.lower().startswith("https://"):
        fix = f"One-click unsubscription takes https alone (RFC 8058): {example}"
        raise UsageError(f"--unsubscribe '{source}' begins neither with https:// nor with mailto:.", fix=fix)
    if "{{" in fixed or "}}" in fixed or "{%" in fixed:
        fix = f"Only plain names may stand in it: {example}"
        raise UsageError(f"--unsubscribe '{source}' holds a placeholder that cannot be filled.", fix=fix)
    # What stands after a '#' is never told to the server.
    if _CONTROL_OR_BLANK.search(fixed) or set('<>"\\^`{|}#') & set(fixed):
        fix = "Write blanks and other special characters percent-encoded, such as %20."
        raise UsageError(f"--unsubscribe '{source}' holds a character that this link may not hold.", fix=fix)
    try:
        parts = urlsplit(beginning)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        has_host = False
    # A host that a value completes would be somebody else's.
    if not has_host or parts.username is not None or not (parts.path or parts.query):
        raise UsageError(f"--unsubscribe '{source}' names no host, or no page on it.", fix=f"Write it like {example}")


def _with_a_labels(beginning: str) -> str:
    """Return the part before the first placeholder with its host as A-labels."""
    if beginning.isascii():
        return beginning
    import idna  # noqa: PLC0415 - 20 ms that hosts beyond ASCII alone need

    parts = urlsplit(beginning)
    host = parts.hostname or ""
    try:
        label = idna.encode(host, uts46=True).decode()
    except idna.IDNAError as error:
        raise UsageError(f"--unsubscribe: '{host}' is no host name.", fix="Check its spelling.") from error
    port = f":{parts.port}" if parts.port else ""
    return parts._replace(netloc=label + port).geturl()


class UnsubscribeLinks:
    """What one campaign's recipients unsubscribe by.

    Args:
        list_name: What tokens say beside the address.
        url: As in ``ListHeaders``; may be empty.
        mailto: Likewise.
        secret: For the tokens.

    Raises:
        UsageError: A link cannot be used, or the secret is needed and missing.
    """

    def __init__(self, list_name: str, url: str, mailto: str, secret: Secret | None) -> None:
        self._list_name = list_name
        self._url = UriTemplate(url) if url else None
        self._mailto = f"mailto:{quote(mailto, safe='@!$+-._~')}" if mailto else ""
        needed = self._url is not None and self._url.has_token
        # Without a secret a mail to unsubscribe is told by who wrote it.
        self._tokens = TokenMaker(secret) if secret or needed else None
        #: Whether there is a link that one click, a POST to it, unsubscribes by.
        self.is_one_click = self._url is not None

    def of(self, recipient: Recipient) -> tuple[str, str]:
        """Return one recipient's links, https and mailto; each may be empty.

        Raises:
            RowFaultError: A link cannot be filled from this row.
        """
        token = self._tokens.token(self._list_name, recipient.address) if self._tokens is not None else ""
        url = self._url.fill(token, recipient.variables) if self._url is not None else ""
        mailto = self._mailto and f"{self._mailto}?subject={token or 'unsubscribe'}"
        return url, mailto

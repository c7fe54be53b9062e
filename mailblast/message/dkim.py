"""Signatures that prove who sent a message and that nobody changed it: DKIM (RFC 6376), relaxed/simple.

The header is canonicalised as ``relaxed``, since servers on the way may fold it anew. The body is ``simple``: what is
written here is quoted-printable or base64 in short lines, which nobody has a reason to touch.
"""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

from mailblast.errors import UsageError
from mailblast.message.dkim_keys import load_ed25519, load_rsa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mailblast.model.campaign import Dkim, Keys
    from mailblast.model.message import StreamedPart

#: Signed, in this order, whether a message has them or not. Each is named once more than it occurs, so that none can
#: be added on the way (RFC 6376 section 8.15).
_ALWAYS = (
    b"from",
    b"to",
    b"cc",
    b"subject",
    b"date",
    b"message-id",
    b"reply-to",
    b"mime-version",
    b"content-type",
)
#: Signed, and likewise closed, where a message has them: lists and gateways may add them to one that has not.
_WHERE_PRESENT = (
    b"content-transfer-encoding",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
    b"list-id",
    b"feedback-id",
    b"auto-submitted",
)

_LONGEST_LINE = 76
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_DOMAIN = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-)\.)+(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_SELECTOR = re.compile(r"(?:(?!-)[A-Za-z0-9_-]{1,63}(?<!-))(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")


class _Signature(NamedTuple):
    """One of the signatures that a message gets."""

    algorithm: str
    selector: str
    #: From canonical header data to the signature's bytes.
    sign: Callable[[bytes], bytes]


class DkimSigner:
    """Sign the messages of one campaign; keys are read and checked once.

    Args:
        dkim: Domain and selectors.
        keys: The private keys.

    Raises:
        UsageError: A key is missing, cannot be read or is too weak, or a name is no domain or selector.
    """

    #: What should be done about the keys, though they can be used.
    warnings: tuple[str, ...]

    def __init__(self, dkim: Dkim, keys: Keys) -> None:
        self._domain = _checked(_DOMAIN, dkim.domain, "domain", "example.com").lower()
        selector = _checked(_SELECTOR, dkim.selector, "selector", "mail2026")
        rsa, self.warnings = load_rsa(keys.dkim_rsa)
        signatures = [_Signature("rsa-sha256", selector, rsa)]
        if dkim.ed25519_selector:
            second = _checked(_SELECTOR, dkim.ed25519_selector, "selector", "ed2026")
            if second == selector:
                fix = "Publish the Ed25519 key under a selector of its own."
                raise UsageError(f"Both DKIM keys have the selector '{selector}'.", fix=fix)
            # The first signature is the one that all receivers know.
            signatures.append(_Signature("ed25519-sha256", second, load_ed25519(keys.dkim_ed25519)))
        self._signatures = tuple(signatures)
        self._tags: dict[tuple[bytes, ...], bytes] = {}

    def sign(self, parts: Sequence[bytes | StreamedPart], dated_s: int) -> bytes:
        """Return the DKIM-Signature headers of a message, to stand before all others.

        The same message and date always give the same signatures.

        Args:
            parts: The whole message; its header and the empty line after it are in the first.
            dated_s: Unix seconds, for the ``t=`` tag.

        Raises:
            OSError: A file behind a part cannot be read.
        """
        first = parts[0]
        assert isinstance(first, bytes)
        end = first.index(b"\r\n\r\n") + 2
        header = first[:end]
        body_hash = b64encode(_body_hash(_pieces(memoryview(first)[end + 2 :], parts[1:])))
        names, lines = _signed(header)
        shared = b" h=%s;\r\n bh=%s;\r\n b=" % (self._named(names), body_hash)
        block = b"\r\n".join(lines)
        return b"".join(self._line(signature, shared, block, dated_s) for signature in self._signatures)

    def _line(self, signature: _Signature, shared: bytes, block: bytes, dated_s: int) -> bytes:
        algorithm, selector = signature.algorithm, signature.selector
        tags = f" v=1; a={algorithm}; c=relaxed/simple; d={self._domain};\r\n s={selector}; t={dated_s};\r\n"
        value = tags.encode() + shared
        canonical = b"%s\r\ndkim-signature:%s" % (block, _relaxed(value))
        signed = b64encode(signature.sign(canonical))
        room = _LONGEST_LINE - len(" b=")
        rest = [signed[start : start + _LONGEST_LINE - 1] for start in range(room, len(signed), _LONGEST_LINE - 1)]
        return b"DKIM-Signature:" + value + b"\r\n ".join([signed[:room], *rest]) + b"\r\n"

    def _named(self, names: tuple[bytes, ...]) -> bytes:
        """Return the value of ``h=``, folded; messages of a campaign differ little in it."""
        tag = self._tags.get(names)
        if tag is None:
            lines = [b""]
            for name in names:
                if len(lines[-1]) + len(name) > _LONGEST_LINE - len(" h=:;"):
                    lines.append(b"")
                lines[-1] += name + b":"
            tag = self._tags[names] = b"\r\n  ".join(lines).removesuffix(b":")
        return tag


def _checked(pattern: re.Pattern[str], text: str, what: str, example: str) -> str:
    if not pattern.fullmatch(text):
        raise UsageError(f"'{text}' is no DKIM {what}.", fix=f"Write it like {example}; other characters as A-labels.")
    return text


def _signed(header: bytes) -> tuple[tuple[bytes, ...], list[bytes]]:
    """Return the names for ``h=``, and the lines they stand for in canonical form (RFC 6376 section 3.4.2).

    Of a name that occurs more than once the last is taken first (section 5.4.2).
    """
    found: dict[bytes, list[bytes]] = {}
    for line in _BLANKS.sub(b" ", _FOLD.sub(b"", header)).split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        name = name.rstrip(b" ").lower()
        found.setdefault(name, []).append(b"%s:%s" % (name, value.strip(b" ")))
    names: list[bytes] = []
    lines: list[bytes] = []
    for name in (*_ALWAYS, *(name for name in _WHERE_PRESENT if name in found)):
        present = found.get(name, [])
        names += [name] * (len(present) + 1)
        lines += reversed(present)
    return tuple(names), lines


def _relaxed(value: bytes) -> bytes:
    return _BLANKS.sub(b" ", _FOLD.sub(b"", value)).strip(b" ")


def _pieces(first: memoryview[int], others: Iterable[bytes | StreamedPart]) -> Iterable[bytes | memoryview[int]]:
    yield first
    for part in others:
        if isinstance(part, bytes):
            yield part
        else:
            yield from part.chunks()


def _body_hash(pieces: Iterable[bytes | memoryview[int]]) -> bytes:
    """Return the hash of a body: as it is, with the empty lines at its end made one line end (section 3.4.3)."""
    digest = sha256()
    # Line ends that come before the body's end only if something else follows.
    held = b""
    for piece in pieces:
        view = memoryview(piece)
        end = len(view)
        while end and view[end - 1] in b"\r\n":
            end -= 1
        if end:
            digest.update(held)
            digest.update(view[:end])
            held = b""
        held += view[end:]
    digest.update(b"\r\n")
    return digest.digest()

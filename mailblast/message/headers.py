"""Header lines: folded, 7-bit, and never more lines than meant."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from mailblast.errors import RowFaultError
from mailblast.message.encoded_words import encode_words

if TYPE_CHECKING:
    from mailblast.model.campaign import Mailbox

#: RFC 5322 section 2.1.1, without CRLF: what a line should not, and must not, exceed.
PREFERRED_LINE = 78
LONGEST_LINE = 998
#: Longer values are a mistake in the list; Gmail refuses such headers (552 5.3.4).
LONGEST_VALUE = 16_000
#: RFC 5321 section 4.5.3.1.3 allows a path of 256 octets, with its angle brackets.
LONGEST_ADDRESS = 254

_NAME = re.compile(r"[A-Za-z0-9-]{1,76}")
_PRINTABLE = re.compile(r"[ -~]*")
# C0, DEL, C1, the two separators, and halves of characters.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_WORDS = re.compile(r"[ ]*[^ ]+")
# RFC 5322 section 3.2.3: a phrase of atoms needs no quotes.
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
# Name and address that stand in a header as they are, on one line; "=?" could begin an encoded word.
_PLAIN_MAILBOX = re.compile(
    r"(?!.*=\?)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r" <[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?>"
).fullmatch
_TO_ESCAPE = re.compile(r'(["\\])')
# Where an encoded word would begin: written as one, so that readers see these very characters.
_ENCODED_WORD = "=?"

# Local part as atoms (RFC 6532 lets them go beyond ASCII) or quoted; domain as A-labels or an address literal.
_ADDRESS = re.compile(
    r"""(?:[^\s\x00-\x20\x7f-\x9f\ud800-\udfff"(),:;<>@\[\\\]]+|"(?:[ !#-\[\]-~]|\\[ -~])*")@"""
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[A-Za-z0-9.:]+\])"
)

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def encode_unstructured(name: str, value: str) -> bytes:
    """Return a header with free text as its value, such as Subject, with its CRLF.

    ASCII stays as it is and is folded at blanks. Anything else becomes encoded words; so does text that looks like an
    encoded word, which is data and never decoded. The List- headers hold addresses that no reader decodes (RFC 2369):
    they are never encoded, List-Id apart.

    Raises:
        RowFaultError: The value holds a control character, or a word that does not fit on a line.
    """
    if (
        len(name) + len(value) + 2 <= PREFERRED_LINE
        and _PRINTABLE.fullmatch(value)
        and _ENCODED_WORD not in value
        and value == value.strip(" ")
        and _NAME.fullmatch(name)
    ):
        return f"{name}: {value}\r\n".encode()
    return _encode_unusual(name, value)


@lru_cache(maxsize=64)
def _encode_unusual(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise RowFaultError(f"'{name[:40]}' is no header name.")
    if _CONTROL.search(value):
        raise RowFaultError(f"{name} holds a line break or another control character; remove it from the list.")
    if len(value) > LONGEST_VALUE:
        raise RowFaultError(f"{name} is over {LONGEST_VALUE} characters long.")
    is_address_list = name.lower().startswith("list-") and name.lower() != "list-id"
    if is_address_list and not value.isascii():
        raise RowFaultError(f"{name} must be plain ASCII; write addresses percent-encoded.")
    if not is_address_list and (not value.isascii() or _ENCODED_WORD in value or value != value.strip(" ")):
        return f"{name}: ".encode() + encode_words(value, len(name) + 2) + b"\r\n"
    return _folded(name, value.strip(" "))


def _folded(name: str, value: str) -> bytes:
    lines: list[str] = []
    line = f"{name}:"
    for word in _WORDS.findall(f" {value}"):
        if len(line) + len(word) > PREFERRED_LINE and len(line) > len(name) + 1:
            lines.append(line)
            line = word
        else:
            line += word
        if len(line) > LONGEST_LINE:
            raise RowFaultError(f"{name} has a word of more than {LONGEST_LINE} characters with its line.")
    lines.append(line)
    return "\r\n".join([*lines, ""]).encode()


def encode_mailbox(name: str, mailbox: Mailbox) -> bytes:
    """Return a header with one mailbox as its value, such as From or To, with its CRLF.

    The address is written as it is, in UTF-8 where its local part needs SMTPUTF8; the display name is quoted or becomes
    encoded words.

    Raises:
        RowFaultError: The address is none that may be written, or the display name holds a control character.
    """
    display_name, address = mailbox
    line = f"{display_name} <{address}>"
    # Most are such, and take a third of the time.
    if len(line) + len(name) + 2 <= PREFERRED_LINE and _PLAIN_MAILBOX(line):
        return f"{name}: {line}\r\n".encode()
    check_address(address)
    if not display_name:
        return f"{name}: {address}\r\n".encode()
    phrase = _phrase(display_name, len(name) + 2)
    last_line = len(phrase) - (phrase.rfind(b"\r\n") + 2) if b"\r\n" in phrase else len(name) + 2 + len(phrase)
    written = f"<{address}>".encode()
    blank = b" " if last_line + 1 + len(written) <= PREFERRED_LINE else b"\r\n "
    return b"".join((name.encode(), b": ", phrase, blank, written, b"\r\n"))


def check_address(address: str) -> None:
    """Raise ``RowFaultError`` unless an addr-spec may stand in a header and an envelope as it is."""
    if not _ADDRESS.fullmatch(address) or len(address.encode()) > LONGEST_ADDRESS:
        raise RowFaultError("The address cannot be written into a message.", column="email")


def _phrase(display_name: str, used: int) -> bytes:
    if _CONTROL.search(display_name):
        raise RowFaultError(
            "The name holds a line break or another control character; remove it from the list.", column="name"
        )
    if len(display_name) > LONGEST_VALUE:
        raise RowFaultError(f"The name is over {LONGEST_VALUE} characters long.", column="name")
    if display_name.isascii() and _ENCODED_WORD not in display_name:
        is_plain = _PHRASE.fullmatch(display_name)
        phrase = display_name if is_plain else '"' + _TO_ESCAPE.sub(r"\\\1", display_name) + '"'
        # Readers differ on folded quoted strings; long names become encoded words, which fold anywhere.
        if used + len(phrase) <= PREFERRED_LINE:
            return phrase.encode()
    return encode_words(display_name, used)


@lru_cache(maxsize=16)
def format_date(seconds: int) -> str:
    """Return a date as RFC 5322 section 3.3 writes it, in UTC: ``Tue, 01 Jul 2025 10:52:37 +0000``."""
    when = time.gmtime(seconds)
    return (
        f"{_DAYS[when.tm_wday]}, {when.tm_mday:02d} {_MONTHS[when.tm_mon - 1]} {when.tm_year:04d} "
        f"{when.tm_hour:02d}:{when.tm_min:02d}:{when.tm_sec:02d} +0000"
    )

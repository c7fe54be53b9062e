"""One whole message: as it would leave, or as it was received."""

from __future__ import annotations

import re
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses
from typing import TYPE_CHECKING

from mailblast.checks.check import Check, Level

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

#: RFC 5322 section 2.1.1, without the line's end.
LONGEST_LINE = 998
#: Exactly one of each (RFC 5322 section 3.6); Gmail refuses mail that breaks this for From, To and Subject.
_ONCE = ("From", "Date", "Message-ID")
_AT_MOST_ONCE = ("To", "Cc", "Subject", "Reply-To", "Sender", "In-Reply-To", "References", "MIME-Version")
_UNSUBSCRIBE = ("list-unsubscribe", "list-unsubscribe-post")
_LISTED_URI = re.compile(r"<([^<>\s]+)>")
_METHODS = ("spf", "dkim", "dmarc")


def check_message(name: str, content: bytes) -> Iterator[Check]:
    """Yield findings about a message.

    A received one also tells what the receiving server found: its Authentication-Results are quoted.

    Args:
        name: Of the file.
        content: The whole message.
    """
    if not content.strip():
        yield Check("message.empty", Level.ERROR, name, "The file is empty.", "Give a whole message.")
        return
    yield from _form(name, content)
    message = BytesHeaderParser(policy=compat32).parsebytes(content)
    yield from _headers(name, message)
    yield from _unsubscribe(name, message)
    yield from _results(name, message)


def _form(name: str, content: bytes) -> Iterator[Check]:
    lines = content.split(b"\n")
    crlf = sum(line.endswith(b"\r") for line in lines)
    if crlf and crlf < len(lines) - 1:
        message = "Some lines end in CRLF and some in LF alone: servers may refuse it, and signatures break."
        yield Check("message.line_ends", Level.WARNING, name, message, "End all lines the same way.")
    if any(b"\r" in line.removesuffix(b"\r") for line in lines):
        message = "There is a CR in the middle of a line."
        yield Check("message.line_ends", Level.ERROR, name, message, "Remove it.")
    if b"\0" in content:
        yield Check("message.nul", Level.ERROR, name, "There is a NUL character.", "Remove it.")
    too_long = [number for number, line in enumerate(lines, 1) if len(line.rstrip(b"\r")) > LONGEST_LINE]
    if too_long:
        message = f"{len(too_long):,} lines are longer than {LONGEST_LINE} bytes, the first is line {too_long[0]:,}."
        fix = "Encode the part as quoted-printable or base64."
        yield Check("message.line_length", Level.ERROR, name, message, fix)


def _headers(name: str, message: Message) -> Iterator[Check]:
    for header in _ONCE:
        count = len(message.get_all(header) or ())
        if count != 1:
            what = f"There are {count} {header} headers" if count else f"There is no {header} header"
            yield Check("message.header", Level.ERROR, name, f"{what}.", "A message has exactly one.")
    for header in _AT_MOST_ONCE:
        count = len(message.get_all(header) or ())
        if count > 1:
            yield Check("message.header", Level.ERROR, name, f"There are {count} {header} headers.", "Keep one.")
    senders = getaddresses([str(value) for value in message.get_all("From") or ()])
    if len(senders) > 1:
        message_ = f"From names {len(senders)} addresses; Gmail refuses more than one."
        yield Check("message.from", Level.ERROR, name, message_, "Keep one.")


def _unsubscribe(name: str, message: Message) -> Iterator[Check]:
    value = str(message["List-Unsubscribe"] or "")
    if not value:
        text = "There is no List-Unsubscribe header; mailings of 5,000 a day and more need it."
        yield Check("message.unsubscribe", Level.WARNING, name, text, "Give bulk --unsubscribe https://….")
        return
    uris = _LISTED_URI.findall(value)
    if "=?" in value or not uris:
        text = "List-Unsubscribe is encoded or broken: mail programs show no button."
        yield Check("message.unsubscribe", Level.ERROR, name, text, "Write its addresses plainly, in angle brackets.")
        return
    one_click = str(message["List-Unsubscribe-Post"] or "").strip() == "List-Unsubscribe=One-Click"
    if not one_click or not any(uri.startswith("https://") for uri in uris):
        text = "Unsubscribing takes more than one click: it needs an https address and List-Unsubscribe-Post."
        yield Check("message.one_click", Level.WARNING, name, text, "Give bulk --unsubscribe https://….")
        return
    signatures = [_tags(str(each)) for each in message.get_all("DKIM-Signature") or ()]
    if not signatures:
        text = "The message is not signed (yet): one-click needs a DKIM signature over its two headers."
        yield Check("message.one_click", Level.INFO, name, text, "Check a received copy, if the relay signs.")
    elif not any(_signed(tags) >= set(_UNSUBSCRIBE) for tags in signatures):
        text = "No DKIM signature covers List-Unsubscribe and List-Unsubscribe-Post: Gmail shows no button."
        fix = "Have the relay sign both, or sign with --dkim."
        yield Check("message.one_click", Level.ERROR, name, text, fix)
    else:
        yield Check("message.one_click", Level.OK, name, "One-click unsubscribing is in place, and signed.")


def _results(name: str, message: Message) -> Iterator[Check]:
    """Yield what the server found that received the message (RFC 8601); only the topmost header is its own."""
    value = " ".join(str(message["Authentication-Results"] or "").split())
    if not value:
        return
    for method in _METHODS:
        found = re.search(rf"\b{method}=(\w+)", value)
        if found is None:
            continue
        result = found[1].lower()
        level = Level.OK if result == "pass" else Level.ERROR if result in {"fail", "permerror"} else Level.WARNING
        fix = "" if level is Level.OK else "Look at 'mailblast verify --domain'."
        yield Check(f"message.{method}", level, name, f"The receiving server says {method}={result}.", fix)


def _tags(signature: str) -> dict[str, str]:
    parts = (part.partition("=") for part in "".join(signature.split()).split(";"))
    return {tag: value for tag, equals, value in parts if equals}


def _signed(tags: dict[str, str]) -> set[str]:
    return set(tags.get("h", "").lower().split(":"))

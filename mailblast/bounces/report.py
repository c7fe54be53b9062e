"""Read one report: a delivery status notification (RFC 3464) or a complaint (RFC 5965)."""

from __future__ import annotations

import logging
import re
from email.errors import MessageError
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from mailblast.message.message_id import MessageName, names_in

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How much of a report is searched for a Message-ID of ours where it does not say which message it returns.
SEARCHED_BYTES = 262_144
MAX_TEXT = 500
_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_CODE = re.compile(r"\b([245]\d\d)\b")
_ORIGINAL_TYPES = frozenset({
    "message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers", "message/rfc822-headers",
})  # fmt: skip


class Kind(StrEnum):
    """What a report says of a recipient."""

    #: It will not be delivered.
    FAILED = "failed"
    #: It is still being tried.
    DELAYED = "delayed"
    #: It arrived, or was handed on to where no further reports come from.
    DELIVERED = "delivered"
    #: The recipient called it spam.
    COMPLAINT = "complaint"


_ACTIONS = {
    "failed": Kind.FAILED,
    "delayed": Kind.DELAYED,
    "delivered": Kind.DELIVERED,
    "relayed": Kind.DELIVERED,
    "expanded": Kind.DELIVERED,
}


class Reported(NamedTuple):
    """What one report says of one recipient."""

    kind: Kind
    #: As the reporting server knew it; empty where it is not told.
    address: str
    #: Reply code of the server that refused; 0 where none is quoted.
    code: int
    #: Enhanced status code (RFC 3463); empty where none is given.
    enhanced: str
    #: What the server said, one line.
    text: str


class Report(NamedTuple):
    """A report, and the messages it may be about."""

    recipients: tuple[Reported, ...]
    #: What it returns or quotes that may be ours; not looked up yet.
    names: tuple[MessageName, ...]


def read_report(content: bytes) -> Report | None:
    """Return what a message reports, None where it is no report.

    Args:
        content: A whole message; it may be hostile.
    """
    try:
        message = BytesParser(policy=compat32).parsebytes(content)
        parts = list(message.walk())
    except (MessageError, ValueError, LookupError, RecursionError):
        return None
    recipients = [reported for part in parts for reported in _recipients(part)]
    if not recipients:
        recipients = list(_by_library(message))
    if not recipients:
        return None
    originals = [part for part in parts if part.get_content_type() in _ORIGINAL_TYPES]
    names = tuple(name for part in originals for name in names_in(_original_id(part)))
    return Report(tuple(recipients), names or names_in(content[:SEARCHED_BYTES]))


def _recipients(part: Message) -> Iterator[Reported]:
    kind = part.get_content_type()
    if kind == "message/delivery-status":
        blocks = part.get_payload()
        # The first block is about the message, each further one about a recipient.
        for block in blocks if isinstance(blocks, list) else ():
            if isinstance(block, Message) and block["Action"]:
                yield _delivery(block)
    elif kind == "message/feedback-report":
        payload = part.get_payload()
        block = payload[0] if isinstance(payload, list) and payload else None
        if isinstance(block, Message):
            yield from _complaint(block)


def _delivery(block: Message) -> Reported:
    action = str(block["Action"]).strip().lower()
    status, diagnostic = str(block["Status"] or ""), _line(block["Diagnostic-Code"])
    text = diagnostic.partition(";")[2].strip() or diagnostic
    enhanced = _enhanced(status)
    quoted = _enhanced(text)
    # A status that ends in 0.0 says nothing; the refusing server's own words say more.
    if quoted and (not enhanced or enhanced.endswith(".0.0")):
        enhanced = quoted
    code = _CODE.search(text)
    address = _typed(block["Final-Recipient"]) or _typed(block["Original-Recipient"])
    return Reported(_ACTIONS.get(action, Kind.DELAYED), address, int(code[1]) if code else 0, enhanced, text or status)


def _complaint(block: Message) -> Iterator[Reported]:
    kind = str(block["Feedback-Type"] or "").strip().lower()
    # "not-spam" takes a complaint back; "auth-failure" and "virus" speak of other things.
    if kind not in {"abuse", "fraud", "opt-out", "other"}:
        return
    for address in block.get_all("Original-Rcpt-To") or [""]:
        yield Reported(Kind.COMPLAINT, _bare(str(address)), 0, "", f"complaint: {kind}")


def _by_library(message: Message) -> Iterator[Reported]:
    """Read what servers send that follow no standard, where the library for these is installed."""
    try:
        from flufl.bounce import all_failures  # noqa: PLC0415 - an extra, and 30 ms
    except ImportError:
        return
    # It logs a traceback where one of its readers stumbles; the others read on.
    logging.getLogger("flufl.bounce").disabled = True
    try:
        temporary, permanent = all_failures(message)
    except Exception:  # noqa: BLE001 - some of its fifty readers stumble over hostile text
        return
    for kind, addresses in ((Kind.FAILED, permanent), (Kind.DELAYED, temporary)):
        for address in addresses:
            plain = address.decode("ascii", "replace") if isinstance(address, bytes) else str(address)
            yield Reported(kind, plain, 0, "", "a report without a status")


def _original_id(part: Message) -> bytes:
    """Return the Message-ID of the message that a part holds, whole or only its header."""
    payload = part.get_payload()
    if isinstance(payload, list):
        inner = payload[0] if payload else None
    else:
        text = part.get_payload(decode=True)
        inner = BytesParser(policy=compat32).parsebytes(text, headersonly=True) if isinstance(text, bytes) else None
    return str(inner["Message-ID"] or "").encode("utf-8", "replace") if isinstance(inner, Message) else b""


def _enhanced(text: str) -> str:
    match = _ENHANCED.search(text)
    return match[0] if match else ""


def _typed(value: object) -> str:
    """Return the address of ``rfc822; a@b.c``."""
    return _bare(_line(value).rpartition(";")[2])


def _bare(address: str) -> str:
    return _line(address).removeprefix("<").removesuffix(">")


def _line(value: object) -> str:
    """Return a header's value as one printable line."""
    words = " ".join(str(value or "").split())
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in words)[
        :MAX_TEXT
    ]

"""What an answer of the API means: pure, nothing is sent here.

Source of the rules: Twilio's pages "Mail Send: errors", "Rate limits" and "Responses" of the v3 API.
"""

from __future__ import annotations

import json
import math
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.model.reply import Reply, Stage

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Longest text kept of an answer.
LONGEST_TEXT = 500
#: Longest wait that an answer may ask for, in seconds; a reset further away is a clock that is wrong.
LONGEST_WAIT_S = 86_400.0

OK, ACCEPTED = 200, 202
BAD_REQUEST, REQUEST_TIMEOUT, TOO_LARGE, TOO_MANY, SERVER_ERROR, UNAVAILABLE = 400, 408, 413, 429, 500, 503

#: What is the same in every request of a run: refused once, it is refused always.
COMMON_FIELDS = frozenset({
    "from", "send_at", "batch_id", "asm", "mail_settings", "tracking_settings", "template_id", "ip_pool_name",
    "categories",
})  # fmt: skip
REMEDIES = {
    401: "check SENDGRID_API_KEY",
    403: "the key may lack the right 'Mail Send', or the sender is not verified; see 'mailblast verify'",
    404: "check the option 'endpoint'",
    451: "this account is of another region: use sendgrid:// or sendgrid://eu",
}
NO_CREDITS = "credits exceeded"

_INDEX = re.compile(r"personalizations[.\[]([0-9]{1,6})\]?(?:\.(.*))?", re.DOTALL)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class Answer(NamedTuple):
    """An answer as it came."""

    status: int
    #: Names in lower case.
    headers: Mapping[str, str]
    body: bytes


class Verdict(Enum):
    """What became of the request as a whole."""

    TAKEN = "taken"
    #: Single entries are at fault; nobody was sent to.
    ENTRIES = "entries"
    #: Something is at fault, and nothing says which entry.
    UNNAMED = "unnamed"
    TOO_LARGE = "too large"
    TOO_FAST = "too fast"
    #: SendGrid cannot serve now and has not taken the request.
    UNAVAILABLE = "unavailable"
    #: The request was whole, and the answer does not tell what became of it.
    UNCLEAR = "unclear"
    #: The account, or what all requests have in common.
    ACCOUNT = "account"
    #: The account has used up what it may send.
    NO_CREDITS = "no credits"


class Fault(NamedTuple):
    """One of the errors that an answer names."""

    #: Position of the entry in the request; None where no entry is named.
    entry: int | None
    #: Path inside the entry, else of the request; empty where none is named.
    field: str
    message: str


class Reading(NamedTuple):
    """An answer, understood."""

    verdict: Verdict
    reply: Reply
    faults: tuple[Fault, ...] = ()
    #: SendGrid's name for the request.
    provider_id: str = ""
    #: Seconds after which another request is welcome; None where the answer names no time.
    retry_after_s: float | None = None


def read_answer(answer: Answer, *, now_s: float, entries: int) -> Reading:
    """Return what an answer to ``POST /v3/mail/send`` means.

    Args:
        answer: As it came.
        now_s: Unix seconds, for the waits that it names.
        entries: How many entries the request had.
    """
    document = _document(answer.body)
    faults = _faults(document)
    reply = Reply(answer.status, "", _text(answer, faults), Stage.REQUEST)
    verdict = _verdict(answer.status, faults, is_own=document is not None, entries=entries)
    return Reading(
        verdict, reply, faults, one_line(answer.headers.get("x-message-id", ""), 200), _wait_s(answer, now_s)
    )


def error_text(answer: Answer) -> str:
    """Return the errors of an answer as one line, whatever the call was."""
    return _text(answer, _faults(_document(answer.body)))


def one_line(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return foreign text without line breaks and other control characters, cut to a length."""
    return _CONTROLS.sub(" ", text).strip()[:longest]


def _verdict(status: int, faults: tuple[Fault, ...], *, is_own: bool, entries: int) -> Verdict:  # noqa: PLR0911 - a table
    if status in {OK, ACCEPTED}:
        return Verdict.TAKEN
    if status == BAD_REQUEST:
        return _bad_request(faults, entries)
    if status == TOO_LARGE:
        return Verdict.TOO_LARGE
    if status == TOO_MANY:
        return Verdict.TOO_FAST
    if status == REQUEST_TIMEOUT or (status == UNAVAILABLE and is_own):
        return Verdict.UNAVAILABLE
    if status >= SERVER_ERROR or status < 300:  # noqa: PLR2004 - success that the API does not know
        return Verdict.UNCLEAR
    if any(NO_CREDITS in fault.message.lower() for fault in faults):
        return Verdict.NO_CREDITS
    return Verdict.ACCOUNT


def _bad_request(faults: tuple[Fault, ...], entries: int) -> Verdict:
    if any(fault.entry is not None and fault.entry < entries for fault in faults):
        return Verdict.ENTRIES
    if any(fault.field.partition(".")[0] in COMMON_FIELDS for fault in faults):
        return Verdict.ACCOUNT
    return Verdict.UNNAMED


def _document(body: bytes) -> dict[str, Any] | None:
    """Return SendGrid's own error document; None for anything else, such as a gateway's page."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and isinstance(document.get("errors"), list) else None


def _faults(document: dict[str, Any] | None) -> tuple[Fault, ...]:
    found = []
    for error in document["errors"] if document else ():
        if not isinstance(error, dict):
            continue
        field, message = error.get("field"), error.get("message")
        path = field if isinstance(field, str) and field != "null" else ""
        match = _INDEX.match(path)
        index = int(match[1]) if match else None
        found.append(
            Fault(
                index,
                one_line((match[2] or "") if match else path, 100),
                one_line(message if isinstance(message, str) else "no reason given"),
            )
        )
    return tuple(found)


def _text(answer: Answer, faults: tuple[Fault, ...]) -> str:
    messages = dict.fromkeys(fault.message for fault in faults)
    text = one_line("; ".join(messages))
    if not text and answer.status >= 300:  # noqa: PLR2004 - no success
        text = one_line(answer.body[:LONGEST_TEXT].decode("utf-8", "replace")) or "no reason given"
    remedy = REMEDIES.get(answer.status)
    return f"{text} ({remedy})" if remedy else text or "Accepted"


def _wait_s(answer: Answer, now_s: float) -> float | None:
    """Return the wait that ``Retry-After`` or, of a limit that is used up, ``X-RateLimit-Reset`` names."""
    headers = answer.headers
    seconds = _number(headers.get("retry-after"))
    if seconds is None and (answer.status == TOO_MANY or headers.get("x-ratelimit-remaining", "").strip() == "0"):
        reset_s = _number(headers.get("x-ratelimit-reset"))
        seconds = None if reset_s is None else reset_s - now_s
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT_S)


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None

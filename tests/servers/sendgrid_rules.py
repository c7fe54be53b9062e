"""What SendGrid's v3 API refuses in a request of mails, with its words and fields, as far as its documents tell."""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

RESERVED = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
    "subject", "reply-to", "cc", "bcc",
}  # fmt: skip
ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
MAX_BYTES = 30_000_000
MAX_PERSONALIZATIONS = 1000
MAX_SUBSTITUTION_BYTES = 10_000
MAX_AHEAD_S = 72 * 3600


def specs_folder() -> Path | None:
    """Return where Twilio's OpenAPI files are; None where they are not on this machine."""
    named = os.environ.get("MAILBLAST_SENDGRID_SPECS")
    folder = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "specs" / "sendgrid"
    return folder if (folder / "tsg_mail_v3.json").is_file() else None


@lru_cache
def mail_validator(folder: Path) -> Any:
    """Return a validator of the body of ``POST /v3/mail/send`` after Twilio's OpenAPI file."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - only where the files are

    document = json.loads((folder / "tsg_mail_v3.json").read_text())
    schema = {
        "$ref": "#/components/requestBodies/PostMailSend/content/application~1json/schema",
        "components": document["components"],
    }
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def error(message: str, field: str | None = None) -> dict[str, Any]:
    """Return one entry of an error document."""
    return {"message": message, "field": field, "help": None}


def refusals(document: Any, *, now_s: float, batches: set[str]) -> list[dict[str, Any]]:
    """Return every reason to refuse a request; empty where it may be accepted."""
    if not isinstance(document, dict):
        return [error("Bad Request")]
    people = document.get("personalizations")
    if not isinstance(people, list) or not people:
        return [
            error(
                "The personalizations field is required and must have at least one personalization.", "personalizations"
            )
        ]
    if len(people) > MAX_PERSONALIZATIONS:
        return [error("No more than 1000 personalizations are allowed.", "personalizations")]
    found = _common(document, now_s=now_s, batches=batches)
    seen: dict[str, int] = {}
    for index, one in enumerate(people):
        found += _one(one, index, seen, has_subject=bool(document.get("subject")))
    return found


def _common(document: dict[str, Any], *, now_s: float, batches: set[str]) -> list[dict[str, Any]]:
    found = []
    sender = document.get("from")
    if not isinstance(sender, dict) or not ADDRESS.fullmatch(str(sender.get("email"))):
        found.append(error("The from email does not contain a valid address.", "from.email"))
    content = document.get("content")
    if not isinstance(content, list) or not content:
        found.append(error("Unless a valid template_id is provided, the content parameter is required.", "content"))
    else:
        kinds = [part.get("type") for part in content]
        if "text/plain" in kinds and kinds[0] != "text/plain":
            found.append(error("If present, text/plain must be first.", "content.0.type"))
        for place, part in enumerate(content):
            if not isinstance(part.get("value"), str) or not part["value"]:
                found.append(
                    error(
                        "The content value must be a string at least one character in length.", f"content.{place}.value"
                    )
                )
    found += _headers(document.get("headers", {}), "headers")
    send_at, batch_id = document.get("send_at"), document.get("batch_id")
    if send_at is not None and (
        not isinstance(send_at, int) or isinstance(send_at, bool) or send_at - now_s > MAX_AHEAD_S
    ):
        found.append(error("The send_at may not be more than 72 hours in the future.", "send_at"))
    if batch_id is not None and batch_id not in batches:
        found.append(error("The batch_id is not valid.", "batch_id"))
    if len(document.get("categories", [])) > 10 or len(set(document.get("categories", []))) != len(
        document.get("categories", [])
    ):
        found.append(error("At most 10 unique categories are allowed.", "categories"))
    sandbox = document.get("mail_settings", {}).get("sandbox_mode", {}).get("enable", False)
    if not isinstance(sandbox, bool):
        found.append(error("The enable parameter must be a boolean.", "mail_settings.sandbox_mode.enable"))
    return found


def _one(one: Any, index: int, seen: dict[str, int], *, has_subject: bool) -> list[dict[str, Any]]:
    at = f"personalizations.{index}"
    if not isinstance(one, dict) or not isinstance(one.get("to"), list) or not one["to"]:
        return [error("The to array is required for all personalization objects.", f"{at}.to")]
    found = []
    for place, mailbox in enumerate(one["to"]):
        address = mailbox.get("email")
        if not isinstance(address, str) or not ADDRESS.fullmatch(address):
            found.append(error("Does not contain a valid address.", f"{at}.to.{place}.email"))
        elif address.lower() in seen:
            # Names no index of its own: the field is that of the whole array.
            words = "Each email address in the personalization block should be unique between to, cc, and bcc. We found"
            where = f"the personalizations.{seen[address.lower()]}.to field."
            found.append(error(f"{words} the first duplicate instance of [{address}] in {where}", "personalizations"))
        else:
            seen[address.lower()] = index
    values = one.get("substitutions", {})
    if not isinstance(values, dict) or not all(isinstance(value, str) for value in values.values()):
        found.append(error("Substitutions must be strings.", f"{at}.substitutions"))
    elif sum(len(key.encode()) + len(value.encode()) for key, value in values.items()) > MAX_SUBSTITUTION_BYTES:
        found.append(error("The substitutions may not exceed 10000 bytes.", f"{at}.substitutions"))
    if len(json.dumps(one.get("custom_args", {}), ensure_ascii=False).encode()) > MAX_SUBSTITUTION_BYTES:
        found.append(error("The custom_args may not exceed 10000 bytes.", f"{at}.custom_args"))
    if not has_subject and not one.get("subject"):
        found.append(error("The subject is required.", f"{at}.subject"))
    return found + _headers(one.get("headers", {}), f"{at}.headers")


def _headers(headers: dict[str, Any], at: str) -> list[dict[str, Any]]:
    found = []
    for name, value in headers.items():
        if name.lower() in RESERVED:
            found.append(error(f"The header {name} is reserved.", f"{at}.{name}"))
        if not isinstance(value, str) or not value.isascii() or any(ord(character) < 32 for character in value):
            found.append(error("Header values must be strings of printable ASCII.", f"{at}.{name}"))
    return found


def substituted(document: dict[str, Any], one: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return subject and contents by type, as one recipient gets them."""
    subject = one.get("subject") or document.get("subject", "")
    contents = {part["type"]: part["value"] for part in document["content"]}
    for key, value in one.get("substitutions", {}).items():
        subject = subject.replace(key, value)
        contents = {kind: text.replace(key, value) for kind, text in contents.items()}
    return subject, contents

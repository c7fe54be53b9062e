"""Delivery reports and complaints as servers send them."""

from __future__ import annotations

from email.message import EmailMessage
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ADDRESS = "ada@example.com"
MESSAGE_ID = "<0123456789abcdef.fedcba9876543210@example.org>"


def a_report(report_type: str, kind: str, text: str, message_id: str, original: str) -> bytes:
    header = f"From: news@example.org\nMessage-ID: {message_id}\nSubject: Hello\n"
    returned = f"{header}\nbody\n" if original == "message/rfc822" else header
    parts = (("text/plain", "This is the mail system.\nI'm sorry.\n"), (kind, text), (original, returned))
    body = "".join(f"--=_b\nContent-Type: {each}\n\n{content}\n" for each, content in parts)
    return (
        "From: MAILER-DAEMON@mx.example.com\nSubject: Undelivered Mail Returned to Sender\nMIME-Version: 1.0\n"
        f'Content-Type: multipart/report; report-type={report_type}; boundary="=_b"\n\n{body}--=_b--\n'
    ).encode()


def a_bounce(
    message_id: str = MESSAGE_ID,
    fields: Mapping[str, str] | None = None,
    *,
    original: str = "text/rfc822-headers",
    **more: str,
) -> bytes:
    """Return a report in the form of RFC 3464; a field with an empty value is left out."""
    all_fields = {
        "Final-Recipient": f"rfc822; {ADDRESS}",
        "Action": "failed",
        "Status": "5.1.1",
        "Diagnostic-Code": "smtp; 550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown",
        **(fields or {}),
        **more,
    }
    lines = "".join(f"{name}: {value}\n" for name, value in all_fields.items() if value)
    text = f"Reporting-MTA: dns; mx.example.com\n\n{lines}"
    return a_report("delivery-status", "message/delivery-status", text, message_id, original)


def a_complaint(message_id: str = MESSAGE_ID, kind: str = "abuse", address: str = ADDRESS) -> bytes:
    """Return a report in the form of RFC 5965."""
    recipient = f"Original-Rcpt-To: <{address}>\n" if address else ""
    text = f"Feedback-Type: {kind}\nUser-Agent: loop/1.0\nVersion: 1\n{recipient}"
    return a_report("feedback-report", "message/feedback-report", text, message_id, "message/rfc822")


def an_answer() -> bytes:
    """Return a message that is no report."""
    message = EmailMessage()
    message["From"] = ADDRESS
    message["Subject"] = "Re: Hello"
    message["In-Reply-To"] = MESSAGE_ID
    message.set_content("Thank you! 550 5.1.1")
    return message.as_bytes()

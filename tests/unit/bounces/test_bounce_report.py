from __future__ import annotations

import pytest
from reports import ADDRESS, MESSAGE_ID, a_bounce, a_complaint, a_report, an_answer

from mailblast.bounces.report import Kind, Reported, read_report
from mailblast.bounces.verdict import Verdict, corrected_state, verdict_of
from mailblast.message.message_id import MessageName
from mailblast.model.outcome import State

OURS = (MessageName("0123456789abcdef", "fedcba9876543210"),)


def reported(content: bytes) -> Reported:
    report = read_report(content)
    assert report is not None
    (recipient,) = report.recipients
    return recipient


@pytest.mark.parametrize("original", ["text/rfc822-headers", "message/rfc822", "message/global-headers"])
def test_report_of_a_failure_names_recipient_reason_and_message(original: str) -> None:
    report = read_report(a_bounce(original=original))
    assert report is not None
    text = "550 5.1.1 <ada@example.com>: Recipient address rejected: User unknown"
    assert (Reported(Kind.FAILED, ADDRESS, 550, "5.1.1", text),) == report.recipients
    assert OURS == report.names


@pytest.mark.parametrize(
    ("fields", "verdict"),
    [
        ({}, Verdict.HARD),
        ({"Status": "5.0.0"}, Verdict.HARD),
        ({"Status": ""}, Verdict.HARD),
        ({"Status": "5.1.10", "Diagnostic-Code": ""}, Verdict.HARD),
        ({"Status": "5.2.1 (mailbox disabled)", "Diagnostic-Code": "smtp; 550 gone"}, Verdict.HARD),
        ({"Status": "5.2.2"}, Verdict.SOFT),
        ({"Status": "4.2.2"}, Verdict.SOFT),
        ({"Status": "5.7.1"}, Verdict.OTHER),
        ({"Status": "4.4.7", "Diagnostic-Code": ""}, Verdict.OTHER),
        ({"Status": "", "Diagnostic-Code": "smtp; 554 spam"}, Verdict.OTHER),
        ({"Action": "delayed", "Status": "4.4.1"}, Verdict.NONE),
        ({"Action": "relayed", "Status": "2.0.0"}, Verdict.NONE),
        ({"Action": "surprising"}, Verdict.NONE),
        ({"Action": "FAILED"}, Verdict.HARD),
    ],
)
def test_verdict_follows_action_and_status(fields: dict[str, str], verdict: Verdict) -> None:
    assert verdict is verdict_of(reported(a_bounce(fields=fields)))


def test_report_falls_back_to_the_original_recipient() -> None:
    fields = {"Final-Recipient": "", "Original-Recipient": "rfc822;<Bob@example.com>"}
    assert "Bob@example.com" == reported(a_bounce(fields=fields)).address


def test_report_of_several_recipients_gives_each() -> None:
    one = "Final-Recipient: rfc822; a@example.com\nAction: failed\nStatus: 5.1.1\n"
    two = "Final-Recipient: rfc822; b@example.com\nAction: delayed\nStatus: 4.4.1\n"
    text = f"Reporting-MTA: dns; mx\n\n{one}\n{two}"
    report = read_report(a_report("delivery-status", "message/delivery-status", text, MESSAGE_ID, "message/rfc822"))
    assert report is not None
    assert [("a@example.com", Kind.FAILED), ("b@example.com", Kind.DELAYED)] == [
        (each.address, each.kind) for each in report.recipients
    ]


@pytest.mark.parametrize("address", [ADDRESS, ""])
def test_complaint_is_known_by_its_message_also_without_a_recipient(address: str) -> None:
    report = read_report(a_complaint(address=address))
    assert report is not None
    assert (Reported(Kind.COMPLAINT, address, 0, "", "complaint: abuse"),) == report.recipients
    assert OURS == report.names
    assert Verdict.COMPLAINT is verdict_of(report.recipients[0])


@pytest.mark.parametrize("kind", ["not-spam", "auth-failure", "virus", ""])
def test_feedback_that_is_no_complaint_is_no_report(kind: str) -> None:
    assert read_report(a_complaint(kind=kind)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"\xff\xfe" * 100,
        an_answer(),
        b"Content-Type: multipart/report\n\n",
        b"Content-Type: message/rfc822\n\n",
    ],
)
def test_message_that_is_no_report_gives_none(content: bytes) -> None:
    assert read_report(content) is None


def test_report_that_returns_nothing_is_searched_for_our_message_id() -> None:
    content = a_bounce(message_id="<other@example.com>").replace(b"I'm sorry.", MESSAGE_ID.encode())
    report = read_report(content)
    assert report is not None
    assert OURS == report.names


def test_report_without_a_message_of_ours_names_none() -> None:
    report = read_report(a_bounce(message_id="<other@example.com>"))
    assert report is not None
    assert () == report.names


def test_report_text_is_one_printable_line_of_bounded_length() -> None:
    hostile = "smtp; 550 5.1.1 \x1b[31m" + "x" * 2_000
    text = reported(a_bounce(fields={"Diagnostic-Code": hostile})).text
    assert "\x1b" not in text
    assert 490 < len(text) <= 500


def test_report_of_a_server_without_standards_is_read_by_the_library() -> None:
    pytest.importorskip("flufl.bounce")
    content = (
        b"From: MAILER-DAEMON@example.com\nSubject: failure notice\n\n"
        b"Hi. This is the qmail-send program at example.com.\n"
        b"I'm afraid I wasn't able to deliver your message to the following addresses.\n"
        b"This is a permanent error; I've given up. Sorry it didn't work out.\n\n"
        b"<ada@example.com>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
        b"--- Below this line is a copy of the message.\n\n"
        b"Message-ID: " + MESSAGE_ID.encode() + b"\n"
    )
    report = read_report(content)
    assert report is not None
    assert [(Kind.FAILED, ADDRESS)] == [(each.kind, each.address) for each in report.recipients]
    assert OURS == report.names


def test_message_that_the_library_stumbles_over_is_no_report_and_leaves_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("flufl.bounce")
    assert read_report(b"\x00\xff\x93no header at all\n\n") is None
    assert [] == caplog.records


@pytest.mark.parametrize(
    ("state", "kind", "new"),
    [
        (State.ACCEPTED, Kind.FAILED, State.FAILED),
        (State.IN_DOUBT, Kind.FAILED, State.FAILED),
        (State.IN_DOUBT, Kind.DELAYED, State.ACCEPTED),
        (State.IN_DOUBT, Kind.COMPLAINT, State.ACCEPTED),
        (State.ACCEPTED, Kind.DELIVERED, None),
        (State.FAILED, Kind.FAILED, None),
        (State.UNSENT, Kind.DELIVERED, None),
        (State.SUPPRESSED, Kind.FAILED, None),
    ],
)
def test_state_is_corrected_where_it_was_accepted_or_in_doubt(state: State, kind: Kind, new: State | None) -> None:
    assert new is corrected_state(state, Reported(kind, "", 0, "", ""))

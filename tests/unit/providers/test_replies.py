from __future__ import annotations

import pytest

from mailblast.model.outcome import Disposition
from mailblast.model.reply import Reply, Scope, Stage
from mailblast.providers.smtp.classify import classify
from mailblast.providers.smtp.replies import accepted_reply, parse_reply, provider_id, said_reply

T, P = Disposition.TEMPORARY, Disposition.PERMANENT
RECIPIENT, MESSAGE, DOMAIN, ACCOUNT, CONNECTION = (
    Scope.RECIPIENT,
    Scope.MESSAGE,
    Scope.DOMAIN,
    Scope.ACCOUNT,
    Scope.CONNECTION,
)

# Stage, what the server says, how lasting, about whom. Texts as servers are known to send them.
REPLIES = [
    # The session.
    ("connect", "421 4.7.0 Too many connections from you", T, CONNECTION),
    ("connect", "421 mail.example.com Service not available, closing transmission channel", T, CONNECTION),
    ("connect", "450 4.7.0 Try later", T, CONNECTION),
    ("connect", "554 5.7.1 No SMTP service here", P, CONNECTION),
    ("ehlo", "421 4.3.2 System not accepting network messages", T, CONNECTION),
    ("mail", "421 4.4.2 example.com Error: timeout exceeded", T, CONNECTION),
    ("mail", "421 Max message per connection reached, closing transmission channel", T, CONNECTION),
    ("rcpt", "421 4.7.0 example.com Error: too many errors", T, CONNECTION),
    ("body", "421 4.3.0 Temporary System Problem. Try again later.", T, CONNECTION),
    ("mail", "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded", T, CONNECTION),
    ("mail", "451 4.7.0 Too many concurrent SMTP connections; please try again later.", T, CONNECTION),
    # The account.
    ("auth", "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6", P, ACCOUNT),
    ("auth", "535-5.7.8 Username and Password not accepted.\n535 5.7.8 gsmtp", P, ACCOUNT),
    ("auth", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.", P, ACCOUNT),
    ("auth", "534 5.7.9 Application-specific password required.", P, ACCOUNT),
    ("auth", "538 5.7.11 Encryption required for requested authentication mechanism", P, ACCOUNT),
    ("auth", "454 4.7.0 Temporary authentication failure: Connection lost", T, ACCOUNT),
    ("starttls", "454 4.7.0 TLS not available due to local problem", T, ACCOUNT),
    ("mail", "530 5.7.0 Must issue a STARTTLS command first", P, ACCOUNT),
    ("mail", "530 5.7.57 Client not authenticated to send mail.", P, ACCOUNT),
    ("mail", "550 5.7.30 Basic authentication is not supported for Client Submission.", P, ACCOUNT),
    ("rcpt", "550-5.4.5 Daily user sending limit exceeded. For more information on\n550 5.4.5 limits", T, ACCOUNT),
    ("body", "550 5.4.5 Daily sending quota exceeded.", T, ACCOUNT),
    ("mail", "550 5.7.1 Daily message quota exceeded", T, ACCOUNT),
    ("body", "554 5.2.0 STOREDRV.Submission.Exception; submission quota exceeded", T, ACCOUNT),
    ("body", "550 5.1.90 Your message can't be sent because you've reached your daily limit", T, ACCOUNT),
    ("rcpt", "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.", P, ACCOUNT),
    ("rcpt", "550 5.7.501 Service unavailable. Spam abuse detected from IP range.", P, ACCOUNT),
    ("body", "454 Throttling failure: Maximum sending rate exceeded.", T, ACCOUNT),
    ("body", "554 Message rejected: Email address is not verified.", P, ACCOUNT),
    ("mail", "550 Your account has been suspended", P, ACCOUNT),
    ("mail", "451 4.7.1 Hourly sending limit reached", T, ACCOUNT),
    ("data", "502 5.5.2 Error: command not recognized", P, ACCOUNT),
    ("mail", "503 5.5.1 EHLO first", P, ACCOUNT),
    # The sender's domain at a destination.
    ("body", "421-4.7.28 Our system has detected an unusual rate of unsolicited mail\n421 4.7.28 x", T, DOMAIN),
    ("mail", "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to user complaints", T, DOMAIN),
    ("mail", "553 5.7.1 [TS09] Connections will not be accepted because the IP is on a blocklist", P, DOMAIN),
    ("rcpt", "450 4.2.1 The user you are trying to contact is receiving mail too quickly.", T, DOMAIN),
    ("rcpt", "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", T, DOMAIN),
    ("rcpt", "451 4.7.650 The mail server has been temporarily rate limited due to IP reputation.", T, DOMAIN),
    ("body", "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\n550 5.7.26 x", P, DOMAIN),
    ("body", "550 5.7.515 Access denied, sending domain example.org doesn't meet the required level", P, DOMAIN),
    ("body", "550 5.7.27 SPF check did not pass", P, DOMAIN),
    ("body", "554 5.7.9 Message not accepted for policy reasons.", P, DOMAIN),
    ("rcpt", "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org", P, DOMAIN),
    ("rcpt", "550 5.7.606 Access denied, banned sending IP [192.0.2.1].", P, DOMAIN),
    ("rcpt", "450 4.7.25 Client host rejected: cannot find your hostname", T, DOMAIN),
    ("rcpt", "554 5.7.1 <x@example.com>: Relay access denied", P, DOMAIN),
    ("rcpt", "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain", P, DOMAIN),
    # The message.
    ("mail", "552 5.3.4 Message size exceeds fixed limit", P, MESSAGE),
    ("body", "552 5.3.4 Error: message file too big", P, MESSAGE),
    ("body", "552 5.2.3 Message exceeds maximum fixed size (10240000)", P, MESSAGE),
    ("body", "550 5.6.0 Lone CR or LF in body", P, MESSAGE),
    ("body", "554 5.6.7 SMTPUTF8 is required, but was not offered by host", P, MESSAGE),
    ("rcpt", "553 5.6.7 Address needs SMTPUTF8", P, MESSAGE),
    ("body", "554 5.7.1 Message rejected as spam by content filtering", P, MESSAGE),
    ("body", "550 5.7.1 Content rejected", P, MESSAGE),
    ("body", "451 4.7.1 Content filter asks to try again", T, MESSAGE),
    # The sender, and the server itself.
    ("mail", "553 5.1.8 <x@nowhere.invalid>: Sender address rejected: Domain not found", P, ACCOUNT),
    ("rcpt", "550 5.1.0 <x@example.org>: Sender address rejected: User unknown", P, ACCOUNT),
    ("mail", "553 5.7.1 <x@example.org>: Sender address rejected: not owned by user", P, ACCOUNT),
    ("body", "550 5.7.60 SMTP; Client does not have permissions to send as this sender", P, ACCOUNT),
    ("mail", "550 5.7.1 Not today", P, DOMAIN),
    ("mail", "452 4.3.1 Insufficient system storage", T, CONNECTION),
    ("mail", "452 Insufficient system storage", T, CONNECTION),
    ("mail", "451 4.3.0 Temporary lookup failure", T, CONNECTION),
    ("body", "451 4.3.0 Error: queue file write error", T, CONNECTION),
    ("rcpt", "451 4.3.0 <x@example.com>: Temporary lookup failure", T, RECIPIENT),
    ("body", "554 Transaction failed", P, MESSAGE),
    ("body", "550 5.7.520 Access denied", P, MESSAGE),
    # The recipient.
    ("rcpt", "550-5.1.1 The email account that you tried to reach does not exist.\n550 5.1.1 gsmtp", P, RECIPIENT),
    ("rcpt", "550 5.1.2 <x@nowhere.example>: Recipient address rejected: Domain not found", P, RECIPIENT),
    ("rcpt", "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found", P, RECIPIENT),
    ("rcpt", "550 5.2.1 The email account that you tried to reach is disabled.", P, RECIPIENT),
    ("rcpt", "550 No such user here", P, RECIPIENT),
    ("rcpt", "551 5.1.6 User has moved", P, RECIPIENT),
    ("rcpt", "553 5.1.3 Bad recipient address syntax", P, RECIPIENT),
    ("rcpt", "501 5.1.3 Bad recipient address syntax", P, RECIPIENT),
    ("rcpt", "501 Syntax error in parameters", P, RECIPIENT),
    ("rcpt", "450 4.7.1 <x@example.com>: Recipient address rejected: Greylisted, see later", T, RECIPIENT),
    ("rcpt", "451 4.7.1 Please try again later", T, RECIPIENT),
    ("rcpt", "450 4.1.1 <x@example.com>: unverified address", T, RECIPIENT),
    ("rcpt", "452 4.2.2 The email account that you tried to reach is over quota.", T, RECIPIENT),
    ("rcpt", "552 5.2.2 The email account that you tried to reach is over quota.", T, RECIPIENT),
    ("rcpt", "552 Requested mail action aborted: exceeded storage allocation", T, RECIPIENT),
    ("body", "552 5.2.2 Mailbox full", T, RECIPIENT),
    ("rcpt", "550 5.2.2 mailbox storage exhausted", T, RECIPIENT),
    ("rcpt", "554 mailbox is full", T, RECIPIENT),
    ("body", "550 5.1.1 User unknown in virtual mailbox table", P, RECIPIENT),
    # Neither.
    ("rcpt", "452 4.5.3 Error: too many recipients", T, CONNECTION),
    ("rcpt", "452 Too many recipients received this hour", T, CONNECTION),
    ("rcpt", "550 5.5.3 Too many recipients", T, CONNECTION),
]


@pytest.mark.parametrize(("stage", "said", "disposition", "scope"), REPLIES, ids=lambda value: str(value)[:40])
def test_classify_reply_gives_permanence_and_scope(
    stage: str, said: str, disposition: Disposition, scope: Scope
) -> None:
    reply = parse_reply(int(said[:3]), said.encode(), Stage(stage))
    assert (disposition, scope) == classify(reply)[:2]


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("code", [400, 450, 499, 500, 550, 599])
def test_classify_unknown_code_follows_its_first_digit(code: int, stage: Stage) -> None:
    disposition, _, _ = classify(Reply(code, "", "", stage))
    assert (T if code < 500 else P) is disposition


@pytest.mark.parametrize(
    ("said", "enhanced", "text"),
    [
        (b"550 5.1.1 No such user\r", "5.1.1", "No such user"),
        (b"550-5.1.1 No such\r\n550-5.1.1 user\r\n550 5.1.1 here\r", "5.1.1", "No such user here"),
        (b"550-first\r\n550 5.1.1 second\r", "5.1.1", "first second"),
        (b"550-5.1.1 one\n550 5.7.1 other", "5.1.1", "one 5.7.1 other"),
        (b"550", "", ""),
        (b"550 ", "", ""),
        (b"550 5.1.1", "5.1.1", ""),
        (b"550 5.1.1: colon", "5.1.1", "colon"),
        (b"550 5.1.1.2 is no status", "", "5.1.1.2 is no status"),
        (b"550 3.1.1 is none either", "", "3.1.1 is none either"),
        (b"550 5.1.1 a\x1b[31mred\x07\x00\xc2\x85", "5.1.1", "a [31mred"),
        (b"550 5.1.1 \xff broken", "5.1.1", "\ufffd broken"),
        ("550 5.1.1 größer".encode(), "5.1.1", "größer"),
    ],
)
def test_parse_reply_reads_status_and_one_line_of_text(said: bytes, enhanced: str, text: str) -> None:
    assert Reply(550, enhanced, text, Stage.RCPT) == parse_reply(550, said, Stage.RCPT)


def test_parse_reply_long_text_is_cut() -> None:
    reply = parse_reply(550, b"550 " + b"x" * 10_000, Stage.RCPT)
    assert 500 == len(reply.text)
    assert reply.text.endswith("…")


@pytest.mark.parametrize(
    "said",
    [
        b"250 2.0.0 Ok: queued as 4XbF1y0Zt3z1\r",
        b"250 2.6.0 <1@x> [InternalId=123, Hostname=y] Queued mail for delivery\r",
        b"250-2.0.0 Ok\n250 2.0.0 queued as 1",
        b"250 OK",
        b"250 2.0.0 \xff",
        b"250 2.0.0 a\x1bb",
        b"250 2.0.0 " + b"y" * 600,
    ],
)
def test_accepted_reply_equals_parsed_reply(said: bytes) -> None:
    assert parse_reply(250, said, Stage.BODY) == accepted_reply(250, said)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Ok: queued as 4XbF1y0Zt3z1", "4XbF1y0Zt3z1"),
        ("OK id=1rABCD-0003Xy-2B", "1rABCD-0003Xy-2B"),
        ("<1@x> [InternalId=9012345, Hostname=mx.example] 5 KB in 0.1 Queued mail for delivery", "9012345"),
        ("3ARFabcd012345 Message accepted for delivery", "3ARFabcd012345"),
        ("OK  1700000000 a1-20020a05600c.12 - gsmtp", "1700000000 a1-20020a05600c.12"),
        ("Ok 0102018c0123abcd-11112222-3333-4444-000000", "0102018c0123abcd-11112222-3333-4444-000000"),
        ("Ok", ""),
        ("", ""),
        ("Thank you for your custom", ""),
    ],
)
def test_provider_id_known_servers_gives_their_name(text: str, name: str) -> None:
    assert name == provider_id(text)


def test_said_reply_reads_text_without_codes() -> None:
    assert Reply(535, "5.7.8", "Wrong password", Stage.AUTH) == said_reply(
        535, "5.7.8 Wrong\n5.7.8 password", Stage.AUTH
    )

from __future__ import annotations

import pytest

from mailblast.checks.message_check import check_message

HEADERS = {
    "From": "news@example.com",
    "To": "ada@example.org",
    "Date": "Tue, 24 Nov 2026 10:00:00 +0000",
    "Message-ID": "<1@example.com>",
    "Subject": "Hello",
    "List-Unsubscribe": "<https://example.com/u/1>, <mailto:u@example.com>",
    "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    "DKIM-Signature": "v=1; a=rsa-sha256; d=example.com; h=from:to:\r\n List-Unsubscribe:List-Unsubscribe-Post; b=x",
}


def a_message(body: str = "Hi\r\n", **changes: str) -> bytes:
    headers = {**HEADERS, **{name.replace("_", "-"): value for name, value in changes.items()}}
    return ("".join(f"{name}: {value}\r\n" for name, value in headers.items() if value) + "\r\n" + body).encode()


def ids(content: bytes) -> list[tuple[str, str]]:
    return [(check.id, check.level.value) for check in check_message("a.eml", content)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (a_message(), [("message.one_click", "ok")]),
        (b" \r\n", [("message.empty", "error")]),
        (a_message(DKIM_Signature=""), [("message.one_click", "info")]),
        (a_message(DKIM_Signature="v=1; h=from:to; b=x"), [("message.one_click", "error")]),
        (a_message(List_Unsubscribe=""), [("message.unsubscribe", "warning")]),
        (a_message(List_Unsubscribe="=?utf-8?q?=3Chttps=3A//x=3E?="), [("message.unsubscribe", "error")]),
        (a_message(List_Unsubscribe="<mailto:u@example.com>"), [("message.one_click", "warning")]),
        (a_message(List_Unsubscribe_Post=""), [("message.one_click", "warning")]),
        (a_message(Date=""), [("message.header", "error"), ("message.one_click", "ok")]),
        (a_message(From="a@b.c, d@e.f"), [("message.from", "error"), ("message.one_click", "ok")]),
        (a_message(To="a@b.c\r\nTo: d@e.f"), [("message.header", "error"), ("message.one_click", "ok")]),
        (a_message("x" * 999 + "\r\n"), [("message.line_length", "error"), ("message.one_click", "ok")]),
        (a_message("x" * 998 + "\r\n"), [("message.one_click", "ok")]),
        (a_message("a\nb\r\n"), [("message.line_ends", "warning"), ("message.one_click", "ok")]),
        (a_message("a\rb\r\n"), [("message.line_ends", "error"), ("message.one_click", "ok")]),
        (a_message("a\0b\r\n"), [("message.nul", "error"), ("message.one_click", "ok")]),
    ],
)
def test_message_findings(content: bytes, expected: list[tuple[str, str]]) -> None:
    assert expected == ids(content)


def test_message_tells_what_the_receiving_server_found() -> None:
    results = "mx.google.com; dkim=pass header.i=@example.com; spf=softfail (x) smtp.mailfrom=a; dmarc=fail (p=NONE)"
    assert [
        ("message.one_click", "ok"),
        ("message.spf", "warning"),
        ("message.dkim", "ok"),
        ("message.dmarc", "error"),
    ] == ids(a_message(Authentication_Results=results))

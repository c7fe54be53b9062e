from __future__ import annotations

import json
from typing import Any

import pytest

from mailblast.providers.sendgrid.answers import Answer, Fault, Verdict, error_text, read_answer

NOW_S = 1_700_000_000.0


def errors(*pairs: tuple[object, object]) -> bytes:
    return json.dumps({"errors": [{"message": message, "field": field} for message, field in pairs]}).encode()


OWN = errors(("sorry", None))


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (202, b"", Verdict.TAKEN),
        (200, b"", Verdict.TAKEN),
        (204, b"", Verdict.UNCLEAR),
        (301, b"", Verdict.ACCOUNT),
        (400, b"", Verdict.UNNAMED),
        (400, b"<html>", Verdict.UNNAMED),
        (400, b"[]", Verdict.UNNAMED),
        (400, b'{"errors": "none"}', Verdict.UNNAMED),
        (400, b'{"errors": ["odd", 7]}', Verdict.UNNAMED),
        (400, b"[" * 100_000, Verdict.UNNAMED),
        (400, OWN, Verdict.UNNAMED),
        (400, errors(("x", "null")), Verdict.UNNAMED),
        (400, errors(("x", "personalizations")), Verdict.UNNAMED),
        (400, errors(("x", "content.0.value")), Verdict.UNNAMED),
        (400, errors(("x", "personalizations.2.to")), Verdict.ENTRIES),
        (400, errors(("x", "personalizations[2].to")), Verdict.ENTRIES),
        (400, errors(("x", "from.email"), ("y", "personalizations.0.to.0.email")), Verdict.ENTRIES),
        # Past the end: no entry of ours.
        (400, errors(("x", "personalizations.3.to")), Verdict.UNNAMED),
        (400, errors(("x", "from.email")), Verdict.ACCOUNT),
        (400, errors(("x", "send_at")), Verdict.ACCOUNT),
        (400, errors(("x", "batch_id")), Verdict.ACCOUNT),
        (401, OWN, Verdict.ACCOUNT),
        (401, errors(("Maximum credits exceeded", None)), Verdict.NO_CREDITS),
        (403, OWN, Verdict.ACCOUNT),
        (404, OWN, Verdict.ACCOUNT),
        (405, OWN, Verdict.ACCOUNT),
        (406, OWN, Verdict.ACCOUNT),
        (408, b"", Verdict.UNAVAILABLE),
        (413, b"", Verdict.TOO_LARGE),
        (415, b"", Verdict.ACCOUNT),
        (429, OWN, Verdict.TOO_FAST),
        (451, OWN, Verdict.ACCOUNT),
        (500, OWN, Verdict.UNCLEAR),
        (502, b"<html>Bad gateway", Verdict.UNCLEAR),
        (503, OWN, Verdict.UNAVAILABLE),
        (503, b"upstream connect error or disconnect/reset before headers", Verdict.UNCLEAR),
        (504, b"", Verdict.UNCLEAR),
    ],
)
def test_read_answer_verdict_by_status_and_body(status: int, body: bytes, verdict: Verdict) -> None:
    reading = read_answer(Answer(status, {}, body), now_s=NOW_S, entries=3)
    assert verdict is reading.verdict
    assert status == reading.reply.code
    assert reading.reply.text


def test_read_answer_faults_name_entry_field_and_reason() -> None:
    body = errors(
        ("no address", "personalizations.17.to.0.email"),
        ("too long", "personalizations.3"),
        ("odd", 5),
        (None, "subject"),
    )
    reading = read_answer(Answer(400, {}, body), now_s=NOW_S, entries=20)
    assert (
        Fault(17, "to.0.email", "no address"),
        Fault(3, "", "too long"),
        Fault(None, "", "odd"),
        Fault(None, "subject", "no reason given"),
    ) == reading.faults
    assert "no address; too long; odd; no reason given" == reading.reply.text


def test_read_answer_foreign_text_is_one_short_line() -> None:
    reading = read_answer(Answer(400, {}, errors(("a\r\nb\x00\x1b[31m" + "x" * 900, None))), now_s=NOW_S, entries=1)
    assert reading.reply.text.startswith("a b [31mxxx")
    assert 500 == len(reading.reply.text)
    assert reading.reply.text.isprintable()


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "SENDGRID_API_KEY"), (403, "Mail Send"), (404, "endpoint"), (451, "sendgrid://eu")]
)
def test_read_answer_refused_account_tells_what_to_do(status: int, remedy: str) -> None:
    text = read_answer(Answer(status, {}, OWN), now_s=NOW_S, entries=1).reply.text
    assert text.startswith("sorry (")
    assert remedy in text


def test_read_answer_page_of_a_gateway_is_quoted() -> None:
    assert "502 Bad\ufffd Gateway" == read_answer(
        Answer(502, {}, b"502 Bad\xff\nGateway"), now_s=NOW_S, entries=1
    ).reply.text.replace("  ", " ")


def test_read_answer_taken_has_the_requests_name() -> None:
    reading = read_answer(Answer(202, {"x-message-id": "abc\r\n"}, b""), now_s=NOW_S, entries=1)
    assert ("abc", "Accepted", None) == (reading.provider_id, reading.reply.text, reading.retry_after_s)


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {}, None),
        (429, {"x-ratelimit-reset": str(int(NOW_S) + 12)}, 12.0),
        (429, {"x-ratelimit-reset": str(int(NOW_S) - 12)}, 0.0),
        (429, {"x-ratelimit-reset": "soon"}, None),
        (429, {"x-ratelimit-reset": "nan"}, None),
        (429, {"x-ratelimit-reset": "9e15"}, 86_400.0),
        (429, {"retry-after": "3", "x-ratelimit-reset": str(int(NOW_S) + 12)}, 3.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (503, {"retry-after": "30"}, 30.0),
        (202, {"x-ratelimit-reset": str(int(NOW_S) + 12)}, None),
        (202, {"x-ratelimit-remaining": "5", "x-ratelimit-reset": str(int(NOW_S) + 12)}, None),
        (202, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(NOW_S) + 12)}, 12.0),
    ],
)
def test_read_answer_wait_comes_from_its_headers(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert seconds == read_answer(Answer(status, headers, OWN), now_s=NOW_S, entries=1).retry_after_s


@pytest.mark.parametrize(
    ("body", "text"),
    [(OWN, "sorry"), (b"", "no reason given"), (errors(("a", None), ("a", None), ("b", None)), "a; b")],
)
def test_error_text_joins_the_reasons(body: bytes, text: Any) -> None:
    assert text == error_text(Answer(400, {}, body))

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.model.reply import Reply, Stage
from mailblast.providers.smtp.retry_after import retry_after_s


def refusal(text: str, code: int = 451) -> Reply:
    return Reply(code, "4.7.1", text, Stage.RCPT)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 300 seconds", 300.0),
        ("Please try again in 5 minutes", 300.0),
        ("<x@example.com>: Recipient address rejected: Greylisted for 60 seconds (see http://isg.ee.ethz.ch/)", 60.0),
        ("Sender address rejected: Greylisted for 42 sec.", 42.0),
        ("Greylisting in action, please come back in 00:04:59", 299.0),
        ("Greylisted, retry after 1 hour", 3600.0),
        ("Graylisted - wait at least 10 minutes", 600.0),
        ("Try again later in 2 hrs", 7200.0),
        ("Too many recipients, retry in 30s", 30.0),
        ("message deferred for 15min", 900.0),
        ("TRY AGAIN IN 90 SECONDS", 90.0),
        ("please wait another 20 secs before sending more", 20.0),
        ("resend this message after 10 mins", 600.0),
        # Bounded.
        ("try again in 0 seconds", 1.0),
        ("try again in 9999999 hours", 86400.0),
        ("come back in 99:59:59", 86400.0),
    ],
)
def test_retry_after_text_that_names_a_time_gives_seconds(text: str, seconds: float) -> None:
    assert seconds == retry_after_s(refusal(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Please try again later",
        "retry timeout exceeded",
        "Error: timeout exceeded after 300 seconds",
        "Too many messages: 100 in 60 seconds",
        "Greylisted, see http://postgrey.schweikert.ch/help/example.com.html",
        "Greylisted; policy 5 minutes",
        "try again after Mon, 25 Aug 2025 07:00:31 UTC",
        "try again in some minutes",
        "retry in 5 Mississippis",
        "try again in 12345678 seconds",
        "try again in 5 m-units",
        "You have exceeded 50 messages per 1 hour",
    ],
)
def test_retry_after_text_that_names_none_is_none(text: str) -> None:
    assert retry_after_s(refusal(text)) is None


@pytest.mark.parametrize("code", [0, 250, 354, 500, 550])
def test_retry_after_only_temporary_refusals_count(code: int) -> None:
    assert retry_after_s(refusal("try again in 300 seconds", code)) is None


@given(st.text(max_size=500), st.integers(0, 9_999_999), st.sampled_from(["s", "seconds", "minutes", "h", "hours"]))
def test_retry_after_is_always_within_its_bounds(around: str, number: int, unit: str) -> None:
    for text in (around, f"{around} try again in {number} {unit} {around}"):
        seconds = retry_after_s(refusal(text))
        assert seconds is None or 1.0 <= seconds <= 86_400.0

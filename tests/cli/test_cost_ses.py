"""Asking Amazon SES for the account's plan: boto3 itself against a server on loopback that speaks its wire format."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from words import json_of

from mailblast.cli import cost_ses
from mailblast.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Iterator


class Account(BaseHTTPRequestHandler):
    """Answers ``GET /v2/email/account`` with what the server holds."""

    def do_GET(self) -> None:
        status, error, document = self.server.answer  # type: ignore[attr-defined]  # set by the fixture
        self.server.asked.append(self.path)  # type: ignore[attr-defined]  # likewise
        body = json.dumps(document).encode()
        self.send_response(status)
        if error:
            self.send_header("x-amzn-ErrorType", error)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Say nothing."""


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    server: Any = HTTPServer(("127.0.0.1", 0), Account)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL_SESV2": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "none",
        "AWS_SHARED_CREDENTIALS_FILE": "none",
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


WORDS = ["analyze-cost", "--volume", "10k", "--approach", "ses", "--ask-ses", "--json"]


@pytest.mark.parametrize(
    ("pricing", "plan", "monthly"),
    [
        ({"PricingAttributes": {"CurrentPlan": "ESSENTIALS"}}, "Essentials", 1.60),
        ({"PricingAttributes": {"CurrentPlan": "PRO", "NextPlan": "NONE"}}, "Pro", 107.20),
        ({"PricingAttributes": {"CurrentPlan": "NONE"}}, "à la carte", 1.00),
        ({}, "à la carte", 1.00),
    ],
)
def test_ask_ses_prices_by_the_plan_of_the_account(
    pricing: dict[str, Any], plan: str, monthly: float, account: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    account.answer = (200, "", {"SendingEnabled": True, **pricing})
    assert run(WORDS) == 0
    (ses,) = json_of(capsys)["approaches"]
    assert (plan, monthly) == (ses["plan"], ses["monthly"])
    assert ["/v2/email/account"] == account.asked


@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (403, "AccessDeniedException", "Amazon SES refused to tell the plan: AccessDeniedException."),
        (429, "TooManyRequestsException", "Amazon SES refused to tell the plan: TooManyRequestsException."),
    ],
)
def test_ask_ses_that_is_refused_is_code_four_after_one_call(
    status: int, error: str, told: str, account: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    account.answer = (status, error, {"message": "no"})
    assert run(WORDS) == 4
    assert told in capsys.readouterr().err
    assert len(account.asked) == 1


def test_ask_ses_without_an_answer_is_code_four(
    account: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SESV2", "http://127.0.0.1:1")
    assert run(WORDS) == 4
    assert "Amazon SES gave no answer: Could not connect" in capsys.readouterr().err


def test_ask_ses_without_region_or_keys_says_what_is_missing(
    account: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert run(WORDS) == 4
    assert "no keys" in capsys.readouterr().err
    monkeypatch.delenv("AWS_REGION")
    assert run(WORDS) == 2
    assert "Set AWS_REGION." in capsys.readouterr().err
    assert account.asked == []


def test_nobody_is_asked_unless_the_user_says_so(account: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([word for word in WORDS if word != "--ask-ses"]) == 0
    assert account.asked == []
    assert cost_ses.CONNECT_TIMEOUT_S + cost_ses.READ_TIMEOUT_S < 10


def test_ask_ses_counts_time_by_the_rate_of_the_account(account: Any, capsys: pytest.CaptureFixture[str]) -> None:
    account.answer = (200, "", {"SendQuota": {"MaxSendRate": 50.0, "Max24HourSend": 50_000.0}})
    assert run(["recommend", "--volume", "5k", "--ask-ses", "--json"]) == 0
    captured = capsys.readouterr()
    assert "is on plan NONE and sends 50 a second" in captured.err
    document = json.loads(captured.out)
    assert (50.0, 100.0) == (document["rate_per_s"], document["duration_s"])

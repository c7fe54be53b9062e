"""aws-ses-v2-local: fills templates in with real Handlebars, as SES does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from servers.availability import program
from servers.aws_http import REGION

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What it says of the account.
ACCOUNT = {
    "SendQuota": {"Max24HourSend": 1_000_000, "MaxSendRate": 1_000, "SentLast24Hours": 0},
    "SendingEnabled": True,
    "ProductionAccessEnabled": True,
    "EnforcementStatus": "HEALTHY",
    "DedicatedIpAutoWarmupEnabled": False,
    "SuppressionAttributes": {"SuppressedReasons": []},
    # It takes no answer without these.
    "Details": {
        "AdditionalContactEmailAddresses": [],
        "ContactLanguage": "EN",
        "MailType": "MARKETING",
        "ReviewDetails": {"CaseId": "1", "Status": "GRANTED"},
        "UseCaseDescription": "tests",
        "WebsiteURL": "https://example.com",
    },
}


class SesLocal:
    """A running server.

    Args:
        endpoint: Where it listens.
    """

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def dsn(self, options: str = "") -> str:
        return f"ses://{REGION}?endpoint={self.endpoint}{'&' if options else ''}{options}"

    def emails(self) -> list[dict[str, Any]]:
        """Return everything that was sent."""
        with urlopen(f"{self.endpoint}/store", timeout=10) as answer:
            store: dict[str, list[dict[str, Any]]] = json.load(answer)
        return store["emails"]


def _script() -> str:
    for folder in filter(None, os.environ.get("NODE_PATH", "").split(os.pathsep)):
        path = Path(folder) / "aws-ses-v2-local" / "dist" / "cli.js"
        if path.is_file():
            return str(path)
    reason = "aws-ses-v2-local is not installed (npm package; its node_modules folder in NODE_PATH)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextlib.contextmanager
def ses_local() -> Iterator[SesLocal]:
    """Run it in a process of its own."""
    node, script = program("node", "nodejs"), _script()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    environment = {**os.environ, "AWS_SES_ACCOUNT": json.dumps(ACCOUNT)}
    command = [node, script, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as server:
        try:
            endpoint = f"http://127.0.0.1:{port}"
            _wait_for(endpoint, server)
            yield SesLocal(endpoint)
        finally:
            server.kill()


def _wait_for(endpoint: str, server: subprocess.Popen[bytes]) -> None:
    ends_s = time.monotonic() + 20
    while True:
        try:
            with urlopen(f"{endpoint}/health-check", timeout=5):
                return
        except (URLError, OSError):
            assert server.poll() is None, "aws-ses-v2-local has ended"
            assert time.monotonic() < ends_s, "aws-ses-v2-local does not answer"
            time.sleep(0.05)

from __future__ import annotations

import json
import os
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailblast.errors import UsageError
from mailblast.monitor import alert_sinks
from mailblast.monitor.alert_sinks import AlertSender
from mailblast.monitor.alerts import Alert, AlertKind

if TYPE_CHECKING:
    from collections.abc import Iterator

ALERT = Alert(AlertKind.GRADE, "grade F: slow")
FACTS = {"campaign": "welcome", "sent": 12, "reasons": ["slow"]}


class Hook:
    """A web address that keeps what it gets; told to, it never answers."""

    def __init__(self) -> None:
        self.bodies: list[object] = []
        self.status = 200
        self.hang = threading.Event()
        self.hang.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                hook.hang.wait(20)
                hook.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?token=s3cret"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.hang.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Hook]:
    server = Hook()
    yield server
    server.close()


def a_command(code: str) -> str:
    Path("alert.py").write_text(code, encoding="utf-8")
    return f"'{sys.executable}' alert.py"


def test_command_gets_facts_on_stdin_and_in_its_environment() -> None:
    troubles: list[str] = []
    code = """
import os, sys
words = (os.environ[f"MAILBLAST_{name}"] for name in ("ALERT", "ALERT_TEXT", "SENT"))
open("got", "w").write(sys.stdin.read() + chr(10) + "|".join(words))
"""
    sender = AlertSender(a_command(code), None, troubles.append)
    sender.send(ALERT, FACTS)
    sender.close()
    body, _, words = Path("got").read_text(encoding="utf-8").partition("\n")
    assert {"alert": "grade", "text": "grade F: slow", **FACTS} == json.loads(body)
    assert "grade|grade F: slow|12" == words
    assert [] == troubles


def test_webhook_gets_each_alert_once(hook: Hook) -> None:
    troubles: list[str] = []
    sender = AlertSender(None, hook.url, troubles.append)
    sender.send(ALERT, FACTS)
    sender.send(Alert(AlertKind.RECOVERED, "grade A again"), FACTS)
    sender.close()
    assert ["grade", "recovered"] == [body["alert"] for body in hook.bodies]  # type: ignore[index]
    assert [] == troubles


def test_webhook_that_hangs_delays_nothing(hook: Hook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_sinks, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(alert_sinks, "MOST_WAITING", 2)
    hook.hang.clear()
    troubles: list[str] = []
    sender = AlertSender(None, hook.url, troubles.append)
    begin = time.monotonic()
    for _ in range(50):
        sender.send(ALERT, FACTS)
    assert time.monotonic() - begin < 0.2
    assert any("was dropped" in trouble for trouble in troubles)
    sender.close(2.0)
    assert any("127.0.0.1 cannot be reached" in trouble for trouble in troubles)
    assert not any("s3cret" in trouble for trouble in troubles)


def test_webhook_that_refuses_is_told(hook: Hook) -> None:
    hook.status = 500
    troubles: list[str] = []
    sender = AlertSender(None, hook.url, troubles.append)
    sender.send(ALERT, FACTS)
    sender.close()
    assert ["the alert address at 127.0.0.1 cannot be reached: HTTP Error 500: Internal Server Error"] == troubles


@pytest.mark.parametrize(
    ("code", "trouble"),
    [
        ("import sys; sys.exit('no \\x1b[31m luck')", "the alert command ended with code 1: no [31m luck"),
        ("import time; time.sleep(30)", "the alert command took more than 1 s and was ended"),
    ],
)
def test_command_that_fails_is_told(monkeypatch: pytest.MonkeyPatch, code: str, trouble: str) -> None:
    monkeypatch.setattr(alert_sinks, "TIMEOUT_S", 1.0)
    troubles: list[str] = []
    sender = AlertSender(a_command(code), None, troubles.append)
    sender.send(ALERT, FACTS)
    sender.close(5.0)
    assert [trouble] == troubles


def test_command_that_goes_away_is_told() -> None:
    program = Path("program")
    program.touch(mode=0o700)
    troubles: list[str] = []
    sender = AlertSender("./program", None, troubles.append)
    program.unlink()
    sender.send(ALERT, FACTS)
    sender.close()
    assert ["the alert command cannot be run: No such file or directory"] == troubles


def test_sender_without_a_target_does_nothing() -> None:
    sender = AlertSender(None, None, pytest.fail)
    sender.send(ALERT, FACTS)
    sender.close()


@pytest.mark.parametrize("command", ["", "'open", "no-such-command-here", "cat >> alerts.log", "cat | tee x"])
def test_command_that_is_none_is_refused(command: str) -> None:
    with pytest.raises(UsageError, match="--alert-command"):
        AlertSender(command, None, pytest.fail)


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a.example", "https://", "https://a b", "https://[bad", "https://a.example:0/", "file:///etc/passwd"],
)
def test_webhook_that_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--alert-webhook"):
        AlertSender(None, url, pytest.fail)


def test_environment_of_a_command_keeps_what_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "yes")
    sender = AlertSender(a_command("import os; open('got', 'w').write(os.environ['KEPT'])"), None, pytest.fail)
    sender.send(ALERT, FACTS)
    sender.close()
    assert "yes" == Path("got").read_text(encoding="utf-8")
    assert "MAILBLAST_ALERT" not in os.environ

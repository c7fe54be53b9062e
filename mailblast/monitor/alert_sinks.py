"""Where alerts go: a command, a web address. Both work beside the run and never hold it up."""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import subprocess
import threading
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mailblast.errors import UsageError
from mailblast.monitor.wording import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mailblast.monitor.alerts import Alert

#: A command or an address that takes longer is given up.
TIMEOUT_S = 10.0
#: Alerts that wait while another is on its way; later ones are dropped.
MOST_WAITING = 16
#: Words that mean something to a shell alone.
_SHELL = frozenset({"|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"})
#: What a fact may be as an environment variable.
MAX_TEXT = 1_000


class AlertSender:
    """Send alerts from a thread of their own.

    Args:
        command: Words of a shell line, run without a shell; each alert is a JSON object on its stdin, and its facts are
            in the environment as ``MAILBLAST_ALERT``, ``MAILBLAST_ALERT_TEXT``, ``MAILBLAST_CAMPAIGN`` and so on. None
            for none.
        webhook: ``https://`` or ``http://``; gets each alert as JSON by POST. None for none.
        on_trouble: Told, from the thread, what could not be delivered.

    Raises:
        UsageError: The command is no line of words, or the address no such URL.
    """

    def __init__(self, command: str | None, webhook: str | None, on_trouble: Callable[[str], None]) -> None:
        self._command = _words(command) if command is not None else None
        self._webhook = _checked(webhook) if webhook is not None else None
        self._on_trouble = on_trouble
        self._waiting: queue.Queue[Mapping[str, object] | None] = queue.Queue(MOST_WAITING)
        self._thread: threading.Thread | None = None

    def send(self, alert: Alert, facts: Mapping[str, object]) -> None:
        """Send an alert with the facts of the run; returns at once."""
        if self._command is None and self._webhook is None:
            return
        if self._thread is None:
            # A daemon: what hangs there must not keep the process.
            self._thread = threading.Thread(target=self._work, name="alerts", daemon=True)
            self._thread.start()
        try:
            self._waiting.put_nowait({"alert": alert.kind.value, "text": alert.text, **facts})
        except queue.Full:
            self._on_trouble(f"an alert was dropped, {MOST_WAITING} others wait: {alert.text}")

    def close(self, timeout_s: float = TIMEOUT_S) -> None:
        """Let those that wait be sent, for so many seconds at most."""
        if self._thread is None:
            return
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (facts := self._waiting.get()) is not None:
            if self._command is not None:
                self._run(self._command, facts)
            if self._webhook is not None:
                self._post(self._webhook, facts)

    def _run(self, command: list[str], facts: Mapping[str, object]) -> None:
        names = {"alert": "ALERT", "text": "ALERT_TEXT"}
        environment = {
            f"MAILBLAST_{names.get(name, name.upper())}": printable(str(value), MAX_TEXT)
            for name, value in facts.items()
            if isinstance(value, str | int | float)
        }
        try:
            done = subprocess.run(  # noqa: S603 - the user's own command, and no shell
                command,
                input=_json(facts),
                env={**os.environ, **environment},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._on_trouble(f"the alert command took more than {TIMEOUT_S:.0f} s and was ended")
        except OSError as error:
            self._on_trouble(f"the alert command cannot be run: {error.strerror}")
        else:
            if done.returncode:
                said = printable(done.stderr.decode("utf-8", "replace"), 200)
                self._on_trouble(f"the alert command ended with code {done.returncode}: {said}".rstrip(": "))

    def _post(self, url: str, facts: Mapping[str, object]) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "mailblast"}
        request = urllib.request.Request(url, _json(facts), headers, method="POST")  # noqa: S310 - its scheme was checked
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310 - likewise
                pass
        except (OSError, ValueError) as error:
            # The address may hold a token: only its host is told.
            host = urlsplit(url).hostname
            self._on_trouble(f"the alert address at {host} cannot be reached: {printable(str(error), 200)}")


def _json(facts: Mapping[str, object]) -> bytes:
    return json.dumps(facts, default=str).encode()


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--alert-command cannot be read: {error}.", fix="Close the quotes.") from None
    if not words:
        raise UsageError("--alert-command is empty.", fix="Give a command, such as 'notify-send mailblast'.")
    if shutil.which(words[0]) is None:
        raise UsageError(f"--alert-command: there is no program '{words[0]}'.", fix="Check its name and its rights.")
    if _SHELL.intersection(words):
        raise UsageError(
            "--alert-command runs without a shell, which would take '|', '>', ';' and '&&'.",
            fix="Put it into a script, or write it as: sh -c '…'",
        )
    return words


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isascii() or any(character <= " " for character in url):
        raise UsageError("--alert-webhook is no web address.", fix="Give one like https://example.com/hook.")
    return url

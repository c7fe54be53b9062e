"""The installed program on a terminal: its dashboard, and Ctrl-C."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pyte
import pytest
from words import a_list, a_template

if TYPE_CHECKING:
    from collections.abc import Iterator

    from servers.redis_server import RedisServer


class Terminal:
    """A process on a pseudo-terminal, and the screen it draws."""

    def __init__(self, words: list[str], columns: int = 80, lines: int = 24) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mailblast", *words],
            stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - no threads here; Ctrl-C needs it
        )  # fmt: skip
        os.close(slave)

    def read_until(self, text: str, timeout_s: float = 20.0) -> str:
        deadline = time.monotonic() + timeout_s
        while text not in self.text and time.monotonic() < deadline and self._read():
            pass
        assert text in self.text
        return self.text

    def wait(self, timeout_s: float = 20.0) -> int:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline and self._read():
            pass
        return self.process.wait(timeout_s)

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._master)

    def _read(self) -> bool:
        if not select.select([self._master], [], [], 0.2)[0]:
            return self.process.poll() is None
        try:
            data = os.read(self._master, 65536)
        except OSError:
            return False
        self._stream.feed(data)
        return bool(data)


@pytest.fixture
def bulk(request: pytest.FixtureRequest) -> Iterator[Terminal]:
    a_template()
    a_list([f"user{number}@example.com,User {number},x" for number in range(200)])
    terminal = Terminal(["bulk", "list.csv", "-t", "welcome.html", "--via", "outbox:out", *request.param])
    yield terminal
    terminal.close()


@pytest.mark.parametrize("bulk", [["--rate", "100/s"]], indirect=True)
def test_bulk_on_a_terminal_shows_a_dashboard_and_a_summary(bulk: Terminal) -> None:
    bulk.read_until("welcome-list")
    bulk.read_until("outbox")
    assert bulk.wait() == 0
    assert "accepted         200" in bulk.text
    assert len(list(Path("out/new").iterdir())) == 200


def test_words_about_the_queue_stand_above_the_dashboard(redis: RedisServer) -> None:
    a_template()
    a_list(["ada@example.com,Ada,x"])
    words = [
        "bulk",
        "list.csv",
        "-t",
        "welcome.html",
        "--via",
        "smtp://127.0.0.1:9",
        "--from",
        "n@example.com",
        "--yes",
    ]
    terminal = Terminal([*words, "--queue", redis.url, "--wait"], columns=120)
    try:
        terminal.read_until("No worker is there yet. Start some: mailblast worker --queue")
        # A frame is drawn anew in its place, below them.
        terminal.read_until("running 2 s")
        assert 1 == terminal.text.count("welcome-list to workers at")
        assert "No worker is there yet." in terminal.text
        terminal.press(b"\x03")
        assert 130 == terminal.wait()
    finally:
        terminal.close()


@pytest.mark.parametrize("bulk", [["--rate", "20/s"]], indirect=True)
def test_ctrl_c_ends_the_run_resumably_and_says_how(bulk: Terminal) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (Path("out/new").is_dir() and list(Path("out/new").iterdir())):
        time.sleep(0.05)
    bulk.press(b"\x03")
    assert bulk.wait() == 130
    assert "To continue: run the same command again." in bulk.text
    assert "Traceback" not in bulk.text
    done = len(list(Path("out/new").iterdir()))
    assert 0 < done < 200
    words = ["bulk", "list.csv", "-t", "welcome.html", "--via", "outbox:out", "-q"]
    again = subprocess.run([sys.executable, "-m", "mailblast", *words], check=False, timeout=60)
    assert again.returncode == 0
    assert len(list(Path("out/new").iterdir())) == 200

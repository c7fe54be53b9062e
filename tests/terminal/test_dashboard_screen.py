"""The dashboard as a terminal shows it: a process on a pseudo-terminal, its bytes read by a terminal emulator."""

from __future__ import annotations

import fcntl
import os
import pty
import re
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

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TESTS = Path(__file__).parent.parent

# Obeys one word a line on stdin and answers each on stdout; the terminal is stderr, as in the commands.
SCRIPT = r"""
import sys

from fakes import FakeClock
from rich.console import Console

from mailblast.model.outcome import Outcome, State
from mailblast.monitor.dashboard import Dashboard
from mailblast.monitor.metrics import Monitor

clock = FakeClock()
monitor = Monitor(clock, rate_limit_per_s=50)
dashboard = Dashboard(
    monitor, Console(stderr=True), title="welcome-list", provider="smtp:mail.example.com", total_rows=1_000
)


def record(state, times, **fields):
    for number in range(times):
        address = f"ann{number}@example.com"
        outcome = Outcome(1, address, address, 1, state, 0.0, "smtp:mail.example.com", duration_s=0.02)
        monitor.record(outcome._replace(**fields))


def work():
    record(State.ACCEPTED, 490)
    record(State.FAILED, 7, code=550, enhanced="5.1.1", text="[bold]User[/bold] \x1b[2J\x1b[31munknown\x07")
    record(State.IN_DOUBT, 3, text="connection lost")
    record(State.SUPPRESSED, 20)
    monitor.progress(600, None)
    clock.advance(10.0)


def tick():
    record(State.ACCEPTED, 10)
    clock.advance(1.0)
    dashboard.refresh(monitor.snapshot())


def notice():
    dashboard.notice("template changed since the last run \x1b[5m", "warning")


deeds = {"start": dashboard.start, "work": work, "tick": tick, "notice": notice, "stop": dashboard.stop}
for line in sys.stdin:
    deeds[line.strip()]()
    print("done", flush=True)
"""


class Terminal:
    """A process on a pseudo-terminal of a given size, and the screen that it draws."""

    def __init__(self, columns: int, lines: int, environment: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        _resize(slave, columns, lines)
        self.screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self.screen)
        self.bytes = b""
        kept = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_CONFIG") if name in os.environ}
        self.process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=slave,
            start_new_session=True,
            env={
                **kept,
                "TERM": "xterm-256color",
                "PYTHONPATH": str(TESTS),
                "PYTHONIOENCODING": "utf-8",
                **environment,
            },
        )
        os.close(slave)

    def do(self, *deeds: str) -> None:
        """Have the process do things, and read what it draws meanwhile."""
        assert self.process.stdin is not None
        for deed in deeds:
            self.process.stdin.write(f"{deed}\n".encode())
            self.process.stdin.flush()
            self._read_until_done(deed)

    def resize(self, columns: int, lines: int) -> None:
        _resize(self._master, columns, lines)
        self.screen.resize(lines, columns)

    def rows(self) -> list[str]:
        return [row.rstrip() for row in self.screen.display]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        finally:
            self.process.kill()
            self.process.stdout.close()
            os.close(self._master)

    def _read_until_done(self, deed: str) -> None:
        assert self.process.stdout is not None
        answer = self.process.stdout.fileno()
        deadline = time.monotonic() + 20
        done = False
        while True:
            # After the answer all that was drawn is already in the terminal's buffer.
            ready, _, _ = select.select([self._master, answer], [], [], 0.05 if done else 1.0)
            if self._master in ready:
                drawn = os.read(self._master, 65_536)
                self.bytes += drawn
                self._stream.feed(drawn)
            elif answer in ready:
                assert os.read(answer, 100) == b"done\n", f"{deed} failed: {self.rows()}"
                done = True
            elif done:
                return
            assert time.monotonic() < deadline, f"no answer to {deed}: {self.rows()}"


def _resize(descriptor: int, columns: int, lines: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.close()


def a_terminal(terminals: list[Terminal], columns: int, lines: int, **environment: str) -> Terminal:
    terminals.append(Terminal(columns, lines, environment))
    return terminals[-1]


def words(row: str) -> str:
    return " ".join(row.split())


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (140, 50), (200, 60)])
def test_screen_shows_the_run_in_place(terminals: list[Terminal], columns: int, lines: int) -> None:
    terminal = a_terminal(terminals, columns, lines)
    terminal.do("start", "work", "tick", "tick")
    rows = terminal.rows()
    width = min(columns, 140)
    assert words(rows[0]) == "welcome-list to smtp:mail.example.com running 12 s"
    assert rows[1].endswith("54.0 %, 540 of 1,000 rows, 10 s left")
    assert {words(row).split(":")[0] for row in rows} >= {
        "Time average 20 ms, half within 19 ms, 95 % within 19 ms",
        "Errors 1.9 % of 520 in the last 12 s",
        "Grade B 88.1",
    }
    (rate,) = [row for row in rows if row.startswith("Rate")]
    assert re.match(r"Rate +43\.3/s of 50\.0/s +█ +▁▁", rate)
    (header,) = [number for number, row in enumerate(rows) if row.startswith("Provider")]
    assert words(rows[header + 1]) == "smtp:mail.example.com 510 10 43.3/s 20 ms"
    assert any(words(row) == "550 5.1.1 [bold]User[/bold] [2J[31munknown 7 ann6@example.com" for row in rows)
    assert any(words(row) == "connection lost 3 ann2@example.com" for row in rows)
    assert width == max(len(row) for row in rows)
    assert len([row for row in rows if row.startswith("welcome-list")]) == 1
    assert terminal.screen.cursor.hidden


def test_screen_keeps_the_last_frame_and_gives_the_cursor_back(terminals: list[Terminal]) -> None:
    terminal = a_terminal(terminals, 80, 24)
    terminal.do("start", "work", "tick", "stop")
    rows = terminal.rows()
    assert words(rows[0]) == "welcome-list to smtp:mail.example.com ran 11 s"
    assert rows[1].endswith("53.0 %, 530 of 1,000 rows")
    assert not terminal.screen.cursor.hidden
    assert rows[terminal.screen.cursor.y] == ""
    assert terminal.screen.cursor.x == 0
    assert b"\x1b[?1049h" not in terminal.bytes  # never another screen


@pytest.mark.parametrize(("before", "after"), [((140, 50), (80, 24)), ((80, 24), (140, 50)), ((80, 24), (50, 14))])
def test_screen_after_a_resize_shows_one_frame_of_the_new_size(
    terminals: list[Terminal], before: tuple[int, int], after: tuple[int, int]
) -> None:
    terminal = a_terminal(terminals, *before)
    terminal.do("notice", "start", "work", "tick")
    terminal.resize(*after)
    terminal.do("tick", "tick")
    rows = terminal.rows()
    columns, lines = after
    assert len([row for row in rows if row.startswith("welcome-list")]) == 1
    assert len([row for row in rows if row.startswith("Rate")]) == 1
    assert len([row for row in rows if row.startswith("warning: template changed")]) == 1
    assert columns == max(len(row) for row in rows)
    assert "running 13 s" in "".join(rows)
    assert lines == len(rows)


def test_screen_after_a_resize_just_before_the_end_shows_one_frame(terminals: list[Terminal]) -> None:
    terminal = a_terminal(terminals, 140, 50)
    terminal.do("start", "work", "tick")
    terminal.resize(80, 24)
    before = len(terminal.bytes)
    terminal.do("stop")
    rows = terminal.rows()
    assert b"\x1b[2J" in terminal.bytes[before:]  # other emulators break the old lines anew, this one cuts them
    assert len([row for row in rows if row.startswith("welcome-list")]) == 1
    assert "ran 11 s" in rows[0]


def test_screen_shows_notices_above_the_frame(terminals: list[Terminal]) -> None:
    terminal = a_terminal(terminals, 80, 30)
    terminal.do("start", "work", "tick", "notice", "tick")
    rows = terminal.rows()
    assert rows[0] == "warning: template changed since the last run [5m"
    assert words(rows[1]) == "welcome-list to smtp:mail.example.com running 12 s"


def test_screen_has_colours_only_where_they_are_wanted(terminals: list[Terminal]) -> None:
    colours = re.compile(rb"\x1b\[[0-9;]*\b(?:3[0-9]|4[0-9]|9[0-7])[0-9;]*m")
    coloured = a_terminal(terminals, 80, 24)
    plain = a_terminal(terminals, 80, 24, NO_COLOR="1")
    for terminal in (coloured, plain):
        terminal.do("start", "work", "tick", "notice", "stop")
    assert colours.search(coloured.bytes)
    assert not colours.search(plain.bytes)
    without_bar = [row for row in coloured.rows() if "%, 530 of" not in row]  # what is left is drawn in colour only
    assert without_bar == [row for row in plain.rows() if "%, 530 of" not in row]


def test_screen_outlives_its_terminal(terminals: list[Terminal]) -> None:
    terminal = a_terminal(terminals, 80, 24)
    terminal.do("start", "work")
    master, terminal._master = terminal._master, os.open(os.devnull, os.O_RDONLY)
    os.close(master)
    process = terminal.process
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"tick\nnotice\nstop\n")
    process.stdin.close()
    assert process.stdout.read() == b"done\n" * 3
    assert process.wait(timeout=10) == 0

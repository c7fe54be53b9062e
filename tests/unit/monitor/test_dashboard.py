"""The frame as text, at several sizes. What a real terminal shows is tested in tests/terminal."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import pytest
from fakes import FakeClock
from rich.console import Console

from mailblast.model.outcome import Outcome, State
from mailblast.monitor.dashboard import Dashboard
from mailblast.monitor.metrics import Monitor


class Screen:
    """A dashboard on a console of a fixed size that writes into memory."""

    def __init__(
        self, width: int = 80, height: int = 24, *, total_rows: int | None = None, limit: float | None = None
    ) -> None:
        self.clock = FakeClock(1_000.0)
        self.monitor = Monitor(self.clock, rate_limit_per_s=limit)
        self.file = io.StringIO()
        self.console = Console(file=self.file, force_terminal=True, width=width, height=height, color_system=None)
        self.dashboard = Dashboard(
            self.monitor, self.console, title="welcome", provider="smtp:mail.example.com", total_rows=total_rows
        )

    def record(self, state: State = State.ACCEPTED, times: int = 1, **fields: Any) -> None:
        outcome = Outcome(1, "k", "ann@example.com", 1, state, 0.0, "smtp:mail.example.com", duration_s=0.02)
        for _ in range(times):
            self.monitor.record(outcome._replace(**fields))

    def lines(self, *, ended: bool = False) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.dashboard._frame(self.monitor.snapshot(), ended=ended))
        return captured.get().splitlines()

    def line(self, start: str) -> str:
        (line,) = [line for line in self.lines() if line.startswith(start)]
        return " ".join(line.split())


def a_busy_screen(width: int, height: int) -> Screen:
    screen = Screen(width, height, total_rows=10_000_000, limit=100)
    for number in range(70):
        for provider in ("smtp:mail.example.com", "ses:eu-west-1", "sendgrid", "outbox", "fifth"):
            screen.record(times=20, provider=provider)
        screen.record(State.FAILED, code=550 + number % 12, text="no \U0001f600 " + "long " * 100, duration_s=9)
        screen.clock.advance(1.0)
    screen.monitor.skip(1_234_567)
    screen.monitor.progress(2_000_000, None)
    screen.monitor.pace(100.0, "the daily cap of 20,000 is used up")
    return screen


@pytest.mark.parametrize("width", [20, 40, 80, 110, 140, 200])
@pytest.mark.parametrize("height", [3, 8, 12, 20, 24, 50])
def test_frame_fits_the_terminal(width: int, height: int) -> None:
    lines = a_busy_screen(width, height).lines()
    assert len(lines) < height
    assert max(len(line) for line in lines) <= min(width, 140)
    assert lines[0].startswith("welcome to")


def test_frame_on_few_lines_drops_errors_first_then_providers() -> None:
    tall, middle, low = (" ".join(a_busy_screen(80, height).lines()) for height in (30, 19, 12))
    assert "latest address" in tall
    assert "Provider" in tall
    assert "Provider" in middle
    assert "Provider" not in low
    assert "in doubt" in low


def test_frame_shows_rate_times_errors_and_grade() -> None:
    screen = Screen(limit=100)
    screen.record(times=180)
    screen.record(State.FAILED, times=20)
    screen.clock.advance(2.0)
    assert screen.line("Rate").startswith("Rate 100/s of 100/s")
    assert screen.line("Time") == "Time average 20 ms, half within 19 ms, 95 % within 19 ms"
    assert screen.line("Errors") == "Errors 10.0 % of 200 in the last 2 s"
    assert screen.line("Grade") == "Grade A 90.0: 10 % not accepted (-10)"


def test_frame_after_a_minute_speaks_of_a_minute() -> None:
    screen = Screen()
    screen.clock.advance(90.0)
    screen.record()
    assert screen.line("Errors") == "Errors 0.0 % of 1 in the last minute"


def test_frame_with_many_reasons_gives_each_a_line() -> None:
    screen = Screen(limit=50)
    screen.record(State.FAILED, times=10, duration_s=7.0)
    screen.clock.advance(10.0)
    lines = [line.strip() for line in screen.lines()]
    first = next(number for number, line in enumerate(lines) if line.startswith("Grade"))
    assert lines[first : first + 3] == [
        "Grade    F -80.0: 100 % not accepted (-100)",
        "1.0/s is below 10 % of the limit of 50/s (-50)",
        "average 7,000 ms is above 5,000 ms (-30)",
    ]


def test_frame_without_anything_attempted_has_no_grade() -> None:
    assert Screen().line("Grade") == "Grade - nothing to grade yet"


def test_frame_tells_what_the_run_waits_for() -> None:
    screen = Screen()
    screen.monitor.pace(5.0, "daily cap")
    assert screen.line("Waiting") == "Waiting daily cap"


def test_frame_shows_progress_where_the_end_is_known() -> None:
    screen = Screen(total_rows=1_000)
    screen.record(times=250)
    screen.clock.advance(10.0)
    assert screen.lines()[1].endswith("25.0 %, 250 of 1,000 rows, 30 s left")
    assert screen.lines(ended=True)[1].endswith("25.0 %, 250 of 1,000 rows")
    assert "━━━━" in screen.lines()[1]


def test_progress_under_a_limit_is_that_of_the_run() -> None:
    screen = Screen()
    screen.monitor.skip(5_000)
    screen.monitor.progress(5_300, 100, left=700)
    screen.record(times=250)
    screen.clock.advance(10.0)
    assert screen.lines()[1].endswith("25.0 %, 250 of 1,000 rows, 30 s left")


def test_frame_without_a_known_end_counts_rows() -> None:
    screen = Screen()
    screen.monitor.progress(1_500, None)
    screen.record(times=1_400)
    assert screen.lines()[1].strip() == "1,400 rows done, 100 in flight"


def test_frame_says_whether_the_run_goes_on() -> None:
    screen = Screen()
    screen.clock.advance(65.0)
    assert screen.lines()[0].endswith("running 1 min 05 s")
    assert screen.lines(ended=True)[0].endswith("ran 1 min 05 s")


@pytest.mark.parametrize("width", [80, 140])
def test_frame_shows_every_outcome(width: int) -> None:
    screen = Screen(width)
    for number, state in enumerate(State, start=11):
        screen.record(state, times=number)
    screen.monitor.skip(77)
    screen.monitor.progress(500, None)
    lines = screen.lines()
    shown: dict[str, str] = {}
    for names, counts in pairwise(lines):
        if any(name in names for name in ("accepted  ", "duplicate  ")):
            shown |= zip(names.replace("in ", "in_").replace("done ", "done_").split(), counts.split(), strict=True)
    assert shown == {
        "accepted": "11",
        "deferred": "12",
        "failed": "13",
        "invalid": "14",
        "suppressed": "15",
        "duplicate": "16",
        "in_doubt": "17",
        "unsent": "18",
        "done_before": "77",
        "in_flight": str(500 - 77 - sum(range(11, 20)) + 19),
    }


def test_frame_shows_foreign_text_as_it_is() -> None:
    screen = Screen(width=140, height=50)
    screen.record(
        State.FAILED,
        code=550,
        text="[bold red]no[/bold red] \x1b]0;owned\x07\x1b[2J\u202e:smile:",
        address="[link=http://x]\r\n\x1b[31ma@example.com",
        provider="smtp:[blink]x\x1b[H",
    )
    shown = "\n".join(screen.lines())
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "550 [bold red]no[/bold red] ]0;owned[2J:smile:" in shown
    assert "[link=http://x] [31ma@example.com" in shown
    assert "smtp:[blink]x[H" in shown


def test_title_with_markup_is_shown_as_it_is() -> None:
    console = Console(file=io.StringIO(), width=80, height=24)
    monitor = Monitor(FakeClock())
    dashboard = Dashboard(monitor, console, title="[red]\x1b[31mx", provider="a\nb")
    with console.capture() as captured:
        console.print(dashboard._frame(monitor.snapshot(), ended=False))
    assert captured.get().startswith("[red][31mx to a b ")


def test_frame_on_an_ascii_terminal_is_ascii() -> None:
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(file=file, force_terminal=True, width=80, height=24, color_system=None)
    clock = FakeClock()
    monitor = Monitor(clock)
    dashboard = Dashboard(monitor, console, title="Zoë", provider="smtp:a", total_rows=10)
    monitor.record(Outcome(1, "k", "ë@example.com", 1, State.FAILED, 0.0, "smtp:a", text="日本 " * 100))
    clock.advance(2.0)
    dashboard.start()
    dashboard.refresh(monitor.snapshot())
    dashboard.stop()
    file.flush()
    assert b"Zo? to smtp:a" in file.buffer.getvalue()


def test_dashboard_draws_from_start_to_stop_and_gives_the_file_back() -> None:
    screen = Screen()
    screen.dashboard.refresh(screen.monitor.snapshot())
    screen.dashboard.stop()
    assert screen.file.getvalue() == ""
    screen.dashboard.start()
    screen.dashboard.start()
    screen.record(times=7)
    screen.dashboard.refresh(screen.monitor.snapshot())
    screen.dashboard.stop()
    screen.dashboard.stop()
    drawn = screen.file.getvalue()
    assert drawn.count("running 0 s") == 2
    assert drawn.count("ran 0 s") == 1
    assert drawn.endswith("\x1b[?25h")  # the cursor is back
    assert screen.console.file is screen.file


def test_dashboard_outlives_its_terminal() -> None:
    class LostTerminal(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(5, "Input/output error")

    console = Console(file=LostTerminal(), force_terminal=True, width=80, height=24)
    monitor = Monitor(FakeClock())
    dashboard = Dashboard(monitor, console, title="t", provider="p")
    dashboard.start()
    dashboard.refresh(monitor.snapshot())
    dashboard.notice("still here")
    dashboard.stop()


def test_notice_stands_above_the_frame_without_markup() -> None:
    screen = Screen()
    screen.dashboard.notice("before [bold]")
    screen.dashboard.start()
    screen.dashboard.notice("template \x1b[2Jchanged", "warning")
    screen.dashboard.stop()
    written = screen.file.getvalue()
    assert written.startswith("before [bold]\n")
    assert "warning: template [2Jchanged" in written


def test_frame_tells_connections_quota_and_kept_transports() -> None:
    screen = Screen()
    screen.record(times=10)
    assert "connection" not in screen.line("Rate")
    screen.monitor.connections(1)
    assert "on 1 connection" in screen.line("Rate")
    screen.monitor.connections(5)
    screen.monitor.quota(450, 500)
    screen.monitor.transports(2, 0.998)
    assert "on 5 connections" in screen.line("Rate")
    assert screen.line("Quota") == "Quota 450 of 500 a day"
    assert screen.line("Kept") == "Kept 2 transports, hit rate 99.8 %"


def test_frame_of_a_tall_screen_compares_domains() -> None:
    screen = Screen(height=50)
    screen.record(times=3, address="a@one.example")
    assert not any(line.startswith("Domain") for line in screen.lines())
    screen.record(times=5, address="a@two.example")
    shown = [line.split()[0] for line in screen.lines() if ".example" in line and "smtp:" not in line]
    assert shown == ["two.example", "one.example"]

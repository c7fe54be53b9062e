from __future__ import annotations

import io
import json
from typing import Any, Literal

from fakes import FakeClock

from mailblast.model.outcome import Outcome, State
from mailblast.monitor.log_lines import LogLines
from mailblast.monitor.metrics import Monitor


class Run:
    """A monitor and its log on one clock."""

    def __init__(self, format: Literal["text", "json"], every_s: float = 60.0, **options: Any) -> None:  # noqa: A002 - as in LogLines
        self.clock = FakeClock(1_700_000_000.0)
        self.monitor = Monitor(self.clock, **options)
        self.stream = io.StringIO()
        self.log = LogLines(self.monitor, self.stream, format=format, every_s=every_s, clock=self.clock)

    def record(self, state: State, times: int = 1, **fields: Any) -> None:
        outcome = Outcome(1, "k", "ann@example.com", 1, state, 0.0, "smtp:a", duration_s=0.02)
        for _ in range(times):
            self.monitor.record(outcome._replace(**fields))

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.log.refresh(self.monitor.snapshot())

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def test_lines_come_at_the_start_after_ten_seconds_and_every_minute() -> None:
    run = Run("json")
    run.log.start()
    run.pass_time(185)
    run.log.stop()
    run.log.stop()
    assert [(each["event"], each["time"]) for each in run.objects] == [
        ("start", "2023-11-14T22:13:20Z"),
        ("progress", "2023-11-14T22:13:30Z"),
        ("progress", "2023-11-14T22:14:20Z"),
        ("progress", "2023-11-14T22:15:20Z"),
        ("progress", "2023-11-14T22:16:20Z"),
        ("end", "2023-11-14T22:16:25Z"),
    ]


def test_lines_with_a_short_interval_begin_with_it() -> None:
    run = Run("json", every_s=2.0)
    run.log.start()
    run.pass_time(6)
    assert [each["event"] for each in run.objects] == ["start", "progress", "progress", "progress"]


def test_lines_after_a_stall_are_not_made_up_for() -> None:
    run = Run("json")
    run.log.start()
    run.clock.advance(1_000.0)
    run.log.refresh(run.monitor.snapshot())
    run.log.refresh(run.monitor.snapshot())
    assert [each["event"] for each in run.objects] == ["start", "progress"]


def test_progress_as_json_has_the_figures() -> None:
    run = Run("json", total_rows=400, rate_limit_per_s=10)
    run.log.start()
    run.monitor.skip(100)
    run.monitor.progress(300, None)
    run.record(State.ACCEPTED, 99)
    run.record(State.FAILED, code=550)
    run.pass_time(10)
    (progress,) = run.objects[1:]
    counts = {**{state.value: 0 for state in State}, "accepted": 99, "failed": 1}
    assert {
        "time": "2023-11-14T22:13:30Z",
        "level": "info",
        "event": "progress",
        "rows_read": 300,
        "skipped": 100,
        "sent": 99,
        "failed": 1,
        "counts": counts,
        "throughput_per_s": 10.0,
        "rate_limit_per_s": 10,
        "waiting": "",
        "error_rate": 0.01,
        "average_ms": 20.0,
        "providers": {"smtp:a": {"sent": 99, "failed": 1, "average_ms": 20.0}},
        "uptime_s": 10.0,
        "fraction": 0.5,
        "time_left_s": 20,
        "grade": "A",
        "score": 99.0,
    }.items() <= progress.items()


def test_progress_as_text_is_one_sentence() -> None:
    run = Run("text", total_rows=400)
    run.log.start()
    run.monitor.skip(100)
    run.record(State.ACCEPTED, 95)
    run.record(State.FAILED, 2)
    run.record(State.INVALID, 3)
    run.monitor.pace(5.0, "daily\x1b cap")
    run.pass_time(10)
    assert run.lines == [
        "2023-11-14T22:13:20Z info start",
        (
            "2023-11-14T22:13:30Z info progress: 95 sent, 2 failed, 3 invalid, 100 done before, 9.7/s, errors 2.0 %, "
            "average 20 ms, grade A, running 10 s, 50.0 % done, 20 s left, waiting: daily cap"
        ),
    ]


def test_last_line_says_nothing_of_time_left() -> None:
    run = Run("text", total_rows=400)
    run.log.start()
    run.record(State.ACCEPTED, 100)
    run.pass_time(10)
    run.log.stop()
    assert run.lines[-2].endswith("25.0 % done, 30 s left")
    assert run.lines[-1].endswith("25.0 % done")


def test_progress_as_text_without_a_known_end_leaves_it_out() -> None:
    run = Run("text", every_s=1.0)
    run.log.start()
    run.record(State.ACCEPTED, 200)
    run.pass_time(1)
    assert run.lines[1].endswith(
        "progress: 200 sent, 0 failed, 200/s, errors 0.0 %, average 20 ms, grade A, running 1 s"
    )


def test_alert_is_an_event_of_its_own() -> None:
    run = Run("json")
    run.log.alert("grade", "grade F: slow")
    run.log.alert("recovered", "grade A again", "info")
    assert [
        ("alert", "warning", "grade", "grade F: slow"),
        ("alert", "info", "recovered", "grade A again"),
    ] == [(each["event"], each["level"], each["kind"], each["text"]) for each in run.objects]


def test_end_names_the_errors_by_kind() -> None:
    run = Run("text")
    run.log.start()
    run.record(State.FAILED, 2, code=550, enhanced="5.1.1", text="ann@example.com: [red]un\x1b[31mknown")
    run.clock.advance(1.0)
    run.log.stop()
    assert run.lines[-1] == (
        "2023-11-14T22:13:21Z warning errors count=2 "
        'reason="550 5.1.1 ...: [red]un[31mknown" latest_address=ann@example.com'
    )


def test_notice_and_event_as_text_are_one_line_each() -> None:
    run = Run("text")
    run.log.notice("template changed:\nwelcome\x1b[2J.html", "warning")
    run.log.event("resume", campaign="welcome list", skipped=3, quote='"', empty="", equation="a=b")
    assert run.lines == [
        "2023-11-14T22:13:20Z warning template changed: welcome[2J.html",
        r'2023-11-14T22:13:20Z info resume campaign="welcome list" skipped=3 quote="\"" empty="" equation="a=b"',
    ]


def test_notice_and_event_as_json_keep_texts_and_reserved_names() -> None:
    run = Run("json")
    run.log.notice("a\nb \x1b[31m", "error")
    run.log.event("resume", time="never", event="other", where=State.FAILED, thing={1}, level="error")
    notice, event = run.objects
    assert notice == {"time": "2023-11-14T22:13:20Z", "level": "error", "event": "notice", "text": "a\nb \x1b[31m"}
    assert event == {
        "time": "2023-11-14T22:13:20Z",
        "level": "error",
        "event": "resume",
        "where": "failed",
        "thing": "{1}",
    }
    assert "\x1b" not in run.stream.getvalue()

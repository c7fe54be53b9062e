from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.monitor.display import Display, Quiet, SideStream
from mailblast.monitor.log_lines import LogLines
from mailblast.monitor.metrics import Monitor

if TYPE_CHECKING:
    from pathlib import Path


class BrokenStream(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.calls = 0

    def write(self, text: str) -> int:
        self.calls += 1
        raise self.error


class BrokenFlush(io.StringIO):
    def flush(self) -> None:
        raise OSError(5, "Input/output error")


def test_quiet_writes_warnings_and_errors_only() -> None:
    stream = io.StringIO()
    quiet = Quiet(stream)
    quiet.start()
    quiet.notice("resumed")
    quiet.notice("template \x1b[2Jchanged\n", "warning")
    quiet.notice("stopped", "error")
    quiet.refresh(Monitor(FakeClock()).snapshot())
    quiet.stop()
    assert stream.getvalue() == "warning: template [2Jchanged\nerror: stopped\n"


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "I/O"), ValueError("closed")])
def test_side_stream_falls_silent_when_its_reader_is_gone(error: Exception) -> None:
    stream = BrokenStream(error)
    side = SideStream(stream)
    assert side.write("one") == 3
    assert side.write("two") == 3
    side.flush()
    assert stream.calls == 1
    assert side.isatty() is False


def test_side_stream_falls_silent_when_flushing_fails() -> None:
    stream = BrokenFlush()
    side = SideStream(stream)
    side.write("one")
    side.flush()
    side.write("two")
    assert stream.getvalue() == "one"


def test_side_stream_survives_a_closed_stream() -> None:
    stream = io.StringIO()
    side = SideStream(stream)
    stream.close()
    assert side.isatty() is False
    side.write("x")
    side.flush()


def test_side_stream_escapes_what_the_encoding_lacks(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w", encoding="latin-1") as stream:
        side = SideStream(stream)
        assert side.encoding == "latin-1"
        assert side.fileno() == stream.fileno()
        side.write("Zoë\n")
        side.write("日本\n")
        side.flush()
    assert path.read_bytes() == b"Zo\xeb\n\\u65e5\\u672c\n"


def test_side_stream_without_an_encoding_is_utf8() -> None:
    assert SideStream(io.StringIO()).encoding == "utf-8"


def test_all_displays_may_be_stopped_twice_and_without_a_start() -> None:
    monitor = Monitor(FakeClock())
    stream = io.StringIO()
    displays: list[Display] = [Quiet(stream), LogLines(monitor, stream, format="text", clock=FakeClock())]
    for display in displays:
        display.stop()
        display.refresh(monitor.snapshot())
        display.stop()
    assert stream.getvalue() == ""

"""What the dashboard costs: the same run on a terminal that shows it, and without."""

from __future__ import annotations

import os
import pty
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from mailing import write_inputs
from servers.smtp_sink import smtp_sink

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

ROWS = int(os.environ.get("BENCH_ROWS", "120000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
#: The promise: at least this share of the speed.
LEAST = 0.98


def seconds(port: int, *, shown: bool) -> float:
    """Run once; return the processor time, which other programs of the machine disturb least."""
    words = [sys.executable, "-m", "mailblast", "bulk", "list.csv", "-t", "body.html", "-s", "x", "--yes"]
    words += [
        "--from",
        "a@example.com",
        "--via",
        f"smtp://127.0.0.1:{port}?tls=none",
        "-c",
        f"run-{time.monotonic_ns()}",
    ]
    ours, theirs = pty.openpty()
    reader = threading.Thread(target=_drain, args=(ours,), daemon=True)
    reader.start()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    before = os.times()
    subprocess.run(
        [*words, *([] if shown else ["--quiet"])], check=True, stdout=subprocess.DEVNULL, stderr=theirs, env=environment
    )
    after = os.times()
    os.close(theirs)
    reader.join(5)
    os.close(ours)
    return after.children_user + after.children_system - before.children_user - before.children_system


def _drain(descriptor: int) -> None:
    while True:
        try:
            if not os.read(descriptor, 65_536):
                return
        except OSError:
            return


def test_dashboard_against_none() -> None:
    write_inputs(ROWS)
    assert Path("list.csv").exists()
    with smtp_sink() as port:
        times = [(seconds(port, shown=True), seconds(port, shown=False)) for _ in range(ROUNDS)]
    shown, hidden = (min(each) for each in zip(*times, strict=True))
    ratio = statistics.median(without / with_it for with_it, without in times)
    print(
        f"\n  {ROWS:,} messages: {shown:.2f} s shown, {hidden:.2f} s hidden, speed {hidden / shown:.3f} ({ratio:.3f})"
    )
    assert hidden / shown >= LEAST

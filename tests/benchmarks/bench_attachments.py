"""What attachments cost: 2 GB through a temporary file, and 20 MB to many recipients at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from servers.mailblast_process import PROGRAM, a_list, a_template, bulk_words
from servers.smtp_sink import smtp_sink

pytestmark = pytest.mark.bench

MB = 1024**2
#: The system counts what a process had before it became another program, so a small one starts the command.
LAUNCHER = """
import json, resource, subprocess, sys
ended = subprocess.run(sys.argv[1:], capture_output=True, text=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([ended.returncode, ended.stderr, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime]))
"""


def measured(*words: str) -> tuple[float, float, float]:
    """Run a command; return seconds, CPU seconds, and MB of resident memory at its peak."""
    started_s = time.perf_counter()
    launched = subprocess.run([sys.executable, "-c", LAUNCHER, PROGRAM, *words], stdout=subprocess.PIPE, check=True)
    code, err, peak, cpu_s = json.loads(launched.stdout)
    assert 0 == code, err
    return time.perf_counter() - started_s, cpu_s, peak / MB


def test_two_gigabytes_in_less_than_150_mb(capsys: pytest.CaptureFixture[str]) -> None:
    a_template()
    a_list(3)
    with Path("data.bin").open("wb") as file:
        file.truncate(2 * 1024**3)
    with smtp_sink() as port:
        seconds, cpu_s, peak_mb = measured(*bulk_words(f"smtp://127.0.0.1:{port}", "--attach", "data.bin"))
    with capsys.disabled():
        print(f"\n2 GB to 3 recipients: {seconds:.1f} s ({cpu_s:.1f} s of CPU), {peak_mb:.0f} MB at the peak")
    assert peak_mb < 150


def test_twenty_megabytes_at_fifty_in_flight_in_flat_memory(capsys: pytest.CaptureFixture[str]) -> None:
    a_template()
    Path("data.bin").write_bytes(os.urandom(20 * MB))
    peaks = []
    for rows in (100, 1_000):
        a_list(rows)
        with smtp_sink() as port:
            words = ["--attach", "data.bin", "--connections", "50", "-c", f"rows-{rows}"]
            seconds, cpu_s, peak_mb = measured(*bulk_words(f"smtp://127.0.0.1:{port}", *words))
        peaks.append(peak_mb)
        with capsys.disabled():
            print(
                f"\n20 MB to {rows} recipients, 50 connections: {seconds:.0f} s, {cpu_s / rows * 1e3:.1f} ms of CPU a "
                f"message, {peak_mb:.0f} MB at the peak"
            )
    # Encoded once 27 MB; a copy for each message in flight would be 1,400 MB.
    assert peaks[1] < peaks[0] + 15
    assert peaks[1] < 200

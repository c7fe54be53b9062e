"""A long run keeps its speed and its memory: the first tenth and the last tenth, and resident memory on the way."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from array import array
from bisect import bisect_left
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks import results
from benchmarks.cases import KB, QUICK, Case
from benchmarks.contestants import Place, bulk_words
from benchmarks.mailing_of_size import list_of, message_bytes_of
from servers.smtp_sink import smtp_sink

from mailblast.journal.folder import CampaignFolder

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3_600)]

ROWS = int(os.environ.get("BENCH_LONG_ROWS", "2000" if QUICK else "1000000"))
CASE = Case("long run", ROWS, size_bytes=KB)
CAMPAIGN = "long"
#: Messages at either end whose speed is compared: the first and the last 100,000 of a million.
END_ROWS = ROWS // 10
#: Shares of the run at which memory is told.
AT = (0.1, 0.5, 1.0)
SAMPLE_S = 0.05 if QUICK else 0.5
#: By how much the last ones may be slower, and by how many MB memory may grow from a tenth of the run to its end.
SLOWER = 0.1
GROWTH_MB = 60.0


def resident_mb(pid: int) -> float:
    """Return what a process has in memory; 0 where it is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / KB
    return 0.0


def run_and_watch(port: int) -> list[tuple[float, float]]:
    """Run the command; return resident memory in MB by the time of day, as sampled."""
    words = [sys.executable, "-m", "mailblast", "bulk", list_of(ROWS), "-c", CAMPAIGN]
    words += bulk_words(CASE, Place(port, 0, None, None, None))
    samples: list[tuple[float, float]] = []
    with Path("errors.txt").open("wb") as errors:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            while process.poll() is None:
                if (mb := resident_mb(process.pid)) > 0:
                    samples.append((time.time(), mb))
                time.sleep(SAMPLE_S)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == 0, Path("errors.txt").read_text(encoding="utf-8")[-2000:]
    return samples


def accepted_at() -> array[float]:
    """Return the times at which messages were accepted, in order, as the journal has them."""
    path = CampaignFolder(Path(".mailblast"), CAMPAIGN).database
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return array("d", (row[0] for row in database.execute("SELECT time FROM recipient ORDER BY time")))


def memory_at(samples: list[tuple[float, float]]) -> Callable[[float], float]:
    """Return what tells the memory at a time: the last sample before it, else the first."""
    times = [time_s for time_s, _ in samples]
    return lambda time_s: samples[max(bisect_left(times, time_s) - 1, 0)][1]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_last_tenth_is_as_fast_as_the_first_and_memory_stays_flat() -> None:
    with smtp_sink() as port:
        samples = run_and_watch(port)
    times = accepted_at()
    assert ROWS == len(times)
    first = END_ROWS / (times[END_ROWS - 1] - times[0])
    last = END_ROWS / (times[-1] - times[-END_ROWS])
    every = ROWS / (times[-1] - times[0])
    memory = {f"{share:.0%}": memory_at(samples)(times[int(ROWS * share) - 1]) for share in AT}
    results.print_table(
        f"{ROWS:,} messages of {message_bytes_of(CASE.size_bytes):,} bytes, one process",
        ("part", "messages/s"),
        [(f"first {END_ROWS:,}", f"{first:,.0f}"), (f"last {END_ROWS:,}", f"{last:,.0f}"), ("all", f"{every:,.0f}")],
    )
    rows = [(f"at {share}", f"{mb:.0f}") for share, mb in memory.items()]
    most = max(mb for _, mb in samples)
    results.print_table("Resident memory, parent process", ("", "MB"), [*rows, ("most", f"{most:.0f}")])
    speeds = {"first_per_s": first, "last_per_s": last, "per_s": every, "ratio": last / first}
    results.record("long_run", {"rows": ROWS, **speeds, "resident_mb": memory, "most_mb": most})
    assert QUICK or last >= (1 - SLOWER) * first
    assert memory["100%"] - memory["10%"] < GROWTH_MB

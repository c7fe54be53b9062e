"""A long run keeps its speed and its memory: the first tenth and the last tenth, and resident memory on the way.

Speed is told twice: by the clock, which on a busy machine also tells what else was running at either end, and by the
processor time of a message, which does so less and is what is held to the limit.
"""

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
from typing import NamedTuple

import pytest
from benchmarks import results
from benchmarks.cases import KB, QUICK, Case
from benchmarks.contestants import Place, bulk_words
from benchmarks.mailing_of_size import list_of, message_bytes_of
from servers.smtp_sink import smtp_sink

from mailblast.journal.folder import CampaignFolder

pytestmark = [pytest.mark.bench, pytest.mark.timeout(3_600)]

ROWS = int(os.environ.get("BENCH_LONG_ROWS", "2000" if QUICK else "1000000"))
CASE = Case("long run", ROWS, size_bytes=KB)
CAMPAIGN = "long"
#: Messages at either end whose speed is compared: the first and the last 100,000 of a million.
END_ROWS = ROWS // 10
#: Shares of the run at which memory is told.
AT = (0.1, 0.5, 1.0)
SAMPLE_S = 0.05 if QUICK else 0.5
#: By how much the last ones may cost more, and by how many MB memory may grow from a tenth of the run to its end.
DEARER = 0.1
GROWTH_MB = 60.0


class Sample(NamedTuple):
    """A look at a process."""

    time_s: float
    resident_mb: float
    #: Processor seconds so far.
    cpu_s: float


def look_at(pid: int) -> Sample | None:
    """Return what a process has and has used; None where it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    kb = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")), 0)
    # User and system time are fields 14 and 15 of proc_pid_stat(5), counted from 1 and the name in brackets.
    ticks = int(fields[11]) + int(fields[12])
    return Sample(time.time(), kb / KB, ticks / os.sysconf("SC_CLK_TCK")) if kb else None


def run_and_watch(port: int) -> list[Sample]:
    """Run the command; return looks at it in order."""
    words = [sys.executable, "-m", "mailblast", "bulk", list_of(ROWS), "-c", CAMPAIGN]
    words += bulk_words(CASE, Place(port, 0, None, None, None))
    samples: list[Sample] = []
    with Path("errors.txt").open("wb") as errors:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=errors)
        try:
            while process.poll() is None:
                if (sample := look_at(process.pid)) is not None:
                    samples.append(sample)
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


def memory_at(samples: list[Sample], time_s: float) -> float:
    """Return the memory in MB at a time: of the last look before it, else the first."""
    return samples[max(bisect_left(samples, (time_s,)) - 1, 0)].resident_mb


def cpu_at(samples: list[Sample], time_s: float) -> float:
    """Return the processor seconds used until a time, between two looks in proportion."""
    after = min(max(bisect_left(samples, (time_s,)), 1), len(samples) - 1)
    (before_s, _, before), (after_s, _, used) = samples[after - 1], samples[after]
    return before + (used - before) * (time_s - before_s) / (after_s - before_s)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="resident memory is read from /proc")
def test_last_tenth_is_as_fast_as_the_first_and_memory_stays_flat() -> None:
    with smtp_sink() as port:
        samples = run_and_watch(port)
    times = accepted_at()
    assert ROWS == len(times)
    parts = {
        f"first {END_ROWS:,}": (0, END_ROWS - 1),
        f"last {END_ROWS:,}": (ROWS - END_ROWS, ROWS - 1),
        "all": (0, ROWS - 1),
    }
    speeds: dict[str, tuple[float, float]] = {}
    for name, (begin, end) in parts.items():
        count, begin_s, end_s = end - begin + 1, times[begin], times[end]
        cpu_s = cpu_at(samples, end_s) - cpu_at(samples, begin_s)
        speeds[name] = count / (end_s - begin_s), cpu_s / count * 1e6
    memory = {f"{share:.0%}": memory_at(samples, times[int(ROWS * share) - 1]) for share in AT}
    most = max(sample.resident_mb for sample in samples)
    results.print_table(
        f"{ROWS:,} messages of {message_bytes_of(CASE.size_bytes):,} bytes, one process",
        ("part", "messages/s", "processor µs each"),
        [(name, f"{per_s:,.0f}", f"{cpu_us:.1f}") for name, (per_s, cpu_us) in speeds.items()],
    )
    rows = [(f"at {share}", f"{mb:.0f}") for share, mb in memory.items()]
    results.print_table("Resident memory", ("", "MB"), [*rows, ("most", f"{most:.0f}")])
    figures = {name: {"per_s": per_s, "cpu_us": cpu_us} for name, (per_s, cpu_us) in speeds.items()}
    results.record("long_run", {"rows": ROWS, "parts": figures, "resident_mb": memory, "most_mb": most})
    (_, first), (_, last), _ = speeds.values()
    assert QUICK or last <= (1 + DEARER) * first
    assert memory["100%"] - memory["10%"] < GROWTH_MB

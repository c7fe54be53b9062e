"""How fast lists are read, and that memory does not grow with them. Each measurement is a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.bench

ROWS = 1_000_000
#: Rows after which the process has all that it will ever need.
WARM_ROWS = 50_000
MAX_GROWTH_MB = 20
MIN_ROWS_PER_S = 400_000
#: Beyond reading the list, on one core.
MAX_RECIPIENT_US = 3.0

MEASURE = """
import json, resource, sys, time
from mailblast.lists.rows import ListSettings, open_list
from mailblast.recipients.recipients import RecipientSettings, read_recipients

name, stage, warm = sys.argv[1], sys.argv[2], int(sys.argv[3])

def peak_mb():
    # On Linux ru_maxrss outlives exec: a small child would show the peak of its parent. VmHWM begins anew.
    if sys.platform == "linux":
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20

with open_list(name, ListSettings()) as reader:
    rows = iter(reader)
    if stage == "recipients":
        rows = read_recipients(rows, RecipientSettings(), columns=reader.columns, name=reader.name)
    began = time.process_time()
    kept = []
    before = 0.0
    for count, row in enumerate(rows, start=1):
        if count == warm:
            before = peak_mb()
        if stage == "kept":
            kept.append(row)
    seconds = time.process_time() - began
print(json.dumps({"rows": count, "seconds": seconds, "growth_mb": peak_mb() - before, "last": type(row).__name__}))
"""


def run(name: Path, stage: str, warm_rows: int = WARM_ROWS) -> dict[str, Any]:
    """Read a list in a process of its own and return what it took."""
    command = [sys.executable, "-c", MEASURE, str(name), stage, str(warm_rows)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def measure(name: Path, stage: str) -> dict[str, float]:
    """Return the best of three runs."""
    runs = [run(name, stage) for _ in range(3)]
    assert {ROWS} == {one["rows"] for one in runs}
    assert {"Recipient" if stage == "recipients" else "Row"} == {one["last"] for one in runs}
    return {"seconds": min(one["seconds"] for one in runs), "growth_mb": max(one["growth_mb"] for one in runs)}


@pytest.fixture(scope="module")
def million(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a list of a million rows with five columns."""
    path = tmp_path_factory.mktemp("lists") / "million.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("email,name,plan,signup_date,city\n")
        file.writelines(f"user{number}@example.com,Some Name,premium,2026-01-02,Berlin\n" for number in range(ROWS))
    return path


@pytest.mark.timeout(300)
def test_million_rows_are_read_fast_in_flat_memory(million: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = measure(million, "rows")
    recipients = measure(million, "recipients")
    rows_per_s = ROWS / rows["seconds"]
    recipient_us = (recipients["seconds"] - rows["seconds"]) / ROWS * 1e6
    with capsys.disabled():
        print(
            f"\nlists: {rows_per_s:,.0f} rows/s, {rows['growth_mb']:.1f} MB of growth;"
            f" recipients: {recipient_us:.2f} µs more a row, {recipients['growth_mb']:.1f} MB of growth"
        )
    assert max(rows["growth_mb"], recipients["growth_mb"]) < MAX_GROWTH_MB
    assert rows_per_s >= MIN_ROWS_PER_S
    assert recipient_us <= MAX_RECIPIENT_US


def test_rows_that_are_kept_show_as_growth(million: Path) -> None:
    # The check on the check: this is what a leak of every row looks like.
    assert run(million, "kept")["growth_mb"] > 10 * MAX_GROWTH_MB


@pytest.mark.timeout(300)
def test_line_of_a_gigabyte_is_skipped_in_flat_memory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.write(b"email,name\na@b.co,A\nb@b.co,")
        file.truncate(2**30)
        file.seek(0, 2)
        file.write(b"\nc@b.co,C\n")
    result = run(path, "rows", warm_rows=1)
    with capsys.disabled():
        print(f"\nlists: a line of 1 GB in {result['seconds']:.1f} s, {result['growth_mb']:.1f} MB of growth")
    assert 3 == result["rows"]
    assert result["growth_mb"] < MAX_GROWTH_MB

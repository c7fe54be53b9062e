"""What the journal costs a run: the same mailing with it, and with one that keeps nothing, in turn."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mailing import write_inputs
from servers.smtp_sink import smtp_sink

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

WITHOUT = str(Path(__file__).with_name("without_journal.py"))
ROWS = int(os.environ.get("BENCH_ROWS", "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
MAX_COST = 0.15


def cpu_seconds(command: list[str], port: int) -> float:
    """Return the processor time of one run, its start included: on a shared machine it is steadier than a clock."""
    shutil.rmtree(".mailblast", ignore_errors=True)
    words = ["bulk", "list.csv", "-t", "body.html", "-s", "x", "-q", "--json", "--connections", "10"]
    words += ["--via", f"smtp://127.0.0.1:{port}", "--from", "s@example.com"]
    before = os.times()
    subprocess.run([*command, *words], check=True, capture_output=True, timeout=600)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def test_journal_costs_at_most_15_percent() -> None:
    write_inputs(ROWS)
    spent: dict[str, list[float]] = {"with": [], "without": []}
    with smtp_sink() as port:
        for _ in range(ROUNDS):
            spent["with"].append(cpu_seconds([sys.executable, "-m", "mailblast"], port))
            spent["without"].append(cpu_seconds([sys.executable, WITHOUT], port))
    # The least of several: what else runs on the machine only ever adds to it.
    least = {name: min(values) for name, values in spent.items()}
    cost = 1 - least["without"] / least["with"]
    for name, seconds in least.items():
        print(f"\n  {name:<8} {seconds / ROWS * 1e6:6.1f} µs of processor time a message", end="")
    print(f"\n  cost     {cost:.1%} of the throughput")
    assert cost <= MAX_COST

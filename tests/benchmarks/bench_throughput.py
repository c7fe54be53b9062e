"""Messages a second, side by side in one run: the installed program, and what others would use.

Everything goes to Postfix's ``smtp-sink`` on loopback: personalised text and HTML of about 5 KB from a CSV list, our
journal on, our dashboard off. Figures are medians of several rounds in turn, so that a noisy moment meets all alike.

Of ours the whole command counts, a third of a second of start-up included: with 100,000 rows it weighs as it does in
real mailings. Rivals are measured by their own clock, without their start, and slower ones get fewer rows, for only
rates are compared. Our connections are renewed after 100 messages, our default; theirs never.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.smtppool import smtppool
from mailing import write_inputs
from servers.smtp_sink import smtp_sink

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.bench, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
RIVALS = Path(__file__).parent / "rivals"
MAILBLAST = [sys.executable, "-m", "mailblast"]
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
ROWS = int(os.environ.get("BENCH_ROWS", "100000"))
#: Share of the rows that slower ones get, so that a round of all takes half a minute.
PLAIN_ROWS, NODEMAILER_ROWS, SMTPPOOL_ROWS = ROWS // 25, ROWS // 10, ROWS // 2
CONNECTIONS = "10"


def ours(port: int, *options: str) -> float:
    """Return messages a second of the whole process, start-up included."""
    shutil.rmtree(".mailblast", ignore_errors=True)
    command = [*MAILBLAST, "bulk", "list.csv", "-t", "body.html", "-s", "Welcome, {{ name }}", "--quiet", "--json"]
    command += ["--via", f"smtp://127.0.0.1:{port}", "--from", "sender@example.com", "--connections", CONNECTIONS]
    started = time.perf_counter()
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True, timeout=600)
    seconds = time.perf_counter() - started
    accepted: int = json.loads(done.stdout)["counts"]["accepted"]
    return accepted / seconds


def rival(command: list[str], port: int, rows: int) -> float:
    """Return messages a second as the rival's own clock has it, start-up left out."""
    shorter = Path(f"list-{rows}.csv")
    if not shorter.exists():
        with Path("list.csv").open(encoding="utf-8") as whole:
            shorter.write_text("".join(islice(whole, rows + 1)), encoding="utf-8")
    words = [*command, "127.0.0.1", str(port), str(shorter), "body.html", "body.txt", CONNECTIONS]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=600)
    sent, seconds = done.stdout.split()
    return int(sent) / float(seconds)


def smtp_source(port: int) -> float:
    """Return messages a second of Postfix's own generator, which renders nothing."""
    program = shutil.which("smtp-source") or "/usr/sbin/smtp-source"
    started = time.perf_counter()
    words = [program, "-s", CONNECTIONS, "-m", str(ROWS), "-l", "5000", "-d", f"127.0.0.1:{port}"]
    subprocess.run(words, check=True, timeout=600, capture_output=True)
    return ROWS / (time.perf_counter() - started)


def contestants() -> dict[str, Callable[[int], float]]:
    runners: dict[str, Callable[[int], float]] = {
        "mailblast": ours,
        "mailblast, auto": lambda port: ours(port, "--processes", "auto"),
        "plain Python": lambda port: rival([sys.executable, str(RIVALS / "plain_python.py")], port, PLAIN_ROWS),
        "smtp-source": smtp_source,
    }
    if (pool := smtppool()) is not None:
        runners["listmonk's pool"] = lambda port: rival([str(pool)], port, SMTPPOOL_ROWS)
    node = shutil.which("node")
    modules = os.environ.get("NODE_PATH", "")
    if node and modules and (Path(modules) / "nodemailer").is_dir():
        runners["nodemailer"] = lambda port: rival([node, str(RIVALS / "nodemailer_pool.cjs")], port, NODEMAILER_ROWS)
    return runners


def test_throughput_against_others() -> None:
    write_inputs(ROWS)
    rates: dict[str, list[float]] = {name: [] for name in contestants()}
    with smtp_sink() as port:
        for _ in range(ROUNDS):
            for name, measure in contestants().items():
                rates[name].append(measure(port))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    print(f"\n{ROWS:,} messages of 5 KB, {CONNECTIONS} connections, median of {ROUNDS}")
    for name, rate in medians.items():
        one, two = (medians[ours] / rate for ours in ("mailblast", "mailblast, auto"))
        print(f"  {name:<24} {rate:>9,.0f}/s  mailblast is {one:.2f} times as fast, with --processes auto {two:.2f}")
    # A floor that a noisy machine keeps as well; the figures that count are printed.
    assert medians["mailblast"] > 5 * medians["plain Python"]


def test_throughput_does_not_fall_with_the_list_and_memory_stays_flat() -> None:
    rows = int(os.environ.get("BENCH_LONG_ROWS", "300000"))
    write_inputs(rows)
    with smtp_sink() as port:
        for count in (rows // 10, rows):
            shutil.rmtree(".mailblast", ignore_errors=True)
            code = (
                "import resource, sys\nfrom mailblast.cli.app import run\n"
                "assert run(sys.argv[1:]) == 0\n"
                "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
            )
            words = ["bulk", "list.csv", "-t", "body.html", "-s", "x", "-q", "--json", "--limit", str(count)]
            words += ["--via", f"smtp://127.0.0.1:{port}", "--from", "s@example.com", "--connections", CONNECTIONS]
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
            rate = count / (time.perf_counter() - started)
            print(f"\n  {count:>9,} rows: {rate:,.0f}/s, {int(done.stdout.split()[-1]) / 1024:.0f} MB resident")
            if count < rows:
                base, first = int(done.stdout.split()[-1]), rate
    assert int(done.stdout.split()[-1]) - base < 100 * 1024
    assert rate > 0.8 * first

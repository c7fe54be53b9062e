"""How many mails a second go to SendGrid, the list read and the journal on; its stand-in is a process of its own.

The stand-in checks every request by SendGrid's rules and throws it away, so what is measured is ours.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mailing import write_inputs
from servers.sendgrid_fake import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.bench, pytest.mark.timeout(600)]

ROWS = int(os.environ.get("BENCH_ROWS", "20000"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
LEAST_PER_S = 5000.0
TESTS = Path(__file__).resolve().parents[1]


@contextlib.contextmanager
def stand_in() -> Iterator[int]:
    """Run the server; return its port."""
    with subprocess.Popen(
        [sys.executable, str(TESTS / "servers" / "sendgrid_fake.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


def test_sendgrid_takes_at_least_5000_a_second() -> None:
    write_inputs(ROWS)
    best = 0.0
    with stand_in() as port:
        command = [sys.executable, "-m", "mailblast", "bulk", "list.csv", "-t", "body.html", "-s", "x", "-q", "--json"]
        command += ["--yes", "--from", "s@example.org", "--via", f"sendgrid://?endpoint=http://127.0.0.1:{port}"]
        for _ in range(ROUNDS):
            shutil.rmtree(".mailblast", ignore_errors=True)
            started_s = time.perf_counter()
            done = subprocess.run(
                command, check=True, capture_output=True, timeout=300, env={**os.environ, "SENDGRID_API_KEY": KEY}
            )
            document = json.loads(done.stdout)
            assert ROWS == document["counts"]["accepted"]
            took_s = time.perf_counter() - started_s
            best = max(best, document["rate_per_s"])
            print(f"\n  {document['rate_per_s']:>8,.0f} mails a second, {took_s:.2f} s with start and end", end="")
    print()
    assert best >= LEAST_PER_S

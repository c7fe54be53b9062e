"""What a queue at a server costs for a message, and what a second worker brings.

    python tests/benchmarks/bench_queue.py [ROWS]

CPU is that of all our processes for a message: the list is read, put, leased, sent and taken home. Redis' own is shown
by itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from servers.mailblast_process import PROGRAM, a_list, a_template
from servers.redis_server import RedisServer
from servers.smtp_sink import smtp_sink

if TYPE_CHECKING:
    from collections.abc import Sequence

LONGEST_S = 120.0


def cpu_of(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """Wait for these to end; return their CPU seconds."""
    total = 0.0
    for process in processes:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        total += usage.ru_utime + usage.ru_stime
    return total


def start(*words: str) -> subprocess.Popen[bytes]:
    """Start a command that says nothing."""
    return subprocess.Popen([PROGRAM, *words, "-q"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def redis_cpu(server: RedisServer) -> float:
    """Return the CPU seconds of a Redis."""
    fields = Path(f"/proc/{server.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(rows: int, dsn: str, redis: RedisServer, workers: int, name: str) -> tuple[float, float, float, float]:
    """Send a list by so many workers, 0 for none and no queue; return seconds, CPU of bulk, of workers and of Redis."""
    words = ["bulk", "list.csv", "-t", "welcome.html", "--via", dsn, "--from", "n@example.com", "--rate", "none"]
    words += ["--campaign", name, "--connections", "10"]
    before = redis_cpu(redis)
    running = [start("worker", "--queue", redis.url, "--connections", "10") for _ in range(workers)]
    # Their starts are no part of it.
    time.sleep(2.0 if workers else 0.0)
    started_s = time.monotonic()
    bulk = start(*words, *(["--queue", redis.url, "--wait"] if workers else []))
    cpu = cpu_of([bulk])
    seconds = time.monotonic() - started_s
    for each in running:
        each.terminate()
    workers_cpu = cpu_of(running)
    assert bulk.returncode == 0, bulk.returncode
    return seconds, cpu, workers_cpu, redis_cpu(redis) - before


def main() -> None:
    """Print the figures."""
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder, smtp_sink() as port:
        os.chdir(folder)
        a_template()
        a_list(rows)
        redis = RedisServer("redis-server", Path(folder) / "redis")
        redis.start()
        try:
            for workers in (0, 1, 2):
                name = f"c{workers}-{time.monotonic_ns()}"
                seconds, cpu, by_workers, by_redis = measure(rows, f"smtp://127.0.0.1:{port}", redis, workers, name)
                print(
                    f"{workers} workers: {rows / seconds:7,.0f}/s, bulk {cpu / rows * 1e6:4.0f} µs CPU a message, "
                    f"workers {by_workers / rows * 1e6:4.0f} µs, "
                    f"Redis {by_redis / rows * 1e6:4.0f} µs"
                )
        finally:
            redis.stop()


if __name__ == "__main__":
    main()

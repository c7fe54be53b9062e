"""Memory of a long campaign through a queue at a server: coordinator, worker and Redis, for two lengths.

    python tests/benchmarks/bench_queue_long.py [SHORT LONG]

Peak resident memory (``VmHWM``) of both sides must not grow with the list, but for what the journal keeps for each
recipient (4 bytes); that of Redis by its ledger, one byte for each.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import redis as client
from servers.mailblast_process import PROGRAM, a_list, a_template
from servers.redis_server import RedisServer
from servers.smtp_sink import smtp_sink

#: What a side may grow by, in MB.
MOST_MB = 60.0
LOOK_S = 0.1


class Peaks(NamedTuple):
    """Peaks in MB, and how long it took."""

    seconds: float
    coordinator: float
    worker: float
    redis: float


def peak_mb(pid: int) -> float:
    """Return the peak of a process's resident memory so far; 0 where it has ended."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    found = re.search(r"^VmHWM:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def start(*words: str) -> subprocess.Popen[bytes]:
    """Start a command that says nothing."""
    return subprocess.Popen([PROGRAM, *words, "-q"], stdout=subprocess.DEVNULL)


def measure(rows: int, port: int, *, waits: bool) -> Peaks:
    """Send a list by one worker, in a folder, with a coordinator and with a Redis of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        a_template()
        a_list(rows)
        redis = RedisServer("redis-server", Path(folder) / "redis")
        redis.start()
        worker = start("worker", "--queue", redis.url, "--connections", "10")
        words = ["bulk", "list.csv", "-t", "welcome.html", "--via", f"smtp://127.0.0.1:{port}", "--rate", "none"]
        words += ["--from", "n@example.com", "--queue", redis.url, *(["--wait"] if waits else [])]
        began_s = time.monotonic()
        bulk = start(*words)
        try:
            of_bulk = of_worker = of_redis = 0.0
            with client.Redis(port=redis.port) as connection:
                while bulk.poll() is None:
                    of_bulk, of_worker = max(of_bulk, peak_mb(bulk.pid)), max(of_worker, peak_mb(worker.pid))
                    of_redis = max(of_redis, connection.info("memory")["used_memory"] / 2**20)
                    time.sleep(LOOK_S)
            assert bulk.returncode == 0, bulk.returncode
            return Peaks(time.monotonic() - began_s, of_bulk, of_worker, of_redis)
        finally:
            bulk.kill()
            worker.terminate()
            worker.wait()
            redis.stop()
            os.chdir("/")


def main() -> None:
    """Print the figures."""
    short, long = (int(word) for word in sys.argv[1:3]) if len(sys.argv) > 2 else (100_000, 1_000_000)
    with smtp_sink() as port:
        for waits in (True, False):
            found = []
            for rows in (short, long):
                peaks = measure(rows, port, waits=waits)
                found.append(peaks)
                print(
                    f"{'--wait' if waits else 'no wait':<7} {rows:9,} rows: {rows / peaks.seconds:6,.0f}/s, peaks: "
                    f"coordinator {peaks.coordinator:5.1f} MB, worker {peaks.worker:5.1f} MB, "
                    f"Redis {peaks.redis:5.1f} MB",
                    flush=True,
                )
            first, last = found
            assert last.coordinator - first.coordinator < MOST_MB, found
            assert last.worker - first.worker < MOST_MB, found


if __name__ == "__main__":
    main()

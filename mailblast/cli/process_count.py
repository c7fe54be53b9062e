"""How many local processes share a run."""

from __future__ import annotations

import os

from mailblast.errors import UsageError

MAX_PROCESSES = 64
#: ``auto``.
ALL_CORES = 0
#: With fewer connections one process has time enough for them, and another one only makes the end of the list uneven.
CONNECTIONS_EACH = 5


def parse_processes(text: str) -> int:
    """Read a number of processes; ``auto`` is ``ALL_CORES``.

    Raises:
        UsageError: The text is neither.
    """
    if text == "auto":
        return ALL_CORES
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_PROCESSES:
        raise UsageError(f"--processes '{text}' is no number of processes.", fix=f"Give 1 to {MAX_PROCESSES}, or auto.")
    return int(text)


def process_count(wanted: int, connections: int) -> int:
    """Return how many processes share so many connections: none is without one.

    Args:
        wanted: A number, or ``ALL_CORES``: one for each core that this process may use and five connections.
        connections: Of the provider.
    """
    if wanted != ALL_CORES:
        return min(wanted, connections)
    return max(1, min(_cores(), connections // CONNECTIONS_EACH))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

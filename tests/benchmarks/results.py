"""Where figures go: on the screen as tables, and into one JSON file with the machine they were taken on."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Taken at import: a test has a folder of its own.
PATH = Path(os.environ.get("BENCH_JSON") or Path(tempfile.gettempdir()) / "bench.json").absolute()


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    model = "unknown"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": [round(each, 2) for each in os.getloadavg()],
        "go": shutil.which("go") is not None,
    }


def record(section: str, figures: dict[str, Any]) -> None:
    """Put a section into the file, in place of an earlier one of its name."""
    document: dict[str, Any] = {}
    if PATH.exists():
        document = json.loads(PATH.read_text(encoding="utf-8") or "{}")
    time_text = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document[section] = {"time": time_text, "command": sys.argv, "machine": machine(), **figures}
    PATH.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"  written to {PATH}")


def print_table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table, the first column left, the others right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    print(f"\n{title}")
    for row in [head, *rows]:
        first, *others = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join([row[0].ljust(len(first)), *others]))

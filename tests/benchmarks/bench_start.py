"""How long the program takes to say what it can do, against the import of the library that its commands are made of."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.bench, pytest.mark.timeout(300)]

ROUNDS = 15
#: The promise: no more than this many times the bare import.
MOST = 1.5


def seconds(*words: str) -> float:
    started = time.perf_counter()
    # Compiled modules are kept, as they are where the program is installed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**kept, "PYTHONPYCACHEPREFIX": str(Path.cwd() / "compiled")}
    subprocess.run([sys.executable, *words], check=True, capture_output=True, timeout=60, env=environment)
    return time.perf_counter() - started


def test_help_against_the_bare_import() -> None:
    ours, bare = ("-m", "mailblast", "--help"), ("-c", "import typer")
    times = [(seconds(*ours), seconds(*bare)) for _ in range(ROUNDS)]
    # Of each the least: what is more is the machine's.
    helped, imported = (min(each) for each in zip(*times, strict=True))
    told = f"mailblast --help: {helped * 1e3:.0f} ms, import typer: {imported * 1e3:.0f} ms"
    print(f"\n  {told}, {helped / imported:.2f} times")
    assert helped <= MOST * imported

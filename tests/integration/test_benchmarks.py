"""The bench itself, with a handful of rows, so that it still works when somebody wants its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from servers.availability import program

ROOT = Path(__file__).parents[2]
#: Long enough for a machine that is busy with other tests.
SECONDS = 55


def test_quick_bench_measures_everybody_in_every_case(tmp_path: Path) -> None:
    program("smtp-sink", "postfix")
    figures = tmp_path / "bench.json"
    # What is tried is the bench, not the speed of the program under coverage.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "PYTEST_"))}
    words = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "benchmarks"), "-m", "bench", "-q", "--no-cov"]
    words += ["-k", "bench_matrix or bench_stages or bench_long_run", "-p", "no:cacheprovider", "-p", "no:randomly"]
    done = subprocess.run(
        [*words, f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}"],
        env=environment | {"BENCH_QUICK": "1", "BENCH_JSON": str(figures)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    document = json.loads(figures.read_text(encoding="utf-8"))
    assert {"matrix", "stages", "long_run"} == document.keys()
    cases = {case["name"]: case["medians"] for case in document["matrix"]["cases"]}
    assert ["5 KB, 10 connections", "everything"] == list(cases)
    for medians in cases.values():
        assert {"mailblast", "mailblast, auto", "plain Python"} <= medians.keys()
        assert min(medians.values()) > 0
    assert "smtp-source" in cases["5 KB, 10 connections"]
    micros = document["stages"]["micros"]
    assert ["read", "render", "build", "journal", "socket", "start", "rest", "whole"] == list(micros)
    assert abs(micros.pop("whole") - sum(micros.values())) < 0.001
    assert {"10%", "50%", "100%"} == document["long_run"]["resident_mb"].keys()

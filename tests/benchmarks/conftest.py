"""Benchmarks are modules named ``bench_*.py``; they are collected where ``-m bench`` asks for them."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect a benchmark that was not named by itself, which pytest collects anyway."""
    config = parent.config
    known = any(fnmatch(file_path.name, pattern) for pattern in config.getini("python_files"))
    wanted = config.option.markexpr == "bench" and fnmatch(file_path.name, "bench_*.py")
    if not wanted or known or parent.session.isinitpath(file_path):
        return None
    return pytest.Module.from_parent(parent, path=file_path)


@pytest.fixture(autouse=True)
def _compiled_modules_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Have programs keep their compiled modules, as they do where they are installed; a machine may forbid it."""
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.getbasetemp() / "compiled"))

"""A server program that is missing: its tests are skipped here, and fail where CI is set."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest


def program(name: str, package: str) -> str:
    """Return the path of a server program."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        reason = f"{name} is not installed (Debian package {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return str(Path(found))

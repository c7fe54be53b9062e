from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from mailblast.delivery.warm_up import MAX_BYTES, RAMP, read_ramp
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_ramp_begins_low_and_doubles() -> None:
    assert RAMP[:4] == (50, 100, 200, 400)
    assert all(after == 2 * before for before, after in itertools.pairwise(RAMP))


def test_table_is_read_with_comments_and_separators(tmp_path: Path) -> None:
    path = tmp_path / "ramp"
    path.write_text("\ufeff# my ramp\n10, 20;30\n\n40\t50 # steady\n", encoding="utf-8")
    assert read_ramp(path) == (10, 20, 30, 40, 50)


@pytest.mark.parametrize("text", ["", "# nothing", "10 ten", "0", "-5", "1.5", "10000000000", "1 " * 400, "²"])
def test_table_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ramp"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="warm-up table"):
        read_ramp(path)


def test_table_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"1 " * MAX_BYTES)
    (tmp_path / "latin").write_bytes(b"\xe9")
    for name in ("missing", "long", "latin"):
        with pytest.raises(UsageError, match=name):
            read_ramp(tmp_path / name)

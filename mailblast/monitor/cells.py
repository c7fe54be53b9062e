"""What a monitor counts in: cells, one for each provider and each recipient domain of a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.monitor.histogram import BINS
from mailblast.monitor.snapshot import Figures

if TYPE_CHECKING:
    from collections.abc import Iterable


class Cell:
    """One provider or domain in one second, or in the whole run."""

    __slots__ = ("failed", "sent", "spent_s")

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.spent_s = 0.0

    def add(self, other: Cell) -> None:
        """Add what another one counted."""
        self.sent += other.sent
        self.failed += other.failed
        self.spent_s += other.spent_s


class Second:
    """One slot of the ring."""

    __slots__ = ("cells", "domains", "times", "unattempted")

    def __init__(self) -> None:
        self.cells: dict[str, Cell] = {}
        self.domains: dict[str, Cell] = {}
        self.times = [0] * BINS
        #: Outcomes without an attempt.
        self.unattempted = 0


def total_of(parts: Iterable[dict[str, Cell]]) -> dict[str, Cell]:
    """Return new cells by name, each the sum of those of that name."""
    total: dict[str, Cell] = {}
    for part in parts:
        for name, cell in part.items():
            total.setdefault(name, Cell()).add(cell)
    return total


def by_size(item: tuple[str, Cell]) -> tuple[int, str]:
    """Sort the largest first, those of one size by name."""
    name, cell = item
    return -(cell.sent + cell.failed), name


def figures_of(name: str, window: Cell | None, total: Cell, window_s: float) -> Figures:
    """Return what is shown of one name; it may have no cell in the window."""
    if window is None:
        return Figures(name, 0, 0, 0.0, 0.0, total.sent, total.failed)
    attempted = window.sent + window.failed
    average_ms = 1_000 * window.spent_s / attempted
    return Figures(name, window.sent, window.failed, average_ms, attempted / window_s, total.sent, total.failed)

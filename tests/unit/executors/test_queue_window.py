"""How many batches a worker has at once."""

from __future__ import annotations

from mailblast.executors.queue.window import FIRST, SOON_S, Window


def test_window_grows_while_batches_are_done_soon_and_goes_back_when_they_are_not() -> None:
    window = Window(12)
    sizes = []
    for now_s in (0.0, 0.05, 0.1, 0.15, 1.0, 2.0, 3.0):
        window.leased(now_s)
        sizes.append(window.size)
    assert [FIRST, 8, 12, 12, 6, 4, 4] == sizes


def test_window_is_never_larger_than_asked_for() -> None:
    window = Window(2)
    for step in range(3):
        window.leased(step * SOON_S / 2)
    assert 2 == window.size
    window.leased(100.0)
    assert 2 == window.size

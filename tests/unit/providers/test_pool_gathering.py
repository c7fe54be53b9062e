"""How many bodies share a commit."""

from __future__ import annotations

import asyncio

from fakes import FakeClock
from servers.held_marks import HeldMarks
from servers.list_deliveries import ListDeliveries

from mailblast.providers.smtp.load import EVERY_S, Load
from mailblast.providers.smtp.pool import Pool
from mailblast.providers.smtp.settings import SmtpSettings


class Due:
    """A connection with a body to write."""

    closed = False

    def __init__(self, written: list[str], name: str) -> None:
        self._written = written
        self._name = name
        self.looked_ahead = 0

    def mark(self, _begin: object) -> bool:
        return True

    def look_ahead(self) -> None:
        self.looked_ahead += 1

    def write_body(self) -> None:
        self._written.append(self._name)


class Fixed(Load):
    """Says what it is told to."""

    def __init__(self, *, is_high: bool) -> None:
        super().__init__()
        self._answer = is_high

    def is_high(self) -> bool:
        return self._answer


def a_pool(deliveries: ListDeliveries, *, is_high: bool = False) -> Pool:
    pool = Pool(SmtpSettings("127.0.0.1", 25), FakeClock())
    pool._deliveries = deliveries
    pool._load = Fixed(is_high=is_high)
    return pool


async def turns(count: int = 3) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_bodies_of_one_turn_share_a_local_commit() -> None:
    written: list[str] = []
    deliveries = ListDeliveries([])
    pool = a_pool(deliveries)
    for name in ("a", "b"):
        pool.schedule(Due(written, name))  # type: ignore[arg-type]  # all that is asked of it
    await turns()
    pool.schedule(Due(written, "c"))  # type: ignore[arg-type]  # likewise
    await turns()
    assert ["a", "b", "c"] == written
    assert [("commit", 0)] * 2 == deliveries.calls


async def test_bodies_that_come_while_a_commit_is_under_way_share_the_next() -> None:
    written: list[str] = []
    deliveries = HeldMarks(0)
    pool = a_pool(deliveries)
    for name in ("a", "b", "c"):
        pool.schedule(Due(written, name))  # type: ignore[arg-type]  # all that is asked of it
        await turns()
    assert ([], 1) == (written, len(deliveries.written))
    deliveries.written[0].set_result(None)
    await turns()
    assert (["a"], 2) == (written, len(deliveries.written))
    deliveries.written[1].set_result(None)
    await turns()
    assert (["a", "b", "c"], 2) == (written, len(deliveries.written))


async def test_busy_loop_gathers_as_long_as_each_turn_brings_a_body() -> None:
    written: list[str] = []
    deliveries = HeldMarks(0)
    pool = a_pool(deliveries, is_high=True)
    dues = [Due(written, name) for name in ("a", "b", "c")]
    for due in dues[:2]:
        pool.schedule(due)  # type: ignore[arg-type]  # all that is asked of it
        await turns(1)
    assert [] == deliveries.written
    await turns()
    assert 1 == len(deliveries.written)
    assert all(due.looked_ahead for due in dues[:2])
    deliveries.written[0].set_result(None)
    await turns()
    assert ["a", "b"] == written
    pool.schedule(dues[2])  # type: ignore[arg-type]  # likewise
    await turns()
    assert 2 == len(deliveries.written)


def test_load_is_the_share_of_time_that_was_computed() -> None:
    now_s = computed_s = 0.0
    load = Load(lambda: now_s, lambda: computed_s)
    assert not load.is_high()
    now_s, computed_s = EVERY_S, 0.9 * EVERY_S
    assert load.is_high()
    # Not looked at again at once.
    now_s, computed_s = 1.5 * EVERY_S, 0.9 * EVERY_S
    assert load.is_high()
    now_s, computed_s = 3 * EVERY_S, 1.0 * EVERY_S
    assert not load.is_high()

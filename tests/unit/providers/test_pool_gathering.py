"""How many bodies share a commit."""

from __future__ import annotations

import asyncio

import pytest
from fakes import FakeClock
from servers.list_deliveries import REMOTE_S, ListDeliveries

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


def a_pool(done: list[str], *, is_remote: bool, is_high: bool = False) -> Pool:
    deliveries = ListDeliveries([], commit_is_remote=is_remote)
    deliveries.on_commit = lambda: done.append("commit")
    pool = Pool(SmtpSettings("127.0.0.1", 25), FakeClock())
    pool._deliveries = deliveries
    pool._load = Fixed(is_high=is_high)
    return pool


@pytest.mark.parametrize(
    ("is_remote", "expected"),
    [
        (False, ["commit", "a", "commit", "b", "commit", "c"]),
        # One is under way at a time; whoever comes meanwhile shares the next.
        (True, ["commit", "a", "commit", "b", "c"]),
    ],
)
async def test_bodies_that_come_while_a_commit_is_under_way_share_the_next(
    is_remote: bool,  # noqa: FBT001 - a parameter
    expected: list[str],
) -> None:
    done: list[str] = []
    pool = a_pool(done, is_remote=is_remote)
    for name in ("a", "b", "c"):
        pool.schedule(Due(done, name))  # type: ignore[arg-type]  # all that is asked of it
        await asyncio.sleep(0)
    await asyncio.sleep(3 * REMOTE_S)
    assert expected == done


async def test_busy_loop_gathers_as_long_as_each_turn_brings_a_body() -> None:
    done: list[str] = []
    pool = a_pool(done, is_remote=True, is_high=True)
    dues = [Due(done, name) for name in ("a", "b", "c")]
    for due in dues[:2]:
        pool.schedule(due)  # type: ignore[arg-type]  # all that is asked of it
        await asyncio.sleep(0)
    assert [] == done
    await asyncio.sleep(2 * REMOTE_S)
    assert ["commit", "a", "b"] == done
    assert all(due.looked_ahead for due in dues[:2])
    pool.schedule(dues[2])  # type: ignore[arg-type]  # likewise
    await asyncio.sleep(2 * REMOTE_S)
    assert ["commit", "a", "b", "commit", "c"] == done


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

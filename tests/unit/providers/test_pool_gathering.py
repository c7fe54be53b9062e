"""How many turns of the loop share a commit."""

from __future__ import annotations

import asyncio

import pytest
from fakes import FakeClock
from servers.list_deliveries import REMOTE_S, ListDeliveries

from mailblast.providers.smtp.pool import Pool
from mailblast.providers.smtp.settings import SmtpSettings


class Due:
    """A connection with a body to write."""

    closed = False

    def __init__(self, written: list[str], name: str) -> None:
        self._written = written
        self._name = name

    def mark(self, _begin: object) -> bool:
        return True

    def write_body(self) -> None:
        self._written.append(self._name)


@pytest.mark.parametrize(
    ("is_remote", "expected"),
    [(False, ["commit", "a", "commit", "b", "commit", "c"]), (True, ["commit", "a", "b", "commit", "c"])],
)
async def test_turns_that_follow_each_other_share_a_remote_commit(is_remote: bool, expected: list[str]) -> None:  # noqa: FBT001 - a parameter
    done: list[str] = []
    deliveries = ListDeliveries([], commit_is_remote=is_remote)
    deliveries.on_commit = lambda: done.append("commit")
    pool = Pool(SmtpSettings("127.0.0.1", 25), FakeClock())
    pool._deliveries = deliveries

    for name in ("a", "b"):
        pool.schedule(Due(done, name))  # type: ignore[arg-type]  # all that is asked of it
        await asyncio.sleep(0)
    # A commit to another machine takes this.
    await asyncio.sleep(2 * REMOTE_S)
    pool.schedule(Due(done, "c"))  # type: ignore[arg-type]  # likewise
    # A commit to another machine takes this.
    await asyncio.sleep(2 * REMOTE_S)

    assert expected == done

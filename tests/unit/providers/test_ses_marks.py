"""Calls to SES whose marks are on their way to another machine."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fakes import FakeClock
from servers.list_deliveries import ListDeliveries, a_message
from ses_messages import LAYOUT, StubClient, bulk_sent, composed, refused, sent

from mailblast.errors import JournalError
from mailblast.model.outcome import Disposition
from mailblast.providers.ses.provider import SesProvider
from mailblast.providers.ses.settings import Mode, SesSettings
from mailblast.providers.ses.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailblast.model.message import Message

WAIT_S = 5.0


class HeldMarks(ListDeliveries):
    """Marks are on file when the test says so."""

    def __init__(self, waiting: Iterable[Message], *, stay_open: bool = False) -> None:
        super().__init__(waiting, stay_open=stay_open, commit_is_remote=True)
        self.written: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        #: Called inside ``take()``, before anything is taken; may raise.
        self.on_take: Callable[[], None] = lambda: None

    def take(self) -> Message | None:
        self.on_take()
        return super().take()

    def commit(self) -> asyncio.Future[None]:
        self.on_commit()
        ids, self._uncommitted = self._uncommitted, set()
        self._on_the_way |= ids
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Before anybody else hears of it.
        written.add_done_callback(lambda _: self._on_the_way.difference_update(ids))
        self.written.put_nowait(written)
        return written


class FirstTwoTogether(Workers[Any, Any]):
    """The results of the first two calls come in the same turn of the event loop."""

    _are_through = False

    def collect(self) -> None:
        self._are_through = self._are_through or len(self._results) > 1
        if self._are_through:
            super().collect()
        else:
            self._woken = False


def on_file(written: asyncio.Future[None]) -> None:
    written.set_result(None)


def lost(written: asyncio.Future[None]) -> None:
    written.cancel()


def no_room(written: asyncio.Future[None]) -> None:
    written.set_exception(JournalError("It is full."))


def defect(written: asyncio.Future[None]) -> None:
    written.set_exception(RuntimeError("A defect."))


def a_provider(monkeypatch: pytest.MonkeyPatch, client: StubClient, clock: FakeClock, **changes: Any) -> SesProvider:
    monkeypatch.setattr("mailblast.providers.ses.provider.make_client", lambda _: client)
    return SesProvider(SesSettings(**{"region": "eu-west-1", "concurrency": 2, **changes}), clock=clock)


async def settled(client: StubClient, before: set[threading.Thread]) -> list[str]:
    """Return what was called after callbacks had their turn, and a name for each thread that was started for a call."""
    for _ in range(3):
        await asyncio.sleep(0)
    return [*client.names(), *(thread.name for thread in threading.enumerate() if thread not in before)]


@pytest.mark.parametrize("comes", [on_file, lost, no_room, defect])
async def test_marks_that_come_after_the_delivery_ended_by_a_defect_make_no_call(
    monkeypatch: pytest.MonkeyPatch, comes: Callable[[asyncio.Future[None]], None]
) -> None:
    def fail() -> None:
        raise RuntimeError("A message cannot be composed.")

    client = StubClient(send_email=sent)
    deliveries = HeldMarks([a_message(1)], stay_open=True)
    async with asyncio.timeout(WAIT_S):
        delivering = asyncio.create_task(a_provider(monkeypatch, client, FakeClock()).deliver(deliveries))
        written = await deliveries.written.get()
        deliveries.on_take = fail
        deliveries.add(a_message(2))
        with pytest.raises(RuntimeError, match="cannot be composed"):
            await delivering
    assert {1: Disposition.NOT_SENT} == deliveries.dispositions
    threads = set(threading.enumerate())
    comes(written)
    assert [] == await settled(client, threads)
    assert 1 == len(deliveries.attempts[1])


@pytest.mark.parametrize(
    ("comes", "raised"), [(lost, asyncio.CancelledError), (no_room, JournalError), (defect, RuntimeError)]
)
async def test_marks_that_do_not_come_on_file_make_no_call_and_end_the_delivery(
    monkeypatch: pytest.MonkeyPatch, comes: Callable[[asyncio.Future[None]], None], raised: type[BaseException]
) -> None:
    client = StubClient(send_email=sent)
    deliveries = HeldMarks([a_message(1), a_message(2)])
    async with asyncio.timeout(WAIT_S):
        delivering = asyncio.create_task(a_provider(monkeypatch, client, FakeClock()).deliver(deliveries))
        written = await deliveries.written.get()
        threads = set(threading.enumerate())
        comes(written)
        with pytest.raises(raised):
            await delivering
    assert [] == await settled(client, threads)
    assert dict.fromkeys((1, 2), Disposition.NOT_SENT) == deliveries.dispositions


def begin_a_split_beside_a_fresh_call(monkeypatch: pytest.MonkeyPatch) -> tuple[StubClient, HeldMarks, SesProvider]:
    """Make a delivery of two calls at once: 1 and 2 together, refused as such, and 4; 3 is ready and has no mark yet.

    1 and 2 come again in the turn in which 3 may start: 3 and 1 are started together.
    """
    monkeypatch.setattr("mailblast.providers.ses.sending.Workers", FirstTwoTogether)
    clock = FakeClock()
    client = StubClient(send_bulk_email=refused("BadRequestException"), send_email=sent)
    batch = [composed(1), composed(2), composed(3, layout=LAYOUT._replace()), composed(4, layout=None)]
    deliveries = HeldMarks(batch)
    # Longer than a group that is not full waits.
    deliveries.on_take = lambda: clock.advance(1.0)
    return client, deliveries, a_provider(monkeypatch, client, clock, mode=Mode.BULK)


async def test_call_that_comes_again_does_not_wait_for_the_marks_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    client, deliveries, provider = begin_a_split_beside_a_fresh_call(monkeypatch)
    async with asyncio.timeout(WAIT_S):
        delivering = asyncio.create_task(provider.deliver(deliveries))
        on_file(await deliveries.written.get())
        held = await deliveries.written.get()
        await deliveries.until_finished(3)
    assert dict.fromkeys((1, 2, 4), Disposition.ACCEPTED) == deliveries.dispositions
    delivering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await delivering
    assert Disposition.NOT_SENT is deliveries.dispositions[3]
    threads = set(threading.enumerate())
    calls = client.names()
    on_file(held)
    assert calls == await settled(client, threads)
    assert 1 == calls.count("send_bulk_email")


async def test_fresh_call_beside_one_that_comes_again_is_made_when_its_marks_are_on_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, deliveries, provider = begin_a_split_beside_a_fresh_call(monkeypatch)
    async with asyncio.timeout(WAIT_S):
        delivering = asyncio.create_task(provider.deliver(deliveries))
        on_file(await deliveries.written.get())
        held = await deliveries.written.get()
        client.methods["send_bulk_email"] = bulk_sent
        on_file(held)
        await delivering
    assert dict.fromkeys((1, 2, 3, 4), Disposition.ACCEPTED) == deliveries.dispositions
    assert 4 == sum(name == "begin" for name, _ in deliveries.calls)
    assert 2 == client.names().count("send_bulk_email")


async def test_defect_in_a_commit_leaves_nobody_of_that_turn_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError("A defect.")

    client, deliveries, provider = begin_a_split_beside_a_fresh_call(monkeypatch)
    async with asyncio.timeout(WAIT_S):
        delivering = asyncio.create_task(provider.deliver(deliveries))
        written = await deliveries.written.get()
        deliveries.on_commit = fail
        on_file(written)
        with pytest.raises(RuntimeError, match="A defect"):
            await delivering
    assert {4: Disposition.ACCEPTED, **dict.fromkeys((1, 2, 3), Disposition.NOT_SENT)} == deliveries.dispositions
    assert ["send_bulk_email", "send_email"] == sorted(client.names())

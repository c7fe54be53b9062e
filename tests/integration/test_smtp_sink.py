"""Against smtp-sink: whole bodies, and that load does not break anything."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.smtp_sink import smtp_sink

from mailblast.clock import SystemClock
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider

if TYPE_CHECKING:
    from collections.abc import Iterator

#: A tenth of what one process is held to, so that a busy machine does not fail.
SLOWEST_PER_S = 1_500


async def test_five_thousand_messages_pass_in_time(sink: int, capsys: pytest.CaptureFixture[str]) -> None:
    provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{sink}"), {}, connections=10, clock=SystemClock())
    deliveries = ListDeliveries(messages(5000, size_bytes=5000))
    await provider.open()
    started_s = time.perf_counter()
    await provider.deliver(deliveries)
    rate_per_s = 5000 / (time.perf_counter() - started_s)
    await provider.close()
    with capsys.disabled():
        print(f"\nsmtp-sink, 10 connections, 5 KB: {rate_per_s:,.0f} messages/s")  # noqa: T201 - the figure is the point
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    assert rate_per_s > SLOWEST_PER_S


@pytest.fixture
def dump_folder() -> Iterator[Path]:
    """Not under pytest's own folder: smtp-sink gives up its rights and must still walk down to it."""
    with tempfile.TemporaryDirectory(prefix="mailblast-sink-") as name:
        yield Path(name)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_bodies_arrive_byte_for_byte(dump_folder: Path) -> None:
    bodies = [b"plain\r\n", b".dot\r\n..two\r\n.\r\n", b"0123456789\r\n.\r\n" * 20_000]
    with smtp_sink(dump_folder=dump_folder) as port:
        provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{port}"), {}, connections=2, clock=SystemClock())
        deliveries = ListDeliveries(a_message(number, body=body) for number, body in enumerate(bodies, 1))
        await provider.deliver(deliveries)
        await provider.close()
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    received = sorted(path.read_bytes().partition(b"\n\n")[2].rstrip(b"\n") for path in _files(dump_folder))
    assert sorted(body.replace(b"\r\n", b"\n").rstrip(b"\n") for body in bodies) == received

"""Against smtp-sink: whole bodies, and that load does not break anything."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from servers.list_deliveries import ListDeliveries, a_message, messages
from servers.smtp_sink import smtp_sink

from mailblast.clock import SystemClock
from mailblast.model.outcome import Disposition
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.registry import make_provider

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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


async def test_bodies_arrive_byte_for_byte(tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    folder.mkdir()
    tmp_path.chmod(0o755)
    bodies = [b"plain\r\n", b".dot\r\n..two\r\n.\r\n", b"0123456789\r\n.\r\n" * 20_000]
    with smtp_sink(dump_folder=folder) as port:
        provider = make_provider(parse_dsn(f"smtp://127.0.0.1:{port}"), {}, connections=2, clock=SystemClock())
        deliveries = ListDeliveries(a_message(number, body=body) for number, body in enumerate(bodies, 1))
        await provider.deliver(deliveries)
        await provider.close()
    assert {Disposition.ACCEPTED} == set(deliveries.dispositions.values())
    received = sorted(path.read_bytes().partition(b"\n\n")[2] for path in folder.iterdir())
    assert sorted(body.replace(b"\r\n", b"\n").rstrip(b"\n") for body in bodies) == [text.rstrip(b"\n") for text in received]

from __future__ import annotations

import asyncio
import pickle
from typing import cast

import pytest

from mailblast.errors import RunInterruptedError
from mailblast.executors.frames import HEADER, Channel


class Wire:
    """The writing half of a stream, kept as bytes."""

    def __init__(self, *, error: OSError | None = None) -> None:
        self.packets: list[bytes] = []
        self.closing = False
        self.error = error

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.packets.append(data)

    def close(self) -> None:
        self.closing = True

    async def wait_closed(self) -> None:
        if self.error is not None:
            raise self.error


def a_channel(reader: asyncio.StreamReader, wire: Wire | None = None) -> Channel:
    return Channel(reader, cast("asyncio.StreamWriter", wire or Wire()))


def frame(kind: str, value: object = None) -> bytes:
    wire = Wire()
    a_channel(asyncio.StreamReader(), wire).send(kind, value)
    (packet,) = wire.packets
    return packet


async def test_what_is_sent_is_received_in_order_however_it_is_cut() -> None:
    reader = asyncio.StreamReader()
    values = [("batch", {"name": "Zoë"}), ("end", None), ("settled", list(range(50_000)))]
    for byte in b"".join(frame(*value) for value in values[:2]):
        reader.feed_data(bytes([byte]))
    reader.feed_data(frame(*values[2]))
    reader.feed_eof()
    channel = a_channel(reader)
    assert values == [await channel.receive() for _ in values]
    assert await channel.receive() is None


async def test_reason_to_stop_keeps_all_it_tells() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(frame("stop", RunInterruptedError("Interrupted.", fix="Run again.", signal_number=15)))
    received = await a_channel(reader).receive()
    assert received is not None
    assert ("Interrupted. Run again.", 15) == (str(received[1]), received[1].signal_number)


@pytest.mark.parametrize("kept", [0, 1, HEADER.size, HEADER.size + 1, -1])
async def test_end_inside_a_frame_is_the_end(kept: int) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(frame("batch", "value")[:kept])
    reader.feed_eof()
    assert await a_channel(reader).receive() is None


async def test_broken_connection_is_the_end() -> None:
    reader = asyncio.StreamReader()
    reader.set_exception(ConnectionResetError())
    assert await a_channel(reader).receive() is None


async def test_sending_to_one_that_is_gone_does_nothing() -> None:
    wire = Wire()
    wire.closing = True
    a_channel(asyncio.StreamReader(), wire).send("batch", "value")
    assert [] == wire.packets


async def test_value_that_cannot_be_sent_leaves_nothing_on_the_wire() -> None:
    wire = Wire()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        a_channel(asyncio.StreamReader(), wire).send("batch", lambda: None)
    assert [] == wire.packets


@pytest.mark.parametrize("error", [None, BrokenPipeError()])
async def test_closing_succeeds_whether_the_other_end_is_there_or_not(error: OSError | None) -> None:
    wire = Wire(error=error)
    await a_channel(asyncio.StreamReader(), wire).close()
    assert wire.closing

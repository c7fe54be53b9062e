"""Pickled values over a stream, each behind its length. Between a run and the processes that it started, only."""

from __future__ import annotations

import asyncio
import pickle
import struct
from typing import Any

HEADER = struct.Struct("!I")


class Channel:
    """One end of a socket pair.

    Args:
        reader: Of the pair's stream.
        writer: Of the same.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, kind: str, value: Any = None) -> None:
        """Send without waiting; the stream keeps what the other end has not read yet. Nothing where that is gone."""
        if self._writer.is_closing():
            return
        data = pickle.dumps((kind, value), protocol=pickle.HIGHEST_PROTOCOL)
        # One write: two would wake the other end twice.
        self._writer.write(HEADER.pack(len(data)) + data)

    async def receive(self) -> tuple[str, Any] | None:
        """Return what the other end sent next; None when it is gone."""
        try:
            (length,) = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            # Nobody but a process of this run has the other end.
            kind, value = pickle.loads(await self._reader.readexactly(length))  # noqa: S301
        except (asyncio.IncompleteReadError, OSError):
            return None
        return kind, value

    async def close(self) -> None:
        """Hand over what is still to be sent, and hang up."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            # The other end was gone before.
            return

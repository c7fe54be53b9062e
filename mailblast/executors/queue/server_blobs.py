"""Attachments of queued campaigns at the server, by the hash of their content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from mailblast.executors.queue.keys import PREFIX
from mailblast.executors.queue.server import QueueError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.executors.queue.server import Server
    from mailblast.model.message import StreamedPart

#: What nobody has queued again goes after so long.
KEPT_S = 30 * 86_400
PIECE_BYTES = 65_536


class ServerBlobs:
    """The attachments that a server holds.

    Args:
        server: Which.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def put(self, encoded: bytes | StreamedPart) -> str:
        """Keep an attachment, unless it is there; return its hash.

        Raises:
            QueueError: The server is away or refuses.
            OSError: It cannot be read.
        """
        digest = hashlib.sha256()
        for piece in _pieces(encoded):
            digest.update(piece)
        name = digest.hexdigest()
        key, draft = f"{PREFIX}blob:{name}", f"{PREFIX}draft:{name}"
        client = self._server.client
        with self._server.told():
            if client.expire(key, KEPT_S):
                return name
            client.delete(draft)
            for piece in _pieces(encoded):
                client.rpush(draft, piece)
            client.rename(draft, key)
            client.expire(key, KEPT_S)
        return name

    def get(self, name: str) -> Iterator[bytes]:
        """Yield an attachment in pieces.

        Raises:
            QueueError: It is not there, or the server is away or refuses.
        """
        key, client = f"{PREFIX}blob:{name}", self._server.client
        with self._server.told():
            count = int(client.llen(key))
        if not count:
            raise QueueError(
                "An attachment of a queued campaign is not at the server.", fix="Queue the campaign again."
            )
        for index in range(count):
            with self._server.told():
                piece = client.lindex(key, index)
            yield piece


def _pieces(encoded: bytes | StreamedPart) -> Iterator[bytes]:
    """Yield an attachment in pieces of about 64 KB."""
    if isinstance(encoded, bytes):
        yield from (encoded[start : start + PIECE_BYTES] for start in range(0, len(encoded), PIECE_BYTES))
    else:
        yield from encoded.chunks()

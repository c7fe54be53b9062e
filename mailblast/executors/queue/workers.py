"""Which workers there are, as the server knows it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mailblast.executors.queue.keys import SLOTS, WORKERS
from mailblast.executors.queue.states import FIRST_SLOT

if TYPE_CHECKING:
    from mailblast.executors.queue.server import Server


class Workers:
    """The workers of a server. Every call raises ``QueueError`` where it is away or refuses.

    Args:
        server: Which.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def new_slot(self) -> int:
        """Return the byte that a worker marks with what it is sending. 240 workers at once are told apart."""
        with self._server.told():
            count = int(self._server.client.incr(SLOTS))
        return FIRST_SLOT + (count - 1) % (256 - FIRST_SLOT)

    def seen(self, worker: str, told: dict[str, Any]) -> None:
        """Say that a worker is alive.

        Args:
            worker: Its id.
            told: Its ``slot``, its ``concurrency``, and ``lease_s``: after which silence it counts as gone.
        """
        self._server.run("seen", [WORKERS], [worker, json.dumps(told)])

    def gone(self, worker: str) -> None:
        """Say that a worker has ended in good order."""
        with self._server.told():
            self._server.client.hdel(WORKERS, worker)

    def living(self) -> list[dict[str, Any]]:
        """Return what workers have told that were heard within their lease."""
        with self._server.told(), self._server.client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(WORKERS)
            (seconds, micros), found = pipe.execute()
        living = []
        for value in found.values():
            at_s, _, text = value.decode().partition(" ")
            told = json.loads(text)
            if seconds + micros / 1e6 - float(at_s) <= float(told["lease_s"]):
                living.append(told)
        return living

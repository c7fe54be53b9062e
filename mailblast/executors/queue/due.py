"""Batches that the engine is to have: those whose time has come, and those that never reached it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailblast.executors.queue.engine import Engine
    from mailblast.executors.queue.store import Store


class DueBatches:
    """Finds batches that are stored and due, and not in the engine.

    Args:
        store: Where they are stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        #: By campaign: those that had not reached the engine at the last look. Who put them may be about to hand them
        #: on, so they are handed on at the second look.
        self._unput: dict[str, set[int]] = {}

    def hand_on(self, engine: Engine) -> None:
        """Put them into the engine.

        Raises:
            QueueError: The server is away or refuses; what was not handed on is so by a later call.
        """
        store = self._store
        for token, sequence, priority in store.take_due():
            engine.put(token, sequence, priority)
            store.put_was_heard(token, sequence)
        for token in store.campaigns():
            unput = store.unput(token)
            for sequence in unput & self._unput.get(token, set()):
                engine.put(token, sequence, int(store.info(token).get("priority", 1)))
                store.put_was_heard(token, sequence)
                unput.discard(sequence)
            self._unput[token] = unput

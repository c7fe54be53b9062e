"""Outcomes of one turn, and the file that keeps them while the server is away."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import JournalError
from mailblast.executors.queue.keys import keys_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mailblast.executors.queue.store import Store


class Group(NamedTuple):
    """Outcomes of one turn."""

    token: str
    worker: str
    slot: int
    number: int
    #: Final outcomes, and those to be tried again; see ``outcomes.py``.
    final: str
    again: str
    #: Runs of the states that follow from them.
    states: str

    def arguments(self) -> list[Any]:
        """Return what the script takes, without marks."""
        return [self.slot, self.worker, self.number, self.number, self.final, self.again, self.states, ""]


class Spool:
    """A file for outcomes that cannot be told while the server is away, so that no kill loses them.

    Args:
        folder: Made with mode 0700.
        worker: Names the file.
    """

    def __init__(self, folder: Path, worker: str) -> None:
        self._folder = folder
        self.path = folder / f"outcomes-{worker}.jsonl"
        self._is_there = False
        self._groups: dict[str, list[Group]] = {}

    def keep(self, token: str, groups: Iterable[Group]) -> None:
        """Replace what is kept of a campaign; the file goes when nothing is.

        Raises:
            JournalError: It cannot be written.
        """
        self._groups[token] = list(groups)
        text = "".join(f"{json.dumps(group)}\n" for some in self._groups.values() for group in some)
        if not text and not self._is_there:
            return
        try:
            if not text:
                self.path.unlink(missing_ok=True)
                self._is_there = False
                return
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = self.path.with_suffix(".new")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - from a descriptor
                file.write(text)
            draft.rename(self.path)
            self._is_there = True
        except OSError as error:
            raise JournalError(f"The file {self.path} cannot be written: {error.strerror}.") from error

    def left_by_others(self) -> list[tuple[Path, list[Group]]]:
        """Return what workers that are gone have kept here."""
        found = []
        for path in sorted(self._folder.glob("outcomes-*.jsonl")):
            if path != self.path:
                lines = path.read_text(encoding="utf-8").splitlines()
                found.append((path, [Group._make(json.loads(line)) for line in lines]))
        return found


def tell_group(store: Store, group: Group) -> None:
    """Tell a group that a worker has left behind.

    Raises:
        QueueError: The server is away or refuses.
    """
    store.run("turn", keys_of(group.token, "ledger", "outcomes", "groups"), group.arguments())

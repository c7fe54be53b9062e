"""The pipeline's log where the ledger is at the server: marks before, outcomes after, one answer awaited a turn."""

from __future__ import annotations

import functools
import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.errors import JournalError
from mailblast.executors.queue import scripts
from mailblast.executors.queue.states import CODES, QUEUED
from mailblast.executors.queue.store import PREFIX, QueueAwayError, QueueError
from mailblast.journal.records import encode_outcome
from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from mailblast.executors.queue.store import Store
    from mailblast.model.outcome import Outcome

#: Groups of outcomes that are told and not answered yet. Answers are read when the next marks are set.
MAX_UNANSWERED = 64


class LeaseLostError(QueueError):
    """Somebody else is sending to one of these: this worker was away for longer than its lease."""


class Group(NamedTuple):
    """Outcomes of one turn."""

    token: str
    worker: str
    slot: int
    number: int
    #: Lines of final outcomes, and of those to be tried again.
    final: str
    again: str
    #: Number and new state, one after the other.
    states: tuple[int, ...]

    def arguments(self) -> list[Any]:
        """Return what the script takes before the marks."""
        return [self.slot, self.worker, self.number, self.final, self.again]


class Wire:
    """One connection on which nothing is awaited that need not be. For one thread.

    Args:
        store: Whose server it is.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._connection: Any = None
        self._sha = b""
        #: Why there is no connection.
        self._trouble = QueueAwayError(f"The queue at {store.shown} does not answer.")
        #: Called with the answer of each command that is not answered yet, in order.
        self._waiting: deque[Callable[[Any], None]] = deque()

    def open(self) -> None:
        """Connect anew; what was not answered stays unanswered.

        Raises:
            QueueError: The server is away or refuses.
        """
        self.close()
        with self._store.told():
            connection = self._store.client.connection_pool.make_connection()
            connection.connect()
            connection.send_command("SCRIPT", "LOAD", scripts.TURN)
            self._sha = connection.read_response()
            self._connection = connection

    def close(self) -> None:
        """Hang up."""
        connection, self._connection = self._connection, None
        self._waiting.clear()
        if connection is not None:
            connection.disconnect()

    def send(self, keys: Sequence[str], arguments: Sequence[Any], on_answer: Callable[[Any], None]) -> None:
        """Send the script of a turn; its answer is read later.

        Raises:
            QueueAwayError: It cannot be sent; the connection is closed.
        """
        self.insist()
        try:
            with self._store.told():
                self._connection.send_packed_command([_packed((b"EVALSHA", self._sha, len(keys), *keys, *arguments))])
        except QueueError as error:
            self._fail(error)
            raise
        self._waiting.append(on_answer)
        if len(self._waiting) > MAX_UNANSWERED:
            self.read()

    def read(self) -> None:
        """Wait for all answers.

        Raises:
            QueueError: The server is away or refuses; the connection is closed.
        """
        waiting, connection = self._waiting, self._connection
        try:
            while waiting:
                with self._store.told():
                    answer = connection.read_response()
                waiting.popleft()(answer)
        except LeaseLostError:
            raise
        except QueueError as error:
            self._fail(error)
            raise

    def insist(self) -> None:
        """Have a connection.

        Raises:
            QueueAwayError: There is none; it tells why.
        """
        if self._connection is None:
            raise QueueAwayError(self._trouble.message, fix=self._trouble.fix)

    def _fail(self, error: QueueError) -> None:
        if isinstance(error, QueueAwayError):
            self._trouble = error
        self.close()


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
        if not text:
            if self._is_there:
                self.path.unlink(missing_ok=True)
                self._is_there = False
            return
        try:
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
                groups = [Group._make([*values[:6], tuple(values[6])]) for values in map(json.loads, lines)]
                found.append((path, groups))
        return found


class Ledger:
    """One campaign's marks and outcomes, as a pipeline's ``Log``.

    ``commit()`` waits for the server where there are marks, for all of one turn together; outcomes alone are sent and
    not waited for.

    Args:
        wire: Of the worker.
        spool: Of the worker.
        token: The campaign's.
        worker: The worker's id.
        slot: The worker's byte.
        may_retry: Returns whether a deferred recipient is tried again.
    """

    def __init__(
        self, wire: Wire, spool: Spool, token: str, worker: str, slot: int, may_retry: Callable[[Outcome], bool]
    ) -> None:
        self._wire = wire
        self._spool = spool
        self._token = token
        self._worker = worker
        self._slot = slot
        self._may_retry = may_retry
        self._keys = [f"{PREFIX}{token}:{name}" for name in ("ledger", "outcomes", "groups")]
        self._number = 0
        self._marks: list[int] = []
        self._final: list[str] = []
        self._again: list[str] = []
        self._states: list[int] = []
        self._last: Outcome | None = None
        self._refused: list[Any] = []
        #: Told and not answered.
        self.unanswered: dict[int, Group] = {}

    def begin(self, claim_id: int, _digest: int, _time_s: float, /) -> None:
        """Mark a recipient with ``commit()``."""
        self._marks.append(claim_id)

    def finish(self, outcome: Outcome) -> None:
        """Note what became of a recipient."""
        self._last = outcome
        state = outcome.state
        if state is State.UNSENT:
            self._states += (outcome.id, QUEUED)
        elif state is State.DEFERRED and self._may_retry(outcome):
            self._states += (outcome.id, QUEUED)
            self._again.append(encode_outcome(outcome).decode("ascii"))
        else:
            self._states += (outcome.id, CODES[state])
            self._final.append(encode_outcome(outcome).decode("ascii"))

    def note(self, outcome: Outcome) -> None:
        """Note an outcome that the pipeline told, unless it has been noted: of somebody who was never begun."""
        if outcome is not self._last and outcome.state is not State.UNSENT:
            self.finish(outcome)

    def commit(self) -> None:
        """Tell everything; wait where there are marks.

        Raises:
            LeaseLostError: Somebody else is sending to one of the marked; nobody is marked.
            QueueAwayError: The server does not answer; outcomes are kept, and nobody marked may be sent to.
        """
        marks, self._marks = self._marks, []
        group = self._group()
        if group is None and not marks:
            return
        head = group.arguments() if group is not None else [self._slot, self._worker, "", "", ""]
        states = group.states if group is not None else ()
        try:
            number = group.number if group is not None else 0
            self._wire.send(self._keys, [*head, len(marks), *marks, *states], lambda answer: self._told(number, answer))
            if marks:
                self._wire.read()
        except QueueAwayError:
            self._spool.keep(self._token, self.unanswered.values())
            raise
        if self._refused:
            self._refused = []
            raise LeaseLostError("Another worker has taken over what this one was about to send.")

    def barrier(self) -> None:
        """Tell everything and wait until it is known there.

        Raises:
            QueueAwayError: The server does not answer; outcomes are kept.
        """
        self.commit()
        self._wire.insist()
        try:
            self._wire.read()
        except QueueAwayError:
            self._spool.keep(self._token, self.unanswered.values())
            raise

    def tell_again(self) -> None:
        """Tell once more what was not answered; the server knows what it has had.

        Raises:
            QueueError: The server is away or refuses.
        """
        for group in list(self.unanswered.values()):
            told = functools.partial(self._told, group.number)
            self._wire.send(self._keys, [*group.arguments(), 0, *group.states], told)
        self._wire.read()
        self._spool.keep(self._token, self.unanswered.values())

    def _group(self) -> Group | None:
        if not self._states:
            return None
        self._number += 1
        group = Group(
            self._token,
            self._worker,
            self._slot,
            self._number,
            "".join(self._final),
            "".join(self._again),
            tuple(self._states),
        )
        self._final, self._again, self._states = [], [], []
        self.unanswered[group.number] = group
        return group

    def _told(self, number: int, refused: list[Any]) -> None:
        self.unanswered.pop(number, None)
        if refused:
            self._refused = refused


def tell_group(store: Store, group: Group) -> None:
    """Tell a group that a worker has left behind.

    Raises:
        QueueError: The server is away or refuses.
    """
    keys = [f"{PREFIX}{group.token}:{name}" for name in ("ledger", "outcomes", "groups")]
    store.run("turn", keys, [*group.arguments(), 0, *group.states])


def _packed(words: tuple[Any, ...]) -> bytes:
    """Return a command in Redis' protocol (RESP); a third of the time that the client's own way takes."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode("ascii")
        parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
    return b"".join(parts)

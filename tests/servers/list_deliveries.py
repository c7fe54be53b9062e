"""Deliveries from a list, and builders of messages: what providers are driven with in tests."""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from typing import TYPE_CHECKING, Any

from mailblast.model.campaign import Mailbox
from mailblast.model.message import Composition, Content, Layout, Message
from mailblast.model.outcome import Disposition
from mailblast.model.reply import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from mailblast.model.outcome import Attempt


#: What a commit takes that is a round trip.
REMOTE_S = 0.002

#: What compositions of ``a_message()`` have in common.
LAYOUT = Layout(("number",), "message {{number}}", "Hello\n", None)


def a_composition(number: int, recipient: str) -> Composition:
    """Build what a provider gets that puts messages together itself."""
    return Composition(
        Mailbox("", "sender@example.org"),
        None,
        Mailbox("", recipient),
        Content(f"message {number}", "Hello\n", None),
        layout=LAYOUT,
        values=(str(number),),
    )


def a_message(number: int = 1, recipient: str = "", body: bytes = b"Hello\r\n", **changes: Any) -> Message:
    """Build a small message; its Message-ID and content hold its number."""
    head = b"From: sender@example.org\r\nSubject: message %d\r\n\r\n" % number
    parts = (head, body)
    recipient = recipient or f"recipient{number}@example.com"
    message = Message(
        number,
        "sender@example.org",
        recipient,
        f"<{number}@example.org>",
        parts,
        zlib.crc32(b"".join(parts)),
        composition=a_composition(number, recipient),
    )
    return message._replace(**changes)


def messages(count: int, *, size_bytes: int = 0) -> list[Message]:
    """Build messages numbered from 1, each of about the given size."""
    lines = b"0123456789012345678901234567890123456789012345678901234567890123456789\r\n"
    body = lines * (size_bytes // len(lines)) or b"Hello\r\n"
    return [a_message(number, body=body) for number in range(1, count + 1)]


class ListDeliveries:
    """Hands out a list, keeps every call as ``(name, message id)``, and checks the rules of a message's life.

    Args:
        waiting: Handed out in this order.
        repeat: Whether a message that came back (not sent, or the connection's fault) is handed out again.
        stay_open: Wait for ``add()`` and ``close()`` instead of ending when the list is empty.
        commit_is_remote: Whether a commit is a round trip, which takes ``REMOTE_S`` and fails only then.
    """

    def __init__(
        self,
        waiting: Iterable[Message],
        *,
        repeat: bool = False,
        stay_open: bool = False,
        commit_is_remote: bool = False,
    ) -> None:
        self.commit_is_remote = commit_is_remote
        self._waiting = deque(waiting)
        self._repeat = repeat
        self._open = stay_open
        self._changed = asyncio.Event()
        self._finished = asyncio.Event()
        self._in_flight: dict[int, Message] = {}
        self._begun: set[int] = set()
        self._uncommitted: set[int] = set()
        #: Of commits that are not through yet.
        self._on_the_way: set[int] = set()
        self.calls: list[tuple[str, int]] = []
        #: Attempts of each message, in order.
        self.attempts: dict[int, list[Attempt]] = {}
        self.most_in_flight = 0
        #: Called inside ``commit()``; may raise.
        self.on_commit: Callable[[], None] = lambda: None
        #: Called after each ``finish()``.
        self.on_finish: Callable[[Message, Attempt], None] = lambda _message, _attempt: None

    def add(self, message: Message) -> None:
        self._waiting.append(message)
        self._changed.set()

    def close(self) -> None:
        self._open = False
        self._changed.set()

    def take(self) -> Message | None:
        if not self._waiting:
            return None
        message = self._waiting.popleft()
        assert message.id not in self._in_flight
        self._in_flight[message.id] = message
        self.most_in_flight = max(self.most_in_flight, len(self._in_flight))
        self.calls.append(("take", message.id))
        return message

    async def wait(self) -> bool:
        while not self._waiting:
            if not self._open and not self._in_flight:
                return False
            self._changed.clear()
            await self._changed.wait()
        return True

    def begin(self, message: Message) -> None:
        assert message.id in self._in_flight
        assert message.id not in self._begun
        self._begun.add(message.id)
        self._uncommitted.add(message.id)
        self.calls.append(("begin", message.id))

    def commit(self) -> asyncio.Future[None] | None:
        ids, self._uncommitted = self._uncommitted, set()
        if not self.commit_is_remote:
            self.on_commit()
            self.calls.append(("commit", 0))
            return None
        self._on_the_way |= ids
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        loop.call_later(REMOTE_S, self._written, ids, written)
        return written

    def _written(self, ids: set[int], written: asyncio.Future[None]) -> None:
        self._on_the_way -= ids
        if written.done():
            return
        try:
            self.on_commit()
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            written.set_exception(error)
            return
        self.calls.append(("commit", 0))
        written.set_result(None)

    def finish(self, message: Message, attempt: Attempt) -> None:
        assert self._in_flight.pop(message.id) is message
        may_have_left = attempt.disposition in {Disposition.ACCEPTED, Disposition.IN_DOUBT}
        assert not (may_have_left and message.id in self._uncommitted | self._on_the_way)
        self._begun.discard(message.id)
        self._uncommitted.discard(message.id)
        self.calls.append(("finish", message.id))
        self.attempts.setdefault(message.id, []).append(attempt)
        is_free_to_repeat = attempt.disposition is Disposition.NOT_SENT or (
            attempt.disposition is Disposition.TEMPORARY and attempt.scope is Scope.CONNECTION
        )
        if self._repeat and is_free_to_repeat:
            self._waiting.append(message)
        self._changed.set()
        self._finished.set()
        self.on_finish(message, attempt)

    async def until_finished(self, count: int) -> None:
        """Wait until so many messages have come back at least once."""
        while len(self.attempts) < count:
            self._finished.clear()
            await self._finished.wait()

    @property
    def dispositions(self) -> dict[int, Disposition]:
        """How the last attempt of each message ended."""
        return {number: attempts[-1].disposition for number, attempts in self.attempts.items()}

    @property
    def all_finished(self) -> bool:
        """Whether everything handed out came back."""
        return not self._in_flight

    def is_committed(self, number: int) -> bool:
        """Whether a message is marked, and its mark is on file."""
        return number in self._begun and number not in self._uncommitted

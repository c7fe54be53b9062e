"""Messages gathered for calls of many: which go together, and how long they wait for each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.providers.ses.requests import MAX_ENTRIES, MAX_REQUEST, key_of

if TYPE_CHECKING:
    from mailblast.providers.ses.requests import Entry, GroupKey, RequestWriter

#: How long a call that is not full waits for more recipients; nothing beside a call's own 50 to 200 ms.
LINGER_S = 0.05


class Grouping:
    """One group at a time; what does not fit closes it and opens the next.

    Args:
        writer: Knows sizes.
        most: Recipients of one call. SES takes fewer than 50 where the account's rate is low.
    """

    def __init__(self, writer: RequestWriter, most: int = MAX_ENTRIES) -> None:
        self._writer = writer
        self._most = most
        self._entries: list[Entry] = []
        self._key: GroupKey | None = None
        self._size = 0
        self._until_s = 0.0

    def add(self, entry: Entry, now: float) -> list[tuple[Entry, ...]]:
        """Take one more; return the groups that are closed by it."""
        closed = []
        key = key_of(entry)
        if self._entries and (self._size + entry.size_bytes > MAX_REQUEST or not _equal(self._key, key)):
            closed.append(self._close())
        if not self._entries:
            self._key = key
            self._size = self._writer.layout_bytes(key.layout)
            self._until_s = now + LINGER_S
        self._entries.append(entry)
        self._size += entry.size_bytes
        if len(self._entries) >= self._most:
            closed.append(self._close())
        return closed

    def linger_s(self, now: float) -> float | None:
        """Return how long the open group still waits; None where there is none."""
        return max(0.0, self._until_s - now) if self._entries else None

    def due(self, now: float) -> list[tuple[Entry, ...]]:
        """Close the open group, where it has waited long enough."""
        return [self._close()] if self._entries and now >= self._until_s else []

    def drop(self) -> tuple[Entry, ...]:
        """Empty the open group and return what was in it."""
        return self._close()

    def _close(self) -> tuple[Entry, ...]:
        entries, self._entries = tuple(self._entries), []
        return entries


def _equal(one: GroupKey | None, other: GroupKey) -> bool:
    # A campaign has one layout object; to compare its text each time would cost more than all the rest.
    return (
        one is not None and one.layout is other.layout and one.sender == other.sender and one.reply_to == other.reply_to
    )

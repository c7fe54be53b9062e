"""Which messages share a request: pure, fed one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.providers.sendgrid.payload import MAX_REQUEST_BYTES, Request, UnfitError, fits_layout

if TYPE_CHECKING:
    from collections.abc import Hashable

    from mailblast.model.message import Composition, Message
    from mailblast.providers.sendgrid.payload import Entry, PayloadWriter

#: Around the personalizations.
BRACES_BYTES = 32


class _Open:
    """A request that still takes entries."""

    __slots__ = ("addresses", "entries", "size_bytes")

    def __init__(self, shared_bytes: int) -> None:
        self.entries: list[Entry] = []
        self.addresses: set[str] = set()
        self.size_bytes = shared_bytes + BRACES_BYTES

    def takes(self, entry: Entry, limit: int) -> bool:
        return (
            len(self.entries) < limit
            and entry.address not in self.addresses
            and self.size_bytes + len(entry.data) + 1 < MAX_REQUEST_BYTES
        )

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.addresses.add(entry.address)
        self.size_bytes += len(entry.data) + 1


class Grouping:
    """Puts messages into requests.

    Those with the same layout, sender, reply address and attachments share one; no address is there twice, for
    SendGrid refuses that; who has no layout, or too much to fill in, goes alone.

    Args:
        writer: Writes entries and what they share.
    """

    def __init__(self, writer: PayloadWriter) -> None:
        self._writer = writer
        #: What is shared, by what makes it so; the composition keeps alive whose identity is part of the key.
        self._shared: dict[Hashable, tuple[Composition, bytes]] = {}
        self._open: dict[Hashable, list[_Open]] = {}
        self._alone: list[Request] = []
        #: Messages in open requests.
        self.waiting = 0

    @property
    def has_alone(self) -> bool:
        """Whether there are requests that wait for nobody."""
        return bool(self._alone)

    def add(self, message: Message, *, limit: int, alone: bool = False, taken_s: float = 0.0) -> None:
        """Take in a message.

        Args:
            message: With its composition.
            limit: Most entries a request.
            alone: Whether it shares a request with nobody.
            taken_s: When it was taken.

        Raises:
            UnfitError: It can never go this way; it was not taken in.
        """
        composition = message.composition
        assert composition is not None, "the provider asks for compositions"
        with_values = fits_layout(composition)
        entry = self._writer.entry(message, with_values=with_values, taken_s=taken_s)
        if not with_values or alone or limit <= 1:
            shared = self._writer.shared(composition, with_layout=with_values)
            if len(shared) + len(entry.data) + BRACES_BYTES >= MAX_REQUEST_BYTES:
                raise UnfitError(f"The message is over SendGrid's {MAX_REQUEST_BYTES // 1_000_000} MB.")
            self._alone.append(Request((entry,), shared))
            return
        files = tuple(map(id, composition.attachments))
        key = (id(composition.layout), composition.sender, composition.reply_to, files)
        if key not in self._shared:
            self._shared[key] = composition, self._writer.shared(composition, with_layout=True)
        shared = self._shared[key][1]
        if len(shared) + len(entry.data) + BRACES_BYTES >= MAX_REQUEST_BYTES:
            raise UnfitError(f"The message is over SendGrid's {MAX_REQUEST_BYTES // 1_000_000} MB.")
        groups = self._open.setdefault(key, [])
        group = next((group for group in groups if group.takes(entry, limit)), None)
        if group is None:
            group = _Open(len(shared))
            groups.append(group)
        group.add(entry)
        self.waiting += 1

    def pop_alone(self) -> list[Request]:
        """Return the requests that wait for nobody."""
        alone, self._alone = self._alone, []
        return alone

    def pop_all(self) -> list[Request]:
        """Return all requests, full or not."""
        requests = self.pop_alone()
        for key, groups in self._open.items():
            shared = self._shared[key][1]
            requests += [Request(tuple(group.entries), shared) for group in groups]
        self._open.clear()
        self.waiting = 0
        # Files of single recipients are not held longer than their messages.
        if len(self._shared) > 1:
            self._shared.clear()
        return requests

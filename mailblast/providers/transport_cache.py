"""Open providers, kept for those who ask again: at most ten, none older than half an hour."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import OrderedDict, deque
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from mailblast.clock import Clock
    from mailblast.providers.provider import Provider

MAXIMUM = 10
MAX_AGE_S = 1800.0
#: Objects that are looked at for one provider's memory; a pool of five connections has some hundreds.
MAX_OBJECTS = 20_000
#: Shared by the whole program, so no part of a provider.
SHARED = (type, ModuleType, FunctionType, BuiltinFunctionType, asyncio.AbstractEventLoop)
#: Whose objects are a provider's own; what it is working for, such as a campaign, is not.
OWN = ("mailblast.providers.", "mailblast.model.")


class Key(NamedTuple):
    """What makes two providers the same."""

    #: Such as ``smtp`` or ``gmail``.
    service: str
    host: str
    #: None where the service has none.
    port: int | None
    user: str


class CacheStatistics(NamedTuple):
    """What the cache has come to."""

    #: Providers that are kept.
    size: int
    maximum: int
    #: Requests that found an open provider, and those that did not.
    hits: int
    misses: int
    #: Bytes of the Python objects that the kept providers hold, as ``sys.getsizeof`` counts them. What TLS and the
    #: system keep for a connection (some 50 KB with TLS, buffers apart) is not among them.
    memory_bytes: int
    #: Providers that had to make room for another one.
    evictions: int = 0
    #: Providers that were too old.
    expirations: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of the requests that found an open provider, 0 to 1; 0 before the first request."""
        requests = self.hits + self.misses
        return self.hits / requests if requests else 0.0


class _AbandonedError(Exception):
    """Who opened a provider was cancelled meanwhile; who waited for it opens it again."""


class _Entry:
    """A provider that is kept, or on its way."""

    __slots__ = ("is_removed", "leases", "opened_s", "opening", "provider")

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self.opened_s = 0.0
        #: Those who use it right now; once removed, it is closed when the last of them is done.
        self.leases = 0
        self.is_removed = False
        #: Set once it is open or has failed; those who ask meanwhile wait for it.
        self.opening: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class TransportCache:
    """Providers by service, host, port and user.

    A provider is opened, and so verified, before it is kept. One that is leased is never closed: if more than
    ``maximum`` are leased at once, so many are kept until the leases end; if it is too old, the next who asks gets a
    new one, and the old one is closed when the last who uses it is done.

    Args:
        make: Makes a provider that is not open yet.
        clock: Ages.
        maximum: Providers that are kept; the one that was not used for longest goes first.
        max_age_s: Seconds after which an open provider is replaced.
    """

    def __init__(
        self, make: Callable[[Key], Provider], clock: Clock, maximum: int = MAXIMUM, max_age_s: float = MAX_AGE_S
    ) -> None:
        self._make = make
        self._monotonic = clock.monotonic
        self._maximum = maximum
        self._max_age_s = max_age_s
        #: The one used last stands last.
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._hits = 0
        self._misses = 0
        self._evictions = 0
        self._expirations = 0

    async def get(self, key: Key) -> Provider:
        """Return an open provider, opened now if there is none.

        Any later call may close it; who awaits something while using it takes a ``lease()``.

        Raises:
            ProviderError: It cannot be opened; nothing is kept.
        """
        entry = await self._leased(key)
        await self._release(entry)
        return entry.provider

    @contextlib.asynccontextmanager
    async def lease(self, key: Key, *, counted: bool = True) -> AsyncIterator[Provider]:
        """Have an open provider that stays open until the block ends.

        Args:
            key: Which.
            counted: False where it was just asked for by ``get()``: a request that finds it is then no further hit.

        Raises:
            ProviderError: It cannot be opened; nothing is kept.
        """
        hits = self._hits
        entry = await self._leased(key)
        if not counted:
            self._hits = min(self._hits, hits)
        try:
            yield entry.provider
        finally:
            await self._release(entry)
            await self._trim()

    async def remove(self, key: Key) -> None:
        """Forget a provider, closing it as soon as nobody uses it; nothing happens where there is none."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            await self._discard([entry])

    async def clean(self) -> int:
        """Remove what is too old; return how many that were."""
        now = self._monotonic()
        expired = [key for key, entry in self._entries.items() if self._is_expired(entry, now)]
        self._expirations += len(expired)
        await self._discard([self._entries.pop(key) for key in expired])
        return len(expired)

    async def close(self) -> None:
        """Remove everything. What is leased is closed when its leases end."""
        entries = list(self._entries.values())
        self._entries.clear()
        await self._discard(entries)

    def statistics(self) -> CacheStatistics:
        """Return what the cache has come to so far; walks the providers' objects, some milliseconds for each."""
        seen: set[int] = set()
        memory_bytes = sum(_memory_bytes(entry.provider, seen) for entry in self._entries.values())
        return CacheStatistics(
            len(self._entries),
            self._maximum,
            self._hits,
            self._misses,
            memory_bytes,
            self._evictions,
            self._expirations,
        )

    async def _leased(self, key: Key) -> _Entry:
        """Return an entry that is open, leased once more."""
        await self.clean()
        entry = self._entries.get(key)
        if entry is None:
            self._misses += 1
            return await self._open(key)
        self._hits += 1
        self._entries.move_to_end(key)
        entry.leases += 1
        if entry.opening.done():
            return entry
        try:
            # Shielded: one who gives up waiting must not cancel it for the others.
            await asyncio.shield(entry.opening)
        except _AbandonedError:
            await self._release(entry)
            self._hits -= 1
            return await self._leased(key)
        except BaseException:
            await self._release(entry)
            raise
        return entry

    async def _open(self, key: Key) -> _Entry:
        entry = self._entries[key] = _Entry(self._make(key))
        entry.leases = 1
        try:
            await self._trim()
            await entry.provider.open()
        except BaseException as error:
            entry.is_removed = True
            if self._entries.get(key) is entry:
                del self._entries[key]
            entry.opening.set_exception(error if isinstance(error, Exception) else _AbandonedError())
            # Looked at here: there may be nobody who waits.
            entry.opening.exception()
            await self._release(entry)
            raise
        entry.opened_s = self._monotonic()
        entry.opening.set_result(None)
        return entry

    async def _trim(self) -> None:
        """Remove those not used for longest, none in use, until there are no more than may be kept."""
        unused = [key for key, entry in self._entries.items() if entry.leases == 0]
        surplus = len(self._entries) - self._maximum
        evicted = [self._entries.pop(key) for key in unused[: max(surplus, 0)]]
        self._evictions += len(evicted)
        await self._discard(evicted)

    async def _release(self, entry: _Entry) -> None:
        entry.leases -= 1
        if entry.is_removed and entry.leases == 0:
            await entry.provider.close()

    async def _discard(self, entries: list[_Entry]) -> None:
        """Close what has left the cache, now or when its last lease ends."""
        for entry in entries:
            entry.is_removed = True
        for entry in entries:
            if entry.leases == 0:
                await entry.provider.close()

    def _is_expired(self, entry: _Entry, now: float) -> bool:
        return entry.opening.done() and now - entry.opened_s >= self._max_age_s


def _memory_bytes(root: object, seen: set[int]) -> int:
    """Return the bytes of an object and all that it alone leads to; ``seen`` are the ids that count already."""
    total = 0
    waiting = [root]
    first = len(seen)
    while waiting and len(seen) - first < MAX_OBJECTS:
        part = waiting.pop()
        maker = type(part).__module__
        foreign = maker.startswith("mailblast.") and not maker.startswith(OWN)
        if id(part) in seen or foreign or isinstance(part, SHARED):
            continue
        seen.add(id(part))
        total += sys.getsizeof(part)
        if isinstance(part, dict):
            waiting.extend(part)
            waiting.extend(part.values())
        elif isinstance(part, (list, tuple, set, frozenset)):
            waiting.extend(part)
        elif not isinstance(part, (str, bytes, bytearray, int, float)):
            waiting.extend(_fields(part))
    return total


def _fields(part: object) -> list[object]:
    """Return what an object holds: its attributes, and its items where it is a container of another kind."""
    fields: list[object] = [vars(part)] if hasattr(part, "__dict__") else []
    for kind in type(part).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            with contextlib.suppress(AttributeError):
                fields.append(getattr(part, name))
    if isinstance(part, deque):
        fields.extend(part)
    return fields

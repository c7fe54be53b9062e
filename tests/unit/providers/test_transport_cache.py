from __future__ import annotations

import asyncio

import pytest
from fakes import FakeClock

from mailblast.errors import AccountError, ProviderUnavailableError
from mailblast.providers.dsn import parse_dsn
from mailblast.providers.memory import MemoryProvider
from mailblast.providers.registry import make_provider
from mailblast.providers.transport_cache import CacheStatistics, Key, TransportCache


class Transport(MemoryProvider):
    """A memory provider that notes what is done with it."""

    def __init__(self, key: Key) -> None:
        super().__init__()
        self.key = key
        self.opened = 0
        self.closed = 0
        self.fault: BaseException | None = None
        self.gate: asyncio.Event | None = None

    async def open(self) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault
        self.opened += 1

    async def close(self) -> None:
        self.closed += 1


class Factory:
    """Makes transports and keeps them."""

    def __init__(self) -> None:
        self.made: list[Transport] = []
        self.fault: BaseException | None = None
        self.gate: asyncio.Event | None = None

    def __call__(self, key: Key) -> Transport:
        transport = Transport(key)
        transport.fault, transport.gate = self.fault, self.gate
        self.made.append(transport)
        return transport

    @property
    def open_ports(self) -> list[int | None]:
        return [transport.key.port for transport in self.made if transport.opened and not transport.closed]


def key(number: int = 1) -> Key:
    return Key("smtp", "mx.example.com", number, "ada")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def factory() -> Factory:
    return Factory()


@pytest.fixture
def cache(factory: Factory, clock: FakeClock) -> TransportCache:
    return TransportCache(factory, clock)


async def test_get_opens_once_and_keeps(cache: TransportCache, factory: Factory) -> None:
    first = await cache.get(key())
    assert first is await cache.get(key())
    assert 1 == len(factory.made) == factory.made[0].opened


@pytest.mark.parametrize(
    "other",
    [key()._replace(service="gmail"), key()._replace(host="mx2"), key(2), key()._replace(user="bob")],
    ids=["service", "host", "port", "user"],
)
async def test_get_each_part_of_the_key_makes_another(cache: TransportCache, other: Key) -> None:
    assert await cache.get(key()) is not await cache.get(other)


async def test_eleventh_takes_the_place_of_the_one_not_used_for_longest(
    cache: TransportCache, factory: Factory
) -> None:
    for number in range(1, 11):
        await cache.get(key(number))
    await cache.get(key(1))
    await cache.get(key(11))
    assert [1, *range(3, 12)] == factory.open_ports
    assert 10 == cache.statistics().size


async def test_leased_one_is_never_closed_under_its_user(factory: Factory, clock: FakeClock) -> None:
    cache = TransportCache(factory, clock, 1)
    async with cache.lease(key(1)):
        await cache.get(key(2))
        assert [1, 2] == factory.open_ports
        await cache.get(key(3))
        assert [1, 3] == factory.open_ports
        assert 2 == cache.statistics().size
    assert [3] == factory.open_ports


async def test_all_leased_are_kept_until_the_leases_end(factory: Factory, clock: FakeClock) -> None:
    cache = TransportCache(factory, clock, 2)
    async with cache.lease(key(1)), cache.lease(key(2)):
        async with cache.lease(key(3)):
            assert [1, 2, 3] == factory.open_ports
        assert [1, 2] == factory.open_ports
    assert 2 == cache.statistics().size


async def test_too_old_one_is_replaced_and_closed(cache: TransportCache, factory: Factory, clock: FakeClock) -> None:
    first = await cache.get(key())
    clock.advance(1799)
    assert first is await cache.get(key())
    clock.advance(1)
    assert first is not await cache.get(key())
    assert [0, 1] == [transport.closed for transport in reversed(factory.made)]


async def test_too_old_one_in_use_is_closed_by_its_last_user(
    cache: TransportCache, factory: Factory, clock: FakeClock
) -> None:
    async with cache.lease(key()) as first, cache.lease(key()) as second:
        assert first is second
        clock.advance(1800)
        assert first is not await cache.get(key())
        assert 0 == factory.made[0].closed
    assert [1, 0] == [transport.closed for transport in factory.made]


async def test_clean_closes_what_is_too_old(cache: TransportCache, factory: Factory, clock: FakeClock) -> None:
    await cache.get(key(1))
    clock.advance(1000)
    await cache.get(key(2))
    clock.advance(800)
    assert 1 == await cache.clean()
    assert [2] == factory.open_ports
    assert 0 == await cache.clean()


async def test_remove_closes_at_once_and_close_closes_all(cache: TransportCache, factory: Factory) -> None:
    for number in (1, 2, 3):
        await cache.get(key(number))
    await cache.remove(key(2))
    await cache.remove(key(9))
    assert [1, 3] == factory.open_ports
    await cache.close()
    assert [] == factory.open_ports
    assert {1} == {transport.closed for transport in factory.made}


async def test_close_leaves_the_leased_one_to_its_user(cache: TransportCache, factory: Factory) -> None:
    async with cache.lease(key()):
        await cache.close()
        assert 0 == factory.made[0].closed
    assert 1 == factory.made[0].closed


@pytest.mark.parametrize("error", [AccountError("no"), ProviderUnavailableError("no")])
async def test_get_one_that_cannot_be_opened_is_not_kept(
    cache: TransportCache, factory: Factory, error: Exception
) -> None:
    factory.fault = error
    with pytest.raises(type(error)):
        await cache.get(key())
    factory.fault = None
    assert factory.made[0] is not await cache.get(key())
    assert [1, 0] == [transport.closed for transport in factory.made]


async def test_get_many_at_once_open_one(cache: TransportCache, factory: Factory) -> None:
    factory.gate = asyncio.Event()
    asking = [asyncio.create_task(cache.get(key())) for _ in range(5)]
    await asyncio.sleep(0)
    factory.gate.set()
    assert 1 == len(set(await asyncio.gather(*asking))) == len(factory.made)


async def test_get_many_at_once_share_the_failure(cache: TransportCache, factory: Factory) -> None:
    factory.gate, factory.fault = asyncio.Event(), AccountError("refused")
    asking = [asyncio.create_task(cache.get(key())) for _ in range(3)]
    await asyncio.sleep(0)
    factory.gate.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert {AccountError} == {type(result) for result in results}
    assert (1, 1) == (len(factory.made), factory.made[0].closed)


async def test_get_opener_is_cancelled_the_others_open_again(cache: TransportCache, factory: Factory) -> None:
    factory.gate = asyncio.Event()
    first, second = (asyncio.create_task(cache.get(key())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    factory.gate.set()
    provider = await second
    assert factory.made[1] is provider
    assert [1, 0] == [transport.closed for transport in factory.made]
    assert (0, 2) == (cache.statistics().hits, cache.statistics().misses)


async def test_remove_while_it_is_opened_leaves_it_to_who_asked(cache: TransportCache, factory: Factory) -> None:
    factory.gate, factory.fault = asyncio.Event(), AccountError("refused")
    asking = asyncio.create_task(cache.get(key()))
    await asyncio.sleep(0)
    await cache.remove(key())
    factory.gate.set()
    with pytest.raises(AccountError):
        await asking
    assert 1 == factory.made[0].closed


async def test_get_waiter_is_cancelled_the_opener_goes_on(cache: TransportCache, factory: Factory) -> None:
    factory.gate = asyncio.Event()
    first, second = (asyncio.create_task(cache.get(key())) for _ in range(2))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.sleep(0)
    factory.gate.set()
    assert factory.made[0] is await first
    assert 0 == factory.made[0].closed


async def test_statistics_are_measured(cache: TransportCache) -> None:
    assert CacheStatistics(0, 10, 0, 0, 0) == cache.statistics()
    assert 0.0 == cache.statistics().hit_rate
    for number in (1, 2, 1, 1):
        await cache.get(key(number))
    statistics = cache.statistics()
    assert (2, 10, 2, 2, 0.5) == (*statistics[:4], statistics.hit_rate)


async def test_statistics_memory_follows_what_a_provider_holds(cache: TransportCache, factory: Factory) -> None:
    await cache.get(key())
    before = cache.statistics().memory_bytes
    assert 500 < before < 20_000
    factory.made[0].messages.append(b"x" * 100_000)  # type: ignore[arg-type]  # only its size matters
    assert 100_000 < cache.statistics().memory_bytes - before < 101_000
    await cache.close()
    assert 0 == cache.statistics().memory_bytes


async def test_statistics_memory_of_a_pool_is_bounded(clock: FakeClock) -> None:
    provider = make_provider(parse_dsn("smtp://127.0.0.1:1"), {}, clock=clock)
    provider.open = lambda: asyncio.sleep(0)  # type: ignore[method-assign]  # no socket here
    cache = TransportCache(lambda _key: provider, clock)
    await cache.get(key())
    assert 1_000 < cache.statistics().memory_bytes < 200_000
    await cache.close()

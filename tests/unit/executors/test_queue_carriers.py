from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from fakes import FakeClock

from mailblast.errors import ProviderUnavailableError
from mailblast.executors.queue.carriers import Carriers
from mailblast.providers.memory import MemoryProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Providers:
    """Opens providers, slowly, and knows which are open."""

    def __init__(self) -> None:
        self.opened: list[MemoryProvider] = []
        self.open: list[MemoryProvider] = []

    @contextlib.asynccontextmanager
    async def lease(self) -> AsyncIterator[MemoryProvider]:
        await asyncio.sleep(0)
        provider = MemoryProvider()
        self.opened.append(provider)
        self.open.append(provider)
        yield provider
        self.open.remove(provider)

    def refuse(self) -> contextlib.AbstractAsyncContextManager[MemoryProvider]:
        raise ProviderUnavailableError("No.")


async def test_campaigns_opened_at_once_go_by_one_provider_of_their_transport() -> None:
    carriers, providers = Carriers(FakeClock(), print), Providers()
    first, second, other = await asyncio.gather(
        carriers.get("a", providers.lease), carriers.get("a", providers.lease), carriers.get("b", providers.lease)
    )
    assert first is second
    assert first is not other
    assert 2 == len(providers.opened)
    await carriers.close()
    assert [] == providers.open


async def test_carrier_that_nobody_uses_is_let_go_and_opened_anew() -> None:
    carriers, providers = Carriers(FakeClock(), print), Providers()
    kept = await carriers.get("kept", providers.lease)
    left = await carriers.get("left", providers.lease)
    await carriers.let_go(lambda carrier: carrier is kept)
    assert [kept.provider] == providers.open
    assert kept is await carriers.get("kept", providers.lease)
    assert left is not await carriers.get("left", providers.lease)
    await carriers.close()
    assert [] == providers.open


async def test_provider_that_cannot_be_opened_is_tried_again_by_the_next_campaign() -> None:
    carriers, providers = Carriers(FakeClock(), print), Providers()

    with pytest.raises(ProviderUnavailableError):
        await carriers.get("a", providers.refuse)
    carrier = await carriers.get("a", providers.lease)
    assert providers.open == [carrier.provider]
    await carriers.close()

"""The SES provider: its face to the pipeline."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from mailblast.providers.provider import ProviderLimits
from mailblast.providers.ses.account import DEFAULT_RATE_PER_S, Account, check, may_not_look, read_account
from mailblast.providers.ses.calls import make_client
from mailblast.providers.ses.grouping import Grouping
from mailblast.providers.ses.probe import probe
from mailblast.providers.ses.requests import MAX_ENTRIES, RequestWriter
from mailblast.providers.ses.sending import Memory, Sending
from mailblast.providers.ses.settings import DEFAULT_CONCURRENCY, MAX_DEFAULT_CONCURRENCY, Mode
from mailblast.providers.ses.suppression import suppressed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mailblast.clock import Clock
    from mailblast.providers.provider import Deliveries, SuppressedAddress
    from mailblast.providers.ses.settings import SesSettings

#: Bytes of a message, encoded (SES developer guide, "Message quotas").
SIZE_BYTES = 40 * 1024 * 1024
#: What one call may take, for the number of calls that an account's rate needs.
CALL_S = 0.25
#: Calls of many at once: each holds up to 50 recipients that a lost answer would put in doubt.
BULK_CALLS = 8
#: GetAccount takes one request a second; asked more often, it throttles.
ACCOUNT_TRIES = 3
ACCOUNT_WAIT_S = 1.1


class SesProvider:
    """One account in one Region.

    Args:
        settings: Where and how.
        clock: Waits and durations.
    """

    leaves_machine = True

    def __init__(self, settings: SesSettings, *, clock: Clock) -> None:
        self.settings = settings
        self.name = settings.name
        self.on_loopback = settings.on_loopback
        self.wants_composition = settings.mode is Mode.BULK
        #: As SES told on ``open()``; None before, and where it does not tell.
        self.account: Account | None = None
        self._clock = clock
        self._client: Any = None
        self._memory = Memory()
        self._writer = RequestWriter(settings)
        calls = settings.concurrency or (BULK_CALLS if self.wants_composition else DEFAULT_CONCURRENCY)
        #: Before ``open()``, what holds for most accounts.
        self.limits = ProviderLimits(calls, SIZE_BYTES, DEFAULT_RATE_PER_S)

    async def open(self) -> None:
        """Ask for the account: its rate, what is left of its daily quota, and whether it may send at all.

        Where the key may not look, the rate is taken to be 14 a second.

        Raises:
            UsageError: The AWS configuration lacks something.
            ProviderUnavailableError: SES cannot be reached; nothing was sent.
            AccountError: The key is refused, or the account cannot mail; nothing was sent.
        """
        client = await self._connected()
        account = await asyncio.to_thread(read_account, client)
        for _ in range(ACCOUNT_TRIES - 1):
            if isinstance(account, Account) or may_not_look(account):
                break
            await self._clock.sleep(ACCOUNT_WAIT_S)
            account = await asyncio.to_thread(read_account, client)
        if not isinstance(account, Account):
            return
        check(account, self.name, allow_sandbox=self.settings.allow_sandbox)
        self.account = account
        concurrency = self.limits.concurrency
        if self.settings.concurrency is None and not self.wants_composition:
            concurrency = min(max(concurrency, math.ceil(account.rate_per_s * CALL_S)), MAX_DEFAULT_CONCURRENCY)
        self.limits = ProviderLimits(
            concurrency, SIZE_BYTES, account.rate_per_s, per_day=account.per_day, left_today=account.left_today
        )

    async def deliver(self, deliveries: Deliveries) -> None:
        """Send until ``deliveries`` ends and everything taken is finished; see ``Provider.deliver``.

        Works without ``open()``, too: of the processes that share an account, one asks for it.

        Raises:
            UsageError: The AWS configuration lacks something.
            ProviderUnavailableError: Several calls in a row got no answer.
            AccountError: There are no credentials, or they have ended.
        """
        client = await self._connected()
        grouping = Grouping(self._writer, self._entries_a_call()) if self.wants_composition else None
        calls = self.limits.concurrency
        sending = Sending(deliveries, client, self._writer, grouping, calls, self._memory, self._clock)
        await sending.run()

    async def probe(self, sender: str | None = None) -> list[tuple[str, str]]:
        """Ask for the account and the sender's identity; no mail is sent.

        Args:
            sender: Address of From; None asks for none.

        Returns:
            What was found, as name and value.

        Raises:
            UsageError: The AWS configuration lacks something.
            ProviderUnavailableError: SES cannot be reached.
            AccountError: The key is refused, the account cannot mail, or the sender is not verified.
        """
        return await asyncio.to_thread(probe, await self._connected(), self.settings, sender)

    async def suppressions(self) -> AsyncGenerator[SuppressedAddress, None]:
        """Yield the addresses that SES does not mail for this account; see ``SuppressingProvider``."""
        async with aclosing(suppressed(await self._connected(), self._clock)) as addresses:
            async for address in addresses:
                yield address

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    async def _connected(self) -> Any:
        if self._client is None:
            self._client = await asyncio.to_thread(make_client, self.settings)
        return self._client

    def _entries_a_call(self) -> int:
        """Return the most recipients of a call: no more than the account gets in a second, where that is known."""
        if self.account is None:
            return MAX_ENTRIES
        return min(MAX_ENTRIES, max(1, int(self.account.rate_per_s)))

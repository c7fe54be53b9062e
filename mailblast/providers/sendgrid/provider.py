"""The SendGrid provider: its face to the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.errors import UsageError
from mailblast.model.schedule import check_ahead
from mailblast.providers.provider import ProviderLimits
from mailblast.providers.sendgrid.account import Account
from mailblast.providers.sendgrid.payload import MAX_REQUEST_BYTES, PayloadWriter, Schedule
from mailblast.providers.sendgrid.scheduled_sends import MAX_AHEAD_S, ScheduledSends
from mailblast.providers.sendgrid.sending import Memory, Sending
from mailblast.providers.sendgrid.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mailblast.clock import Clock
    from mailblast.providers.provider import Deliveries, SuppressedAddress
    from mailblast.providers.sendgrid.settings import SendgridSettings


class SendgridProvider:
    """One SendGrid account.

    Args:
        settings: Key, region and sizes.
        clock: Durations, and the time of day for what SendGrid says to wait.
    """

    leaves_machine = True
    wants_composition = True

    def __init__(self, settings: SendgridSettings, *, clock: Clock) -> None:
        self.settings = settings
        self.name = settings.name
        self.on_loopback = settings.on_loopback
        # Of requests, not of recipients: a run with several processes shares these out.
        self.limits = ProviderLimits(settings.concurrency, MAX_REQUEST_BYTES)
        self.scheduled_for: Schedule | None = None
        self._clock = clock
        self._wire = Wire(settings)
        self._account = Account(self._wire)
        self._scheduled_sends = ScheduledSends(self._wire, clock)
        self._memory = Memory()

    async def open(self) -> None:
        """Ask whether the key may send.

        Raises:
            ProviderUnavailableError: SendGrid cannot be reached; nothing was sent.
            AccountError: The key is refused, or may not send; nothing was sent.
        """
        await self._account.check_key()

    async def deliver(self, deliveries: Deliveries) -> None:
        """Send until ``deliveries`` ends and everything taken is finished; see ``Provider.deliver``."""
        writer = PayloadWriter(self.settings, self.scheduled_for)
        await Sending(deliveries, self._wire, writer, self.settings, self._memory, self._clock).run()

    async def close(self) -> None:
        """Do nothing: each request has a connection of its own."""

    async def probe(self, sender: str | None = None) -> list[tuple[str, str]]:
        """Try the key and look at rights, credits and senders; no mail is sent.

        Args:
            sender: Address that must be a verified sender or of an authenticated domain; None asks for none.

        Returns:
            What was found, as name and value.

        Raises:
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: The key or the sender is refused.
        """
        return await self._account.probe(sender)

    def suppressions(self) -> AsyncGenerator[SuppressedAddress, None]:
        """Yield who is on the account's suppression lists; see ``SuppressingProvider``."""
        return self._account.suppressions()

    async def issue_batch_id(self) -> str:
        """Return a new name for scheduled mail. Keep it before anything is sent: without it nothing can be called off.

        Raises:
            ProviderUnavailableError: SendGrid cannot be reached.
            AccountError: It issues none to this key.
        """
        return await self._scheduled_sends.issue_batch_id()

    def schedule(self, send_at_s: int, batch_id: str) -> None:
        """Have SendGrid keep everything sent from now on until a time.

        Args:
            send_at_s: Unix seconds, at most 72 hours ahead.
            batch_id: From ``issue_batch_id()``.

        Raises:
            UsageError: The time is past or too far ahead, or there is no batch id.
        """
        check_ahead(send_at_s, self._clock.now(), at_most_s=MAX_AHEAD_S, who="SendGrid")
        if not batch_id:
            raise UsageError("Scheduled mail needs a batch id of SendGrid's.", fix="Take one from issue_batch_id().")
        self.scheduled_for = Schedule(send_at_s, batch_id)

    async def cancel(self, batch_id: str, status: str = "cancel", *, send_at_s: int | None = None) -> None:
        """Take back or hold scheduled mail; see ``ScheduledSends.cancel``."""
        await self._scheduled_sends.cancel(batch_id, status, send_at_s=send_at_s)

    async def resume(self, batch_id: str) -> None:
        """Let mail go that was held; see ``ScheduledSends.resume``."""
        await self._scheduled_sends.resume(batch_id)

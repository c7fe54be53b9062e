"""The SMTP provider: its face to the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.providers.provider import ProviderLimits
from mailblast.providers.smtp.pool import Pool
from mailblast.providers.smtp.probe import probe

if TYPE_CHECKING:
    from mailblast.clock import Clock
    from mailblast.providers.provider import Deliveries
    from mailblast.providers.smtp.settings import SmtpSettings

#: Messages a second to a remote server whose limits are not known.
REMOTE_RATE_PER_S = 5.0


class SmtpProvider:
    """A pool of sessions with one server.

    Args:
        settings: Where and how.
        clock: Ages, time-outs and durations.
    """

    leaves_machine = True
    wants_composition = False

    def __init__(self, settings: SmtpSettings, *, clock: Clock) -> None:
        self.settings = settings
        self.name = f"smtp:{settings.host}"
        self.on_loopback = settings.on_loopback
        gentle = None if settings.on_loopback else REMOTE_RATE_PER_S
        self.limits = ProviderLimits(
            settings.connections, settings.size_bytes, settings.rate_per_s or gentle, settings.per_day
        )
        self._pool = Pool(settings, clock)

    @property
    def open_connections(self) -> int:
        """Connections that are open right now."""
        return self._pool.open_connections

    async def open(self) -> None:
        """Connect and log in once.

        Raises:
            ProviderUnavailableError: No connection could be made; nothing was sent.
            AccountError: The login was refused; nothing was sent.
        """
        connection = await self._pool.open()
        size_bytes = connection.session.extensions.size_limit
        if size_bytes is not None:
            self.limits = self.limits._replace(size_bytes=size_bytes)

    async def deliver(self, deliveries: Deliveries) -> None:
        """Send until ``deliveries`` ends and everything taken is finished; see ``Provider.deliver``."""
        await self._pool.deliver(deliveries)

    async def close(self) -> None:
        """Say QUIT on every connection and wait for the server to hang up, 5 s at most."""
        await self._pool.close()

    async def probe(self, sender: str | None = None) -> list[tuple[str, str]]:
        """Connect, log in, look around and leave; no mail is sent.

        Args:
            sender: Reverse path to try with MAIL and RSET; None tries none.

        Returns:
            What was found, as name and value.

        Raises:
            ProviderUnavailableError: The server cannot be reached, trusted or used.
            AccountError: The login or the sender was refused.
        """
        return await probe(self.settings, sender)

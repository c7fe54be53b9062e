"""The options of ``bulk`` as one value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailblast.cli import campaigns
from mailblast.cli.process_count import process_count
from mailblast.delivery.intake import Selection
from mailblast.journal.journal import ClaimPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.cli.attachments import AttachOptions
    from mailblast.cli.authenticity import AuthenticityOptions
    from mailblast.cli.options import ListFormat
    from mailblast.cli.pacing import PaceFlags
    from mailblast.cli.watch import WatchSettings


@dataclass(frozen=True, slots=True)
class BulkOptions:
    """The options of ``bulk``, read and checked each by itself."""

    list_source: str
    template: Path
    subject: str | None
    sender: str | None
    reply_to: str | None
    via: tuple[str, ...]
    campaign: str | None
    key: str | None
    attach: AttachOptions
    authenticity: AuthenticityOptions
    list_format: ListFormat | None
    encoding: str
    email_column: str | None
    batch_size: int
    batches: int
    connections: int | None
    messages_per_connection: int | None
    rates: tuple[str, ...]
    pacing: PaceFlags
    retry_for_s: float
    limit: int | None
    sample: float
    test_to: str | None
    dry_run: bool
    retry_failed: bool
    resend_in_doubt: bool
    durable: bool
    #: ``ALL_CORES`` where that is for the machine and the provider to say.
    processes: int
    yes: bool
    json_log: bool
    watching: WatchSettings
    #: An URL, ``HERE``, or None where nothing is queued.
    queue: str | None = None
    wait: bool = False
    priority: int = 1
    token_command: str | None = None
    at: str | None = None
    suppress_hard_bounces: bool = False
    via_column: str | None = None
    from_column: str | None = None
    debug: bool = False

    @property
    def transport_flags(self) -> campaigns.TransportFlags:
        """What is said about providers."""
        return campaigns.TransportFlags(
            self.connections, self.messages_per_connection, self.rates, self.pacing, self.token_command
        )

    def processes_for(self, connections: int) -> int:
        """Return how many processes share a provider's connections."""
        return process_count(self.processes, connections)

    @property
    def selection(self) -> Selection:
        """Which part of the list is taken."""
        return Selection(self.limit, self.sample)

    @property
    def policy(self) -> ClaimPolicy:
        """Who is taken again."""
        return ClaimPolicy(retry_failed=self.retry_failed, resend_in_doubt=self.resend_in_doubt)

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self.campaign or campaigns.campaign_name(self.template, self.list_source)

"""The options of ``worker``, and the parts that it makes of a stored campaign."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mailblast.cli import campaigns
from mailblast.cli.authenticity import keys_of
from mailblast.cli.pacing import PaceFlags

if TYPE_CHECKING:
    from mailblast.cli.campaigns import Transport
    from mailblast.cli.settings import Settings
    from mailblast.cli.watch import WatchSettings
    from mailblast.clock import Clock
    from mailblast.executors.queue.document import Delivery
    from mailblast.model.campaign import Keys


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """As given; what is None is as the campaign was queued."""

    via: str | None
    connections: int | None
    messages_per_connection: int | None
    concurrency: int
    once: bool
    json_log: bool
    watching: WatchSettings


def transport_for(options: WorkerOptions, delivery: Delivery, settings: Settings, clock: Clock) -> Transport:
    """Return the provider and limits that a queued campaign is delivered with.

    Raises:
        UsageError: Something of it cannot be honoured here.
    """
    table = delivery.warm_up_table
    return campaigns.transport_of(
        settings,
        options.via or delivery.via,
        connections=options.connections or delivery.connections,
        messages_per_connection=options.messages_per_connection or delivery.messages_per_connection,
        rates=delivery.rates,
        clock=clock,
        pacing=PaceFlags(
            delivery.domain_rates, delivery.daily_cap, delivery.warm_up, Path(table) if table is not None else None
        ),
    )


def keys_for(delivery: Delivery, settings: Settings) -> Keys:
    """Return what signs a queued campaign's messages and links; never part of what is stored.

    Raises:
        UsageError: A file cannot be read.
    """
    return keys_of(settings, Path(delivery.dkim_key) if delivery.dkim_key is not None else None)

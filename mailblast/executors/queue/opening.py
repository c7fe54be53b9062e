"""How a campaign is opened in a worker: what the server has of it, and what this machine has for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from mailblast.delivery.composer import Composer
from mailblast.executors.queue.blobs import FetchedBlobs
from mailblast.executors.queue.deferred import Deferred
from mailblast.executors.queue.document import from_document
from mailblast.executors.queue.includes import unpack_files
from mailblast.executors.queue.lane import Lane
from mailblast.executors.queue.server_blobs import ServerBlobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from random import Random

    from mailblast.clock import Clock
    from mailblast.executors.queue.carriers import Carriers
    from mailblast.executors.queue.document import Delivery
    from mailblast.executors.queue.lane import Parts
    from mailblast.executors.queue.ledger import Ledger
    from mailblast.executors.queue.store import Store
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome

    #: Makes the ledger of a campaign by its token; the second says whether a deferred recipient is tried again.
    MakeLedger: TypeAlias = Callable[[str, Callable[[Outcome], bool]], Ledger]


class Opening:
    """Opens campaigns.

    Args:
        store: The server.
        folder: Of the worker, for attachments and included files.
        make_parts: Returns what this machine has for a campaign. Raises ``MailblastError`` where something is missing.
        make_ledger: Makes the ledger of a campaign.
        carriers: Of the worker.
        clock: Times and waits.
        on_outcome: Called for each outcome.
        jitter: Spreads second tries.
    """

    def __init__(
        self,
        store: Store,
        folder: Path,
        make_parts: Callable[[Campaign, Delivery], Parts],
        make_ledger: MakeLedger,
        carriers: Carriers,
        clock: Clock,
        *,
        on_outcome: Callable[[Outcome], None],
        jitter: Random,
    ) -> None:
        self._store = store
        self._folder = folder
        self._make_parts = make_parts
        self._make_ledger = make_ledger
        self._carriers = carriers
        self._clock = clock
        self._on_outcome = on_outcome
        self._jitter = jitter
        self._blobs = FetchedBlobs(folder / "attachments", ServerBlobs(store).get)

    async def open(self, token: str) -> Lane:
        """Open a campaign.

        Raises:
            QueueError: The server is away or refuses.
            MailblastError: It cannot be delivered by this machine.
        """
        document = json.loads(self._store.info(token)["document"])
        campaign, delivery = from_document(document, self._blobs.get)
        folder = unpack_files(document.get("files", {}), self._folder / "templates" / token)
        campaign = campaign._replace(template=campaign.template._replace(folder=folder))
        parts = self._make_parts(campaign, delivery)
        carrier = await self._carriers.get(parts.transport, parts.lease)
        composer = Composer(campaign, parts.keys, composition=carrier.provider.wants_composition)
        deferred = Deferred(delivery.queued_s + delivery.retry_for_s, self._clock, self._jitter)
        ledger = self._make_ledger(token, deferred.is_tried_again)
        pace = parts.make_pace(carrier.provider)
        return Lane(
            campaign,
            delivery,
            composer,
            ledger,
            pace,
            carrier,
            deferred,
            clock=self._clock,
            on_outcome=self._on_outcome,
        )

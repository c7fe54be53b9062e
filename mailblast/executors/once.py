"""A handful of messages without a list: ``send`` and test messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.delivery.composer import Composer
from mailblast.delivery.pipeline import Pipeline
from mailblast.executors.inline import InlineExecutor
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.throttle import Throttle
    from mailblast.errors import MailblastError
    from mailblast.journal.journal import Journal
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome
    from mailblast.model.recipient import Claim
    from mailblast.providers.provider import Provider


async def deliver_claims(
    claims: Sequence[Claim],
    campaign: Campaign,
    provider: Provider,
    throttle: Throttle,
    journal: Journal,
    clock: Clock,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
) -> tuple[list[Outcome], MailblastError | None]:
    """Open the provider, deliver these claims, record what came of them, and close it.

    Returns:
        One outcome for each claim, in their order, and what stopped the delivery, if anything did.

    Raises:
        ProviderError: The provider cannot be opened; nothing was sent, and nothing recorded.
        TemplateError: The template cannot be compiled; likewise.
    """
    outcomes: list[Outcome] = []

    def done(finished: Sequence[Outcome]) -> None:
        journal.fold(finished)
        outcomes.extend(finished)

    pipeline = Pipeline(
        Composer(campaign),
        journal.segment(),
        throttle,
        provider_name=provider.name,
        clock=clock,
        on_outcome=on_outcome,
    )
    await provider.open()
    try:
        async with InlineExecutor(pipeline, provider, clock, batches_in_flight=1, on_done=done) as executor:
            await executor.submit(Batch(0, tuple(claims)))
            await executor.drain()
    finally:
        await provider.close()
    return outcomes, pipeline.stopped

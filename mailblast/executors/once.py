"""A handful of messages without a list: ``send`` and test messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.delivery.composer import Composer
from mailblast.delivery.pipeline import Pipeline
from mailblast.delivery.suppressed import SuppressionFilter
from mailblast.executors.inline import InlineExecutor
from mailblast.message.attachments.size import check_total_size
from mailblast.model.campaign import Keys
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mailblast.clock import Clock
    from mailblast.delivery.pace import Pace
    from mailblast.errors import MailblastError
    from mailblast.journal.journal import Journal
    from mailblast.model.campaign import Campaign
    from mailblast.model.outcome import Outcome
    from mailblast.model.recipient import Claim
    from mailblast.providers.provider import Provider
    from mailblast.recipients.suppression import SuppressionList

_NO_KEYS = Keys()


async def deliver_claims(
    claims: Sequence[Claim],
    campaign: Campaign,
    provider: Provider,
    make_pace: Callable[[], Pace],
    journal: Journal,
    clock: Clock,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    keys: Keys = _NO_KEYS,
    suppressions: SuppressionList | None = None,
) -> tuple[list[Outcome], MailblastError | None]:
    """Open the provider, deliver these claims, record what came of them, and close it.

    Args:
        claims: What to deliver.
        campaign: What they get.
        provider: Not open.
        make_pace: Makes the limits, when the provider is open and has told its own.
        journal: Keeps marks and outcomes.
        clock: Times and waits.
        on_outcome: Called for each outcome.
        keys: What signs messages and links.
        suppressions: Who must not be mailed; None asks nobody.

    Returns:
        One outcome for each claim, in their order, and what stopped the delivery, if anything did.

    Raises:
        ProviderError: The provider cannot be opened; nothing was sent, and nothing recorded.
        TemplateError: The template cannot be compiled; likewise.
        UsageError: The attachments are larger than the provider takes; likewise.
    """
    outcomes: list[Outcome] = []
    # First, so that a template that cannot be compiled connects to nobody.
    composer = Composer(campaign, keys, composition=provider.wants_composition)

    def done(finished: Sequence[Outcome]) -> None:
        journal.fold(finished)
        outcomes.extend(finished)

    batch = Batch(-1, tuple(claims))
    if suppressions is not None:

        def settled(outcome: Outcome) -> None:
            outcomes.append(outcome)
            on_outcome(outcome)

        batch = SuppressionFilter(suppressions, journal, clock, settled).left(batch)
        if not batch.claims:
            return outcomes, None
    await provider.open()
    pace = make_pace()
    try:
        check_total_size(campaign.attachments, provider.limits.size_bytes, provider=provider.name)
        pipeline = Pipeline(
            composer,
            journal.segment(),
            pace,
            provider_name=provider.name,
            clock=clock,
            on_outcome=on_outcome,
        )
        async with InlineExecutor(pipeline, provider, clock, batches_in_flight=1, on_done=done) as executor:
            await executor.submit(batch)
            await executor.drain()
    finally:
        pace.close()
        await provider.close()
    places = {claim.id: place for place, claim in enumerate(claims)}
    return sorted(outcomes, key=lambda outcome: places[outcome.id]), pipeline.stopped

"""A handful of messages without a list: ``send`` and test messages."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple

from mailblast.delivery.composer import Composer
from mailblast.delivery.suppressed import SuppressionFilter
from mailblast.executors.failover import FailoverExecutor, Switch, open_first
from mailblast.executors.inline import MAX_RECONNECTS, MAX_RECONNECTS_BEFORE_ANOTHER
from mailblast.executors.inline_route import InlineRoute
from mailblast.model.campaign import Keys
from mailblast.model.recipient import Batch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

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


class StandIn(NamedTuple):
    """A provider that takes what the ones before it have not sent when they stop."""

    #: Not open.
    provider: Provider
    #: Makes its limits, when it is open and has told its own.
    make_pace: Callable[[], Pace]


async def deliver_claims(
    claims: Sequence[Claim],
    campaign: Campaign,
    provider: Provider,
    make_pace: Callable[[], Pace],
    journal: Journal,
    clock: Clock,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    *,
    keys: Keys = _NO_KEYS,
    suppressions: SuppressionList | None = None,
    stand_ins: Sequence[StandIn] = (),
    on_switch: Callable[[Switch], None] = lambda _: None,
    on_open: Callable[[Provider], Awaitable[None]] | None = None,
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
        stand_ins: Further providers, in the order in which they are wanted.
        on_switch: Told when one of them goes on.
        on_open: Awaited with the provider when it is open, before anything is handed to it.

    Returns:
        One outcome for each claim, in their order, and what stopped the delivery, if anything did.

    Raises:
        ProviderError: The provider cannot be opened; nothing was sent, and nothing recorded.
        TemplateError: The template cannot be compiled; likewise.
        UsageError: The attachments are larger than the provider takes; likewise.
    """
    outcomes: list[Outcome] = []
    make_composer = functools.cache(lambda composition: Composer(campaign, keys, composition=composition))
    # First, so that a template that cannot be compiled connects to nobody.
    make_composer(provider.wants_composition)

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
    routes = [
        InlineRoute(
            each.provider,
            each.make_pace,
            make_composer,
            journal.segment(),
            clock,
            batches_in_flight=1,
            attachments=campaign.attachments,
            reconnects=MAX_RECONNECTS if number == len(stand_ins) else MAX_RECONNECTS_BEFORE_ANOTHER,
        )
        for number, each in enumerate((StandIn(provider, make_pace), *stand_ins))
    ]
    try:
        opened = await open_first(routes, on_switch)
        if on_open is not None:
            await on_open(opened[0].provider)
        executor = FailoverExecutor(opened, clock, on_outcome=on_outcome, on_done=done, on_switch=on_switch)
        async with executor:
            await executor.submit(batch)
            await executor.drain()
    finally:
        for route in routes:
            await route.close()
    places = {claim.id: place for place, claim in enumerate(claims)}
    return sorted(outcomes, key=lambda outcome: places[outcome.id]), executor.stopped

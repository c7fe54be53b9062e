"""What each provider costs at a volume: every plan with its overage, the cheapest of each provider taken."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from mailblast.costs.crossings import Crossing, crossings
from mailblast.costs.guide import PRICE_LIST, Cost, guide_analysis, guide_cost
from mailblast.costs.hidden import HiddenCosts, guide_hidden_costs, no_hidden_costs
from mailblast.costs.offers import Estimate, Exclusion, Offer, Question, is_compared
from mailblast.costs.plan import Line
from mailblast.costs.price_file import OLD_AFTER_DAYS, PriceList, Provider
from mailblast.costs.volume import LARGEST
from mailblast.errors import UsageError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterable

_ZERO = Decimal(0)


def estimate(prices: PriceList, question: Question, hidden: HiddenCosts, today: dt.date) -> Estimate:
    """Price a volume by every provider of a price file.

    Args:
        prices: As read.
        question: The volume and what goes with it.
        hidden: Counted in, and shown apart.
        today: Tells which prices are old.

    Raises:
        UsageError: The volume is not positive, the approach not known, or nothing carries the volume.
    """
    if question.volume <= 0:
        raise UsageError(f"A volume of {question.volume} has no cost.", fix="Give at least 1 message.")
    chosen = prices.providers if question.approach is None else (prices.provider(question.approach),)
    providers = tuple(_of_account(provider, question.ses_plan) for provider in chosen)
    offers: list[Offer] = []
    excluded: list[Exclusion] = []
    for provider in providers:
        offer = _offer(provider, question, hidden)
        if offer is None:
            excluded.append(Exclusion(provider.approach, provider.name, _reason(provider, question)))
        else:
            offers.append(offer)
    if not offers:
        told = excluded[0]
        raise UsageError(
            f"{told.provider} cannot carry {question.volume:,} messages a {question.per}: {told.reason}.",
            fix="Give a smaller volume or another approach.",
        )
    offers.sort(key=lambda offer: (offer.cost.monthly, offer.cost.fixed))
    return Estimate(
        question=question,
        price_list=prices.name,
        price_date=prices.date,
        hidden=hidden.name,
        offers=tuple(offers),
        excluded=tuple(excluded),
        crossings=_crossings(providers, question.attachments_bytes, hidden),
        notices=old_prices(prices, providers, today),
        curves={each.approach: _curve(each, question.attachments_bytes, hidden) for each in providers},
    )


def guide_estimate(question: Question, hidden: HiddenCosts | None = None) -> Estimate:
    """Price a volume by the guide's list, which knows no plans and no attachments.

    Args:
        question: The volume.
        hidden: None for the guide's own.

    Raises:
        UsageError: As in ``guide_cost``.
    """
    counted = guide_hidden_costs() if hidden is None else hidden
    analysis = guide_analysis(question.volume, question.per, question.approach)
    costs = tuple(_with_hidden(cost, counted, question.messages) for cost in analysis.approaches)

    def curve(approach: str) -> Callable[[int], Decimal | None]:
        return lambda messages: _with_hidden(guide_cost(messages, approach), counted, messages).monthly

    lines = {cost.approach: _guide_lines(cost.approach, counted) for cost in costs}
    return Estimate(
        question=question,
        price_list=PRICE_LIST,
        price_date=None,
        hidden=counted.name,
        offers=tuple(Offer(cost) for cost in costs),
        excluded=(),
        crossings=tuple(crossings(lines, LARGEST)),
        notices=(),
        curves={cost.approach: curve(cost.approach) for cost in costs},
    )


def price_of_run(provider: Provider, messages: int, attachments_bytes: int = 0) -> Offer | None:
    """Return what so many messages cost at one provider, were they all of the month; None where no plan carries them.

    Args:
        provider: Of a price file.
        messages: At least 1.
        attachments_bytes: Of each message.
    """
    return _offer(provider, Question(messages, "month", attachments_bytes), no_hidden_costs())


def old_prices(prices: PriceList, providers: Iterable[Provider], today: dt.date) -> tuple[str, ...]:
    """Return a line that names whose prices are old, if any are."""
    shown = {provider.name for provider in providers}
    old = [f"{name} ({date})" for name, date in prices.old(today) if name in shown]
    if not old:
        return ()
    return (f"Prices older than {OLD_AFTER_DAYS} days: {', '.join(old)}. Look at the provider's page before you rely.",)


def _of_account(provider: Provider, ses_plan: str | None) -> Provider:
    """Return the provider with the one plan that the account has, where that is known."""
    if ses_plan is None:
        return provider
    plans = tuple(plan for plan in provider.plans if plan.account_plan == ses_plan)
    return provider._replace(plans=plans) if plans else provider


def _offer(provider: Provider, question: Question, hidden: HiddenCosts) -> Offer | None:
    messages, size = question.messages, question.attachments_bytes
    possible = [plan for plan in provider.plans if not plan.refusal(messages, size)]
    if not possible:
        return None
    plan = min(possible, key=lambda each: (each.fixed + each.variable(messages, size), each.fixed))
    bare = Cost(
        approach=provider.approach,
        fixed=plan.fixed,
        variable=plan.variable(messages, size),
        hidden={},
        monthly=_ZERO,
        per_email=_ZERO,
        note=plan.note,
    )
    return Offer(_with_hidden(bare, hidden, messages), plan)


def _with_hidden(cost: Cost, hidden: HiddenCosts, messages: int) -> Cost:
    named = hidden.of(cost.approach)
    monthly = cost.fixed + cost.variable + sum(named.values(), _ZERO)
    return cost._replace(hidden=dict(named), monthly=monthly, per_email=monthly / messages)


def _reason(provider: Provider, question: Question) -> str:
    lasting = [plan for plan in provider.plans if plan.trial_days is None] or list(provider.plans)
    nearest = max(lasting, key=lambda plan: plan.most_a_month() or LARGEST)
    return nearest.refusal(question.messages, question.attachments_bytes)


def _crossings(providers: Iterable[Provider], attachments_bytes: int, hidden: HiddenCosts) -> tuple[Crossing, ...]:
    compared = [each for each in providers if is_compared(each.kind, counted=hidden.counted)]
    lines = {each.approach: _lines(each, attachments_bytes, hidden) for each in compared}
    return tuple(crossings(lines, LARGEST))


def _lines(provider: Provider, attachments_bytes: int, hidden: HiddenCosts) -> list[Line]:
    more = sum(hidden.of(provider.approach).values(), _ZERO)
    return [
        line._replace(at_first=line.at_first + more)
        for plan in provider.plans
        for line in plan.lines(attachments_bytes)
    ]


def _guide_lines(approach: str, hidden: HiddenCosts) -> list[Line]:
    """Return the guide's formula as lines; it bends at 100 messages a month, SendGrid's free ones."""

    def at(volume: int) -> Decimal:
        return _with_hidden(guide_cost(volume, approach), hidden, volume).monthly

    return [Line(1, 100, at(1), at(2) - at(1)), Line(101, None, at(101), at(102) - at(101))]


def _curve(provider: Provider, attachments_bytes: int, hidden: HiddenCosts) -> Callable[[int], Decimal | None]:
    def cost(messages: int) -> Decimal | None:
        offer = _offer(provider, Question(messages, "month", attachments_bytes), hidden)
        return None if offer is None else offer.cost.monthly

    return cost

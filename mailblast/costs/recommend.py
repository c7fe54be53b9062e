"""Which approach fits a volume, why, what it costs, how long it takes, and what to do next."""

from __future__ import annotations

import shlex
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs import advice
from mailblast.costs.estimate import guide_estimate
from mailblast.costs.guide import dollars, guide_recommendation
from mailblast.costs.offers import MAILBOX, Estimate, Offer, Question
from mailblast.costs.plan import Limits
from mailblast.costs.price_file import PriceList, load_prices
from mailblast.costs.volume import Period, per_day

if TYPE_CHECKING:
    from collections.abc import Sequence

#: From here Google, Yahoo and Microsoft ask for SPF, DKIM, DMARC and one-click unsubscribe (support.google.com/a/
#: answer/81126: "close to 5,000"; sendersupport.olc.protection.outlook.com: over 5,000 a day).
BULK_SENDER_PER_DAY = 5_000

#: Messages a second that a run keeps unless told otherwise, where the price file names no rate.
#: SMTP: 5 per 1,000 ms, the pool's own pace, lifted by ``--rate``.
#: SES: 14, the guide's figure; an account's own MaxSendRate replaces it in a run.
#: SendGrid publishes no rate; the guide sends one request of at most 1,000 personalizations a second.
RATES_PER_S = {"directSMTP": 5, "queueSMTP": 5, "ses": 14, "sendgrid": 1_000}

#: What a domain or an address that nobody knows may send on its first day; each day takes twice the one before.
WARM_UP_FIRST_DAY = 50

_A_DAY_S = 86_400
_UNSUBSCRIBE = "--unsubscribe 'https://example.com/unsubscribe?t={{ token }}'"


class Mailbox(NamedTuple):
    """A kind of mailbox, and how long one run takes through it."""

    provider: str
    plan: str
    per_day: int
    #: Days for the volume, the first one counted.
    days: int


class Recommendation(NamedTuple):
    """What to use at a volume, and all that follows from it."""

    #: As the user gave it, per ``per``.
    volume: int
    per: Period
    approach: str
    why: tuple[str, ...]
    #: By ``estimate``; None where its price list cannot tell.
    offer: Offer | None
    #: May be of another approach.
    cheapest: Offer
    rate_per_s: Decimal
    #: Seconds for ``volume`` messages in one run at that rate.
    duration_s: float
    #: What the service itself allows.
    limits: tuple[str, ...]
    mailboxes: tuple[Mailbox, ...]
    #: Days until a new domain may send a day's volume, the day itself not counted.
    warm_up_days: int
    #: The mailing itself, to be typed as it stands with one's own template.
    command: str
    #: Everything to type, in order; ``command`` is one of them.
    commands: tuple[str, ...]
    #: What to do once, before and around these commands.
    setup: tuple[str, ...]
    #: Where the prices are from.
    estimate: Estimate

    @property
    def monthly_cost(self) -> Decimal | None:
        """US dollars a month; None where the price list cannot tell."""
        return self.offer.cost.monthly if self.offer else None

    def to_json(self) -> dict[str, object]:
        """Return the object that ``recommend --json`` prints."""
        plan, cheapest = self.offer and self.offer.plan, self.cheapest
        return {
            "volume": self.volume,
            "per": self.per,
            "approach": self.approach,
            "why": list(self.why),
            "monthly_cost": None if self.monthly_cost is None else dollars(self.monthly_cost),
            "plan": plan.plan if plan else None,
            "cheapest": {
                "approach": cheapest.cost.approach,
                "provider": cheapest.name,
                "plan": cheapest.plan.plan if cheapest.plan else None,
                "monthly": dollars(cheapest.cost.monthly),
                "days": cheapest.days(self.volume),
            },
            "command": self.command,
            "commands": list(self.commands),
            "rate_per_s": float(self.rate_per_s),
            "duration_s": round(self.duration_s, 1),
            "limits": list(self.limits),
            "mailboxes": [each._asdict() for each in self.mailboxes],
            "warm_up_days": self.warm_up_days,
            "setup": list(self.setup),
            "price_list": self.estimate.price_list,
            "price_date": self.estimate.price_date,
            "hidden_costs": self.estimate.hidden,
            "notices": list(self.estimate.notices),
        }


def recommend(
    volume: int,
    per: Period = "day",
    *,
    estimate: Estimate | None = None,
    prices: PriceList | None = None,
    list_source: str = "list.csv",
) -> Recommendation:
    """Recommend an approach for a volume, by the guide's thresholds.

    Args:
        volume: Messages per ``per``, at least 1.
        per: The thresholds are per day; a month is 30 days.
        estimate: What this volume costs, by every approach; None prices it by the guide's list.
        prices: Whose limits hold; None for the file that comes with the program.
        list_source: The list's name in the commands.

    Raises:
        UsageError: The volume is not positive.
    """
    if estimate is None:
        estimate = guide_estimate(Question(volume, per))
    if prices is None:
        prices = load_prices()
    daily = per_day(volume, per)
    approach = guide_recommendation(daily)
    offer = estimate.offer(approach)
    limits, at_first = _limits(prices, approach, offer)
    usual = Decimal(RATES_PER_S[approach])
    duration_s = limits.duration_s(volume, usual)
    pace = limits.pace_per_s(usual)
    command, commands = _commands(approach, list_source, bulk_sender=daily >= BULK_SENDER_PER_DAY)
    return Recommendation(
        volume=volume,
        per=per,
        approach=approach,
        why=advice.WHY[approach],
        offer=offer,
        cheapest=estimate.cheapest,
        rate_per_s=pace,
        duration_s=duration_s,
        limits=(*_service_limits(approach, limits, at_first), *_too_slow(duration_s, pace)),
        mailboxes=_mailboxes(prices, volume),
        warm_up_days=warm_up_days(daily),
        command=command,
        commands=commands,
        setup=_setup(approach, daily),
        estimate=estimate,
    )


def warm_up_days(messages_a_day: float) -> int:
    """Return on how many days a new domain stays below a day's volume: 50 on the first, then twice the day before."""
    days, cap = 0, WARM_UP_FIRST_DAY
    while cap < messages_a_day:
        days, cap = days + 1, cap * 2
    return days


def _limits(prices: PriceList, approach: str, offer: Offer | None) -> tuple[Limits, Limits]:
    plan = offer.plan if offer else None
    if plan is None:
        plan = next((each.plans[0] for each in prices.providers if each.approach == approach), None)
    if plan is None or plan.trial_days is not None:
        return Limits(), Limits()
    return plan.limits, plan.at_first


def _service_limits(approach: str, limits: Limits, at_first: Limits) -> tuple[str, ...]:
    lines = list(advice.LIMITS[approach])
    if words := limits._replace(rate_per_s=None).words():
        lines.append(f"The plan takes {', '.join(words)}.")
    if words := at_first.words():
        lines.append(f"A new account takes {', '.join(words)}, until the provider raises that.")
    return tuple(lines)


def _too_slow(duration_s: float, rate_per_s: Decimal) -> tuple[str, ...]:
    if duration_s <= _A_DAY_S:
        return ()
    rate = f"{rate_per_s.normalize():,f}"
    return (f"At {rate} a second one run takes more than a day: agree a higher rate with the provider.",)


def _mailboxes(prices: PriceList, volume: int) -> tuple[Mailbox, ...]:
    return tuple(
        Mailbox(plan.provider, plan.plan, plan.limits.per_day, ceil(volume / plan.limits.per_day))
        for provider in prices.providers
        if provider.kind == MAILBOX
        for plan in provider.plans
        if plan.limits.per_day
    )


def _commands(approach: str, list_source: str, *, bulk_sender: bool) -> tuple[str, tuple[str, ...]]:
    """Return the mailing's command, and all commands in order."""
    name = shlex.quote(list_source)
    if name.startswith("-") and name != "-":
        name = f"./{name}"
    words = [f"mailblast bulk {name} --template welcome.html", *advice.OPTIONS[approach]]
    if bulk_sender:
        words.append(_UNSUBSCRIBE)
    command = " ".join(words)
    via = advice.OPTIONS[approach][0]
    commands: Sequence[str] = (
        f"mailblast verify {name} --template welcome.html {via} --domain example.com",
        f"{command.replace(' --queue', '')} --dry-run",
        command,
        *(("mailblast worker",) if "--queue" in words else ()),
    )
    return command, tuple(commands)


def _setup(approach: str, daily: float) -> tuple[str, ...]:
    steps = [*advice.CONNECT[approach], *advice.AUTHENTICATE]
    if daily >= BULK_SENDER_PER_DAY:
        steps.append(advice.UNSUBSCRIBE)
    days = warm_up_days(daily)
    if days:
        steps.append(
            f"A new domain or IP address: add --warm-up, which takes {WARM_UP_FIRST_DAY} on the first day and twice as "
            f"many on each that follows; the full volume goes out on day {days + 1}."
        )
    return tuple(steps)

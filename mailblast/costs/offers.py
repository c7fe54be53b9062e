"""What an estimate is made of: the question, an offer for each approach, and what became of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs.guide import Cost, dollars
from mailblast.costs.hidden import NONE
from mailblast.costs.volume import Period, per_month

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from mailblast.costs.crossings import Crossing
    from mailblast.costs.plan import Plan

SERVICE = "service"
SERVER = "server"
MAILBOX = "mailbox"


class Offer(NamedTuple):
    """One approach at one volume: its cheapest plan, priced."""

    cost: Cost
    #: None for the guide's prices, which know no plans.
    plan: Plan | None = None

    @property
    def price(self) -> Decimal:
        """What the provider's invoice says: fixed and variable."""
        return self.cost.fixed + self.cost.variable

    @property
    def name(self) -> str:
        """The provider's name, the approach where there is none."""
        return self.plan.provider if self.plan else self.cost.approach

    def days(self, messages: int) -> int:
        """Return on how many days so many messages go out if they are sent as soon as the plan allows."""
        per_day = self.plan.limits.per_day if self.plan else None
        return -(-messages // per_day) if per_day else 1

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values: amounts to the cent, ``per_email`` to six decimals."""
        document = self.cost.to_json()
        if self.plan is not None:
            plan = self.plan
            document |= {
                "price": dollars(self.price),
                "provider": plan.provider,
                "plan": plan.plan,
                "kind": plan.kind,
                "limits": plan.limits.to_json(),
                "limits_at_first": plan.at_first.to_json(),
                "source": plan.source,
                "date": plan.date,
                "trust": plan.trust,
            }
        return document


class Exclusion(NamedTuple):
    """An approach that cannot carry the volume by any of its plans."""

    approach: str
    provider: str
    #: Of the plan that comes nearest.
    reason: str


class Question(NamedTuple):
    """What is to be priced."""

    #: Per ``per``, at least 1.
    volume: int
    per: Period = "month"
    #: Of each message, before encoding.
    attachments_bytes: int = 0
    #: Only this approach; None for all.
    approach: str | None = None
    #: What the account's API calls its plan of Amazon SES; None where it was not asked.
    ses_plan: str | None = None

    @property
    def messages(self) -> int:
        """Messages a month."""
        return per_month(self.volume, self.per)


class Estimate(NamedTuple):
    """The costs of several approaches at one volume."""

    question: Question
    price_list: str
    #: ISO date on which the prices were looked over; None for a list that carries no date.
    price_date: str | None
    #: Name of the hidden costs that are counted in.
    hidden: str
    #: The guide's own order, or the cheapest first.
    offers: tuple[Offer, ...]
    excluded: tuple[Exclusion, ...]
    crossings: tuple[Crossing, ...]
    #: What a reader must know: old prices first.
    notices: tuple[str, ...]
    #: Cost a month of each approach by messages a month, hidden costs included; None above what it carries.
    curves: Mapping[str, Callable[[int], Decimal | None]]

    @property
    def cheapest(self) -> Offer:
        """The lowest monthly cost, the first of equals.

        Mailboxes are made for people and live on a licence that is not counted; a server of one's own lives on work
        that is counted only with hidden costs. Without those, services alone are compared, where there are any.
        """
        counted = self.hidden != NONE
        compared = [each for each in self.offers if each.plan is None or is_compared(each.plan.kind, counted=counted)]
        return min(compared or self.offers, key=lambda offer: offer.cost.monthly)

    def offer(self, approach: str) -> Offer | None:
        """Return the offer of an approach, where it can carry the volume."""
        return next((each for each in self.offers if each.cost.approach == approach), None)

    def to_json(self) -> dict[str, object]:
        """Return the object that ``analyze-cost --json`` prints."""
        cheapest = self.cheapest
        return {
            "volume": self.question.volume,
            "per": self.question.per,
            "price_list": self.price_list,
            "price_date": self.price_date,
            "approaches": [offer.to_json() for offer in self.offers],
            "messages_per_month": self.question.messages,
            "attachments_bytes": self.question.attachments_bytes,
            "hidden_costs": self.hidden,
            "cheapest": {
                "approach": cheapest.cost.approach,
                "plan": cheapest.plan.plan if cheapest.plan else None,
                "monthly": dollars(cheapest.cost.monthly),
            },
            "excluded": [each._asdict() for each in self.excluded],
            "crossings": [each.to_json() for each in self.crossings],
            "notices": list(self.notices),
        }


def is_compared(kind: str, *, counted: bool) -> bool:
    """Return whether a kind of provider can be the cheapest.

    Args:
        kind: Of the provider.
        counted: Whether hidden costs are.
    """
    return kind == SERVICE or (kind == SERVER and counted)

"""One plan of one provider: what it charges, what it allows, how long it takes."""

from __future__ import annotations

from decimal import Decimal
from math import ceil
from typing import NamedTuple

from mailblast.costs.volume import DAYS_A_MONTH

A_DAY_S = 86_400
#: Providers bill attachments by the gigabyte of 10^9 bytes.
GIGABYTE = 10**9
#: Base64 turns 57 bytes into a line of 76 characters and a line break of two (RFC 2045, section 6.8).
BASE64_GROWTH = 78 / 57
_THOUSAND = Decimal(1_000)
_ZERO = Decimal(0)


class Tier(NamedTuple):
    """A marginal price: holds for the messages of a month up to ``up_to``, counted from the last tier's end."""

    #: Last message of the month at this price; None for all that follow.
    up_to: int | None
    per_1000: Decimal


class Limits(NamedTuple):
    """What a plan or a new account allows, in recipients; None where nothing is set."""

    per_month: int | None = None
    per_day: int | None = None
    per_hour: int | None = None
    per_minute: int | None = None
    #: The pace of a run. It can be raised or is only usual, so it never makes a volume impossible.
    rate_per_s: Decimal | None = None
    #: Largest message as it goes over the wire, in units of 10^6 bytes.
    message_mb: int | None = None
    #: Connections at once.
    connections: int | None = None

    def most_a_month(self) -> int | None:
        """Return how many messages fit into a month of 30 days; None where nothing limits them."""
        hours = DAYS_A_MONTH * 24
        caps = (
            self.per_month,
            self.per_day and self.per_day * DAYS_A_MONTH,
            self.per_hour and self.per_hour * hours,
            self.per_minute and self.per_minute * hours * 60,
        )
        return min((cap for cap in caps if cap), default=None)

    def pace_per_s(self, usual: Decimal) -> Decimal:
        """Return the messages a second that a run can keep within a day.

        Args:
            usual: Where no rate is set.
        """
        paces = [self.rate_per_s or usual]
        if self.per_minute:
            paces.append(Decimal(self.per_minute) / 60)
        if self.per_hour:
            paces.append(Decimal(self.per_hour) / 3_600)
        return min(paces)

    def duration_s(self, messages: int, usual: Decimal) -> float:
        """Return the seconds that one run of so many messages takes, waiting for the next day where a cap asks for it.

        Args:
            messages: At least 1.
            usual: Messages a second where no rate is set.
        """
        pace = self.pace_per_s(usual)
        # What one day's seconds hold may be less than what the cap allows.
        a_day = min(Decimal(self.per_day or messages), pace * A_DAY_S)
        waits = ceil(messages / a_day) - 1
        return float(waits * A_DAY_S + (messages - waits * a_day) / pace)

    def words(self) -> tuple[str, ...]:
        """Return the limits in words, the widest span first."""
        spans = (
            ("a month", self.per_month),
            ("a day", self.per_day),
            ("an hour", self.per_hour),
            ("a minute", self.per_minute),
        )
        words = [f"{count:,} {span}" for span, count in spans if count]
        if self.rate_per_s:
            words.append(f"{self.rate_per_s.normalize():f} a second")
        if self.connections:
            words.append(f"{self.connections} connections")
        if self.message_mb:
            words.append(f"{self.message_mb} MB a message")
        return tuple(words)

    def to_json(self) -> dict[str, object]:
        """Return those that are set."""
        values = self._asdict()
        if self.rate_per_s is not None:
            values["rate_per_s"] = float(self.rate_per_s)
        return {name: value for name, value in values.items() if value is not None}


class Line(NamedTuple):
    """A stretch of volumes over which the price grows evenly."""

    first: int
    #: None where it never ends.
    last: int | None
    #: Price of ``first`` messages.
    at_first: Decimal
    #: Price of each message more.
    each: Decimal

    def at(self, volume: int) -> Decimal:
        """Return the price at a volume of this stretch."""
        return self.at_first + (volume - self.first) * self.each


class Plan(NamedTuple):
    """What one plan costs a month, in US dollars."""

    #: Name by which users choose it; several plans of a provider share it.
    approach: str
    provider: str
    plan: str
    #: ``service``; ``mailbox``, which is there already; or ``server``, whose upkeep is one's own.
    kind: str
    fixed: Decimal
    #: Messages of the month that ``fixed`` pays for.
    included: int
    #: Marginal prices of those beyond ``included``; none at all: the plan ends there.
    tiers: tuple[Tier, ...]
    #: Messages are billed in whole blocks of so many.
    block: int
    #: Price of 10^9 bytes of attachments.
    attachments_per_gb: Decimal
    limits: Limits
    #: Of a new account, until the provider raises them.
    at_first: Limits
    #: How the provider's API names the plan; empty where it does not.
    account_plan: str
    #: Days after which a trial ends; None for a plan that stays.
    trial_days: int | None
    source: str
    #: ISO date on which the source said so.
    date: str
    #: high, medium or low.
    trust: str
    note: str

    def variable(self, messages: int, attachments_bytes: int = 0) -> Decimal:
        """Return what grows with the volume: messages beyond those included, and the bytes of attachments.

        Args:
            messages: A month.
            attachments_bytes: Of each message.
        """
        beyond = max(0, messages - self.included)
        beyond = -(-beyond // self.block) * self.block
        cost, start = _ZERO, 0
        for tier in self.tiers:
            end = beyond if tier.up_to is None else min(beyond, tier.up_to)
            cost += max(0, end - start) * tier.per_1000 / _THOUSAND
            start = max(start, end)
        return cost + messages * self.attachments_each(attachments_bytes)

    def attachments_each(self, attachments_bytes: int) -> Decimal:
        """Return what the attachments of one message cost."""
        return attachments_bytes * self.attachments_per_gb / GIGABYTE

    def most_a_month(self) -> int | None:
        """Return the largest volume of a month that the plan carries; None where there is no end to it."""
        caps = [self.limits.most_a_month()]
        if not self.tiers:
            caps.append(self.included or None)
        return min((cap for cap in caps if cap), default=None)

    def refusal(self, messages: int, attachments_bytes: int = 0) -> str:
        """Return why the plan cannot carry a month's volume; empty where it can.

        Args:
            messages: A month.
            attachments_bytes: Of each message.
        """
        if self.trial_days is not None:
            return f"a trial that ends after {self.trial_days} days"
        size_mb = attachments_bytes * BASE64_GROWTH / 10**6
        if self.limits.message_mb is not None and size_mb > self.limits.message_mb:
            return f"takes {self.limits.message_mb} MB a message, and this is {size_mb:,.1f} MB encoded"
        most = self.most_a_month()
        if most is None or messages <= most:
            return ""
        words = self.limits._replace(rate_per_s=None, message_mb=None, connections=None).words()
        return f"takes {' and '.join(words) if words else f'{most:,} a month'}"

    def lines(self, attachments_bytes: int = 0) -> tuple[Line, ...]:
        """Return the price as straight lines over all volumes that the plan carries.

        Whole blocks are taken as if they were billed by the message: a stair would cross its neighbours again and
        again, all within one block's price.
        """
        if self.refusal(1, attachments_bytes):
            return ()
        each_file = self.attachments_each(attachments_bytes)
        most = self.most_a_month()
        ends: list[tuple[int | None, Decimal]] = [(self.included, _ZERO)] if self.included else []
        ends += [(tier.up_to and self.included + tier.up_to, tier.per_1000 / _THOUSAND) for tier in self.tiers]
        if not ends:
            ends = [(None, _ZERO)]
        lines: list[Line] = []
        first, price = 1, self.fixed
        for end, each in ends:
            last = end if most is None else min(end or most, most)
            if last is not None and last < first:
                break
            slope = each + each_file
            lines.append(Line(first, last, price + slope, slope))
            if last is None:
                break
            price += (last - first + 1) * slope
            first = last + 1
        return tuple(lines)

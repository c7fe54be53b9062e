"""The guide's cost model: a fixed price list, kept exactly so that its figures can be reproduced to the cent.

Per month, for a volume of v messages:

    approach     fixed   variable                       hidden
    directSMTP       0   0                              50 server, 100 IP reputation, 2,000 development
    queueSMTP        0   0                              as directSMTP
    ses              0   v x 0.00010                    500 development
    sendgrid        15   max(0, (v - 100) x 0.00015)    300 development
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs.volume import Period, per_month
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: In the order in which they are shown, and in which the first of equals is the cheapest.
APPROACHES = ("directSMTP", "queueSMTP", "ses", "sendgrid")

PRICE_LIST = "guide"

_CENT = Decimal("0.01")
_MICRO = Decimal("0.000001")
_ZERO = Decimal(0)

_OWN_SERVER = {"server_maintenance": Decimal(50), "ip_reputation": Decimal(100), "development_time": Decimal(2000)}
_SES_EACH = Decimal("0.00010")
_SENDGRID_PLAN = Decimal(15)
_SENDGRID_EACH = Decimal("0.00015")
#: The guide takes the free messages of a day off the month, once.
_SENDGRID_FREE = 100


class Cost(NamedTuple):
    """What one approach costs at one volume, in US dollars a month, unrounded."""

    approach: str
    #: The plan.
    fixed: Decimal
    #: What grows with the volume.
    variable: Decimal
    #: Work and services that no invoice of the provider shows, by name.
    hidden: Mapping[str, Decimal]
    #: fixed + variable + hidden.
    monthly: Decimal
    #: ``monthly`` shared out over the volume.
    per_email: Decimal
    #: What a reader must know about these figures; empty where there is nothing.
    note: str = ""

    def to_json(self) -> dict[str, object]:
        """Return the figures as JSON values: amounts to the cent, ``per_email`` to six decimals."""
        return {
            "approach": self.approach,
            "fixed": dollars(self.fixed),
            "variable": dollars(self.variable),
            "hidden": {name: dollars(amount) for name, amount in self.hidden.items()},
            "monthly": dollars(self.monthly),
            "per_email": float(self.per_email.quantize(_MICRO, ROUND_HALF_UP)),
            "note": self.note,
        }


class Analysis(NamedTuple):
    """The costs of several approaches at one volume, from one price list."""

    #: As the user gave it, per ``per``.
    volume: int
    per: Period
    price_list: str
    #: ISO date on which the prices were read; None for a list that carries no date.
    price_date: str | None
    approaches: tuple[Cost, ...]

    def to_json(self) -> dict[str, object]:
        """Return the object that ``analyze-cost --json`` prints."""
        return {
            "volume": self.volume,
            "per": self.per,
            "price_list": self.price_list,
            "price_date": self.price_date,
            "approaches": [cost.to_json() for cost in self.approaches],
        }


def dollars(amount: Decimal) -> float:
    """Return an amount to the cent, as JSON wants it."""
    return float(amount.quantize(_CENT, ROUND_HALF_UP))


def guide_cost(volume: int, approach: str) -> Cost:
    """Return what an approach costs at a volume, by the guide's prices.

    The guide gives no price for ``queueSMTP``. A queue runs on the same server with the same IP address and the same
    upkeep, so it gets the prices of ``directSMTP``, and ``note`` says so.

    Args:
        volume: Messages a month, at least 1.
        approach: One of ``APPROACHES``, spelled so.

    Raises:
        UsageError: The volume is not positive, or there is no such approach.
    """
    if volume <= 0:
        raise UsageError(f"A volume of {volume} has no cost.", fix="Give at least 1 message.")
    fixed, variable, note = _ZERO, _ZERO, ""
    hidden: Mapping[str, Decimal]
    if approach == "directSMTP":
        hidden = _OWN_SERVER
    elif approach == "queueSMTP":
        hidden = _OWN_SERVER
        note = "The guide gives no price for a queue: the prices of directSMTP are used, as it runs on the same server."
    elif approach == "ses":
        variable = volume * _SES_EACH
        hidden = {"development_time": Decimal(500)}
    elif approach == "sendgrid":
        fixed = _SENDGRID_PLAN
        variable = max(_ZERO, (volume - _SENDGRID_FREE) * _SENDGRID_EACH)
        hidden = {"development_time": Decimal(300)}
    else:
        raise _unknown(approach)
    monthly = fixed + variable + sum(hidden.values(), _ZERO)
    return Cost(approach, fixed, variable, dict(hidden), monthly, monthly / volume, note)


def guide_analysis(volume: int, per: Period = "month", approach: str | None = None) -> Analysis:
    """Return the costs of every approach, or of one, at a volume.

    Args:
        volume: Messages per ``per``, at least 1.
        per: ``day`` is taken times 30, as the guide's prices are per month.
        approach: Only this one; None for all.

    Raises:
        UsageError: As in ``guide_cost``.
    """
    wanted = APPROACHES if approach is None else (approach,)
    monthly_volume = per_month(volume, per)
    costs = tuple(guide_cost(monthly_volume, each) for each in wanted)
    return Analysis(volume, per, PRICE_LIST, None, costs)


def guide_recommendation(volume_per_day: float) -> str:
    """Return the approach that fits a daily volume.

    Below 100 a day ``directSMTP``, below 1,000 ``queueSMTP``, below 10,000 ``ses``, from there ``sendgrid``.
    """
    if volume_per_day < 100:  # noqa: PLR2004 - the guide's table, said in the docstring
        return "directSMTP"
    if volume_per_day < 1_000:  # noqa: PLR2004 - likewise
        return "queueSMTP"
    if volume_per_day < 10_000:  # noqa: PLR2004 - likewise
        return "ses"
    return "sendgrid"


def _unknown(approach: str) -> UsageError:
    by_lower = {name.lower(): name for name in APPROACHES}
    close = get_close_matches(approach[:40].lower(), by_lower, n=1)
    fix = f"Did you mean {by_lower[close[0]]}?" if close else f"Known are {', '.join(APPROACHES)}."
    return UsageError(f"There is no approach {approach[:40]!r}.", fix=fix)

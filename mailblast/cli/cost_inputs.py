"""What ``analyze-cost`` and ``recommend`` have in common: a volume or a list, prices, hidden costs."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from mailblast.errors import ListError, UsageError

if TYPE_CHECKING:
    from mailblast.cli.cost_list import ListCount
    from mailblast.cli.options import ListFormat
    from mailblast.cli.terminal import Terminal
    from mailblast.clock import Clock
    from mailblast.costs.offers import Estimate
    from mailblast.costs.price_file import PriceList
    from mailblast.costs.volume import Period


class Per(StrEnum):
    """What a volume is counted over."""

    MONTH = "month"
    DAY = "day"


Volume = Annotated[
    str | None, typer.Option("--volume", "-v", metavar="N", help="Messages: 5000, 5k, 1.2M.", show_default=False)
]
ListSource = Annotated[
    str | None,
    typer.Option(
        "--list",
        metavar="FILE",
        help="Count them from a list instead; duplicates and invalid rows are left out.",
        show_default=False,
    ),
]
PriceListName = Annotated[
    str | None,
    typer.Option(
        "--price-list", metavar="NAME", help="guide, or a price file. [default: the file that comes with mailblast]"
    ),
]
Hidden = Annotated[
    str | None,
    typer.Option(
        "--hidden",
        metavar="NAME",
        help="Hidden costs: none, guide, or a TOML file. [default: none; guide for the guide's prices]",
    ),
]
AttachmentsSize = Annotated[
    str | None,
    typer.Option("--attachments-size", metavar="SIZE", help="Of each message's attachments: 500kB, 2MB."),
]
AskSes = Annotated[
    bool, typer.Option("--ask-ses", help="Ask Amazon SES for plan and rate of your account; else nobody is asked.")
]
GUIDE = "guide"


class ListOptions(NamedTuple):
    """How a list is counted."""

    source: str | None
    list_format: ListFormat | None = None
    encoding: str = "utf-8"
    email_column: str | None = None
    key: str | None = None


class Counted(NamedTuple):
    """A volume, and the list that it was counted from."""

    volume: int
    list: ListCount | None


class Pricing(NamedTuple):
    """Where prices come from, as the options say."""

    price_list: str | None = None
    hidden: str | None = None
    attachments_size: str | None = None
    approach: str | None = None
    ask_ses: bool = False


def counted_volume(volume: str | None, options: ListOptions, terminal: Terminal) -> Counted:
    """Return the volume that is given, or that a list holds.

    Raises:
        UsageError: Neither or both are given, or the volume is none.
        ListError: The list cannot be read, or holds nobody.
    """
    from mailblast.costs.volume import parse_volume

    if (volume is None) == (options.source is None):
        raise UsageError(
            "Neither --volume nor --list." if volume is None else "Both --volume and --list.", fix="Give one."
        )
    if volume is not None:
        return Counted(parse_volume(volume), None)
    from mailblast.cli.cost_list import count_list

    count = count_list(options, terminal)
    if not count.recipients:
        raise ListError(f"{count.name} has no recipients.", fix="Look at it with mailblast verify.")
    return Counted(count.recipients, count)


def priced(volume: int, per: Period, pricing: Pricing, terminal: Terminal, clock: Clock) -> tuple[Estimate, PriceList]:
    """Return what a volume costs, and the price file whose limits hold.

    Raises:
        UsageError: An option cannot be honoured.
        ProviderError: Amazon SES was to be asked and gave no answer.
    """
    from mailblast.costs.estimate import estimate, guide_estimate
    from mailblast.costs.hidden import load_hidden_costs, no_hidden_costs
    from mailblast.costs.offers import Question
    from mailblast.costs.price_file import load_prices
    from mailblast.costs.volume import parse_size_bytes

    size = parse_size_bytes(pricing.attachments_size) if pricing.attachments_size else 0
    question = Question(volume, per, size, pricing.approach)
    hidden = load_hidden_costs(pricing.hidden) if pricing.hidden else None
    if pricing.price_list == GUIDE:
        for given, name in ((pricing.attachments_size, "--attachments-size"), (pricing.ask_ses, "--ask-ses")):
            if given:
                raise UsageError(f"{name} means nothing to the guide's prices.", fix="Leave out --price-list guide.")
        return guide_estimate(question, hidden), load_prices()
    prices = load_prices(pricing.price_list)
    if pricing.approach is not None:
        prices.provider(pricing.approach)
    if pricing.ask_ses:
        from mailblast.cli.cost_ses import plan_of_account

        account = plan_of_account()
        rate = f" and sends {account.rate_per_s.normalize():f} a second" if account.rate_per_s else ""
        terminal.note(f"mailblast: this account of Amazon SES is on plan {account.plan}{rate}.")
        question = question._replace(ses_plan=account.plan)
        prices = prices.with_rate("ses", account.rate_per_s)
    today = dt.datetime.fromtimestamp(clock.now(), dt.UTC).date()
    return estimate(prices, question, hidden or no_hidden_costs(), today), prices

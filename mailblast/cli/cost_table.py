"""The costs of a volume as a table and the lines below it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from mailblast.costs.guide import dollars

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from mailblast.costs.offers import Estimate, Offer

#: From this many columns on there is room for where a price is from.
WIDE = 110
#: Columns for the name of a plan on a narrow screen.
PLAN_WIDTH = 19
CSV_COLUMNS = (
    "approach",
    "provider",
    "plan",
    "fixed",
    "variable",
    "hidden",
    "monthly",
    "per_email",
    "date",
    "trust",
    "source",
    "note",
)


def money(amount: Decimal | int) -> str:
    """Return an amount to the cent, with thousands set off."""
    return f"{dollars(Decimal(amount)):,.2f}"


def show(estimate: Estimate, console: Console) -> None:
    """Print the table."""
    console.print(_table(estimate, console.width))


def _table(estimate: Estimate, width: int) -> Table:
    from rich import box
    from rich.table import Table

    question, wide = estimate.question, width >= WIDE
    hidden = estimate.hidden != "none"
    size = f" with {question.attachments_bytes / 10**6:,.10g} MB of attachments" if question.attachments_bytes else ""
    title = f"{question.volume:,} messages a {question.per}{size}: US dollars a month"
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    planned = any(offer.plan for offer in estimate.offers)
    table.add_column("approach", no_wrap=True)
    if planned:
        table.add_column("plan", no_wrap=True, max_width=None if wide else PLAN_WIDTH - 8 * hidden)
    for column in ("fixed", "variable", *(("hidden",) if hidden else ()), "monthly", "per email"):
        table.add_column(column, justify="right", no_wrap=True)
    if wide and planned:
        table.add_column("priced on", no_wrap=True)
        table.add_column("trust", no_wrap=True)
    cheapest = estimate.cheapest
    for offer in estimate.offers:
        style = "bold green" if offer is cheapest and len(estimate.offers) > 1 else ""
        table.add_row(*_cells(offer, planned=planned, hidden=hidden, wide=wide), style=style)
    return table


def _cells(offer: Offer, *, planned: bool, hidden: bool, wide: bool) -> Iterator[str]:
    from rich.markup import escape

    cost, plan = offer.cost, offer.plan
    yield escape(cost.approach)
    if planned:
        yield escape(plan.plan) if plan else ""
    yield money(cost.fixed)
    yield money(cost.variable)
    if hidden:
        yield money(sum(cost.hidden.values()))
    yield money(cost.monthly)
    yield f"{cost.per_email:,.6f}"
    if wide and planned:
        yield plan.date if plan else ""
        yield plan.trust if plan else ""


def lines(estimate: Estimate) -> Iterator[str]:
    """Yield what has to be said about the figures."""
    question, cheapest = estimate.question, estimate.cheapest
    if len(estimate.offers) > 1:
        plan = f", {cheapest.plan.plan}" if cheapest.plan else ""
        yield f"Cheapest: {cheapest.name}{plan}: {money(cheapest.cost.monthly)} a month."
    if cheapest.plan and question.per == "month" and (days := cheapest.days(question.volume)) > 1:
        yield f"{cheapest.name} takes {cheapest.plan.limits.per_day:,} a day: sent in one go, this takes {days:,} days."
    if any(offer.cost.monthly < cheapest.cost.monthly for offer in estimate.offers):
        yield "Mailboxes and servers of your own are not compared: their licences, their upkeep are not counted."
    noted = estimate.offers if len(estimate.offers) == 1 or cheapest.plan is None else (cheapest,)
    yield from (f"{offer.name}: {offer.cost.note}" for offer in noted if offer.cost.note)
    if estimate.excluded:
        told = "; ".join(f"{each.provider} {each.reason}" for each in estimate.excluded)
        yield f"Too small for this: {told}."
    yield from estimate.notices
    yield from _hidden_lines(estimate)
    day = f", looked over on {estimate.price_date}" if estimate.price_date else ""
    yield f"Prices: {estimate.price_list}{day}, without tax. They are no offer."


def _hidden_lines(estimate: Estimate) -> Iterator[str]:
    if estimate.hidden == "none":
        yield "Hidden costs (upkeep, reputation, development) are left out; --hidden guide adds the guide's estimates."
        return
    by_costs: dict[str, list[str]] = {}
    for offer in estimate.offers:
        parts = ", ".join(f"{name.replace('_', ' ')} {money(amount)}" for name, amount in offer.cost.hidden.items())
        by_costs.setdefault(parts or "none", []).append(offer.cost.approach)
    for parts, approaches in by_costs.items():
        yield f"Hidden: {parts}: {', '.join(approaches)}."
    if estimate.hidden == "guide":
        yield "Hidden costs are the guide's estimates, those of SendGrid where the guide has none."


def csv_lines(estimate: Estimate) -> Iterator[str]:
    """Yield the table as lines of CSV, amounts to the cent."""
    import csv
    import io

    for row in (CSV_COLUMNS, *(_csv_row(offer) for offer in estimate.offers)):
        text = io.StringIO()
        csv.writer(text, lineterminator="").writerow(row)
        yield text.getvalue()


def _csv_row(offer: Offer) -> tuple[str, ...]:
    document = offer.cost.to_json()
    plan = offer.plan
    hidden = sum(offer.cost.hidden.values(), Decimal(0))
    amounts = (offer.cost.fixed, offer.cost.variable, hidden, offer.cost.monthly)
    return (
        offer.cost.approach,
        plan.provider if plan else "",
        plan.plan if plan else "",
        *(f"{dollars(amount):.2f}" for amount in amounts),
        f"{document['per_email']:.6f}",
        *((plan.date, plan.trust, plan.source) if plan else ("", "", "")),
        offer.cost.note,
    )

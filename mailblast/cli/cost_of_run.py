"""What a rehearsed mailing would cost at the provider that it goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mailblast.costs.offers import Offer

OUTBOX = "outbox"


class RunCost(NamedTuple):
    """The price of one mailing, were it all of the month."""

    #: None where the price file does not know the provider, or no plan of it carries as many.
    offer: Offer | None
    #: Whether nothing leaves the machine; ``offer`` is then the cheapest service's.
    local: bool

    def to_json(self) -> dict[str, object] | None:
        """Return it as JSON values; None where the price is not known."""
        if self.offer is None:
            return None
        return {**self.offer.to_json(), "price_of": "cheapest" if self.local else "provider"}

    def words(self) -> tuple[str, str]:
        """Return the amount, and what has to be said about it."""
        from mailblast.cli.cost_table import money

        if self.offer is None:
            return "not known", "compare prices with mailblast analyze-cost"
        plan = self.offer.plan
        named = f"{self.offer.name}, {plan.plan}" if plan else self.offer.name
        if self.local:
            return "0.00", f"US dollars; {money(self.offer.price)} by {named}, the cheapest"
        return money(self.offer.price), f"US dollars by {named}, if nothing else is sent in the month"


def cost_of_run(scheme: str, provider_name: str, messages: int, attachments_bytes: int) -> RunCost:
    """Return what a mailing costs by the prices that come with the program.

    Args:
        scheme: Of the DSN.
        provider_name: As the provider calls itself, ``smtp:HOST`` for SMTP.
        messages: At least 1.
        attachments_bytes: Of each message, on average.
    """
    from mailblast.costs.estimate import price_of_run
    from mailblast.costs.offers import SERVICE
    from mailblast.costs.price_file import load_prices

    prices = load_prices()
    if scheme == OUTBOX:
        services = (each for each in prices.providers if each.kind == SERVICE)
        offers = [offer for each in services if (offer := price_of_run(each, messages, attachments_bytes))]
        return RunCost(min(offers, key=lambda offer: offer.price, default=None), local=True)
    kind, _, host = provider_name.partition(":")
    provider = prices.provider_of(scheme, host if kind in {"smtp", "smtps"} else "")
    return RunCost(price_of_run(provider, messages, attachments_bytes) if provider else None, local=False)

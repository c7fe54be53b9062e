"""Fields of a price file, each checked; and a plan made of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, NoReturn

from mailblast.costs.plan import Limits, Plan, Tier
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: More than any price; a figure above is a slip.
MOST = Decimal(10**15)
_LONGEST_TEXT = 500
_PLAN_FIELDS = {
    "plan",
    "fixed",
    "included",
    "tiers",
    "overage_per_1000",
    "block",
    "attachments_per_gb",
    "limits",
    "account_plan",
    "trial_days",
    "source",
    "date",
    "trust",
    "note",
}
_COUNTS = ("per_month", "per_day", "per_hour", "per_minute", "message_mb", "connections")


class Fields:
    """A table of the file whose fields are asked for by name and kind.

    Args:
        values: As parsed.
        where: File, provider and plan, for messages.
        known: Every name that may be there.

    Raises:
        UsageError: A name is not known.
    """

    def __init__(self, values: Mapping[str, object], where: str, known: set[str]) -> None:
        self.where = where
        self._values = values
        self._known = known
        for name in values:
            if name not in known:
                close = get_close_matches(name, known, 1)
                fix = f"Did you mean '{close[0]}'?" if close else f"Known are {', '.join(sorted(known))}."
                raise UsageError(f"{where}: there is no field {name[:40]!r}.", fix=fix)

    def named(self, where: str) -> Fields:
        """Return the same fields under a better name."""
        return Fields(self._values, where, self._known)

    def has(self, name: str) -> bool:
        """Return whether the field is there."""
        return name in self._values

    def text(self, name: str, default: str | None = None) -> str:
        """Return a text of one line; without default it must be there and not empty."""
        value = self._value(name, default)
        if not isinstance(value, str) or not value.isprintable() or len(value) > _LONGEST_TEXT:
            self._wrong(name, "is no text of one line", 'Write it as "…".')
        if default is None and not value.strip():
            self._wrong(name, "is empty", 'Write it as "…".')
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts, which may be missing."""
        value = self._value(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self._wrong(name, "is no list of texts", 'Write it as ["…", "…"].')
        return tuple(item.lower() for item in value)

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of a few words."""
        value = self.text(name)
        if value not in choices:
            self._wrong(name, f"is {value[:40]!r}", f"Write one of {', '.join(choices)}.")
        return value

    def date(self, name: str) -> str:
        """Return a date, written bare or as text, as ISO text."""
        value = self._value(name, None)
        try:
            day = dt.date.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            day = None
        # A date-time is a date to isinstance().
        if type(day) is not dt.date:
            self._wrong(name, "is no date", "Write it as 2026-11-24.")
        return day.isoformat()

    def amount(self, name: str, default: Decimal | None = None) -> Decimal:
        """Return an amount of money, not negative."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            self._wrong(name, "is no number", "Write it as 19.95.")
        amount = Decimal(value)
        if not amount.is_finite() or amount > MOST:
            self._wrong(name, "is beyond all reason", "Write it as 19.95.")
        if amount < 0:
            self._wrong(name, f"is {amount:f}"[:60] + ", which is negative", "Give 0 or more.")
        return amount

    def count(self, name: str, default: int | None = None, *, least: int = 0) -> int:
        """Return a whole number from ``least`` up."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            self._wrong(name, "is no whole number", "Write it as 50_000.")
        if value < least:
            shown = str(value) if abs(value) < MOST else "far below zero"
            self._wrong(name, f"is {shown}", f"Give {least} or more.")
        if value > MOST:
            self._wrong(name, "is beyond all reason", "Write it as 50_000.")
        return value

    def tables(self, name: str) -> list[dict[str, object]]:
        """Return the tables under a name, at least one."""
        value = self._value(name, None)
        if not isinstance(value, list) or not value or not all(isinstance(item, dict) for item in value):
            self._wrong(name, "is no list of tables", f"Write [[{name}]] above each.")
        return value

    def table(self, name: str, known: set[str]) -> Fields:
        """Return the table under a name, an empty one where it is missing."""
        value = self._value(name, {})
        if not isinstance(value, dict):
            self._wrong(name, "is no table", f"Write {name} = {{ … }}.")
        return Fields(value, f"{self.where}, {name}", known)

    def _value(self, name: str, default: object) -> Any:
        value = self._values.get(name, default)
        if value is None:
            raise UsageError(f"{self.where}: '{name}' is missing.", fix="Add it.")
        return value

    def _wrong(self, name: str, what: str, fix: str) -> NoReturn:
        raise UsageError(f"{self.where}: '{name}' {what}.", fix=fix)


def read_plan(table: Mapping[str, object], where: str, *, approach: str, provider: str, kind: str) -> Plan:
    """Return the plan that a table describes.

    Raises:
        UsageError: A field is missing, of the wrong kind, negative or not known.
    """
    fields = Fields(table, where, _PLAN_FIELDS)
    name = fields.text("plan")
    fields = fields.named(f"{where} ({name})")
    limits = fields.table("limits", {*_COUNTS, "rate_per_s", "sandbox"})
    return Plan(
        approach=approach,
        provider=provider,
        plan=name,
        kind=kind,
        fixed=fields.amount("fixed"),
        included=fields.count("included", 0),
        tiers=_tiers(fields),
        block=fields.count("block", 1, least=1),
        attachments_per_gb=fields.amount("attachments_per_gb", Decimal(0)),
        limits=_limits(limits),
        at_first=_limits(limits.table("sandbox", {*_COUNTS, "rate_per_s"})),
        account_plan=fields.text("account_plan", ""),
        trial_days=fields.count("trial_days", least=1) if fields.has("trial_days") else None,
        source=fields.text("source"),
        date=fields.date("date"),
        trust=fields.choice("trust", ("high", "medium", "low")),
        note=fields.text("note", ""),
    )


def _limits(fields: Fields) -> Limits:
    counts = {name: fields.count(name, least=1) for name in _COUNTS if fields.has(name)}
    rate = fields.amount("rate_per_s") if fields.has("rate_per_s") else None
    if rate is not None and not rate:
        raise UsageError(f"{fields.where}: 'rate_per_s' is 0.", fix="Give more than 0, or leave it out.")
    return Limits(**counts, rate_per_s=rate)


def _tiers(fields: Fields) -> tuple[Tier, ...]:
    if fields.has("overage_per_1000"):
        if fields.has("tiers"):
            raise UsageError(f"{fields.where}: both 'tiers' and 'overage_per_1000'.", fix="Keep one of the two.")
        return (Tier(None, fields.amount("overage_per_1000")),)
    if not fields.has("tiers"):
        return ()
    tiers: list[Tier] = []
    for number, table in enumerate(fields.tables("tiers"), 1):
        each = Fields(table, f"{fields.where}, tier {number}", {"up_to", "per_1000"})
        up_to = each.count("up_to", least=1) if each.has("up_to") else None
        before = tiers[-1].up_to if tiers else 0
        if before is None or (up_to is not None and up_to <= before):
            raise UsageError(f"{each.where}: 'up_to' does not rise.", fix="Put the tiers in order; the last has none.")
        tiers.append(Tier(up_to, each.amount("per_1000")))
    return tuple(tiers)

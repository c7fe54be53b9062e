"""Read a price file: TOML, one table a provider with its plans inside. ``prices.toml`` beside this file is the default.

Numbers are read as decimals, so that 0.16 is 0.16. Every fault names the file, the provider, the plan and the field.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs.price_fields import Fields, read_plan
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.costs.plan import Plan

DEFAULT = "prices.toml"
#: A price older than this is pointed out.
OLD_AFTER_DAYS = 180
#: A price file is a page or two; anything far larger is another file.
MAX_BYTES = 1_000_000
_PROVIDER_FIELDS = {"approach", "name", "kind", "hosts", "schemes", "plan", "source", "date", "trust"}


class Provider(NamedTuple):
    """Whom mail is handed to."""

    approach: str
    name: str
    #: ``service``, ``mailbox`` or ``server``.
    kind: str
    #: SMTP hosts, as shell patterns.
    hosts: tuple[str, ...]
    #: DSN schemes.
    schemes: tuple[str, ...]
    plans: tuple[Plan, ...]


class PriceList(NamedTuple):
    """All prices of one file."""

    #: Of the file, without its folder.
    name: str
    #: ISO date on which the file as a whole was looked over.
    date: str
    providers: tuple[Provider, ...]

    @property
    def approaches(self) -> tuple[str, ...]:
        """All approaches, in the order of the file."""
        return tuple(provider.approach for provider in self.providers)

    def provider(self, approach: str) -> Provider:
        """Return the provider of an approach.

        Raises:
            UsageError: There is none of this name; the message says which there are.
        """
        for provider in self.providers:
            if provider.approach == approach:
                return provider
        by_lower = {name.lower(): name for name in self.approaches}
        close = get_close_matches(approach[:40].lower(), by_lower, n=1)
        fix = f"Did you mean {by_lower[close[0]]}?" if close else f"Known are {', '.join(self.approaches)}."
        raise UsageError(f"There is no approach {approach[:40]!r} in {self.name}.", fix=fix)

    def provider_of(self, scheme: str, host: str) -> Provider | None:
        """Return whose prices hold for mail that goes this way; None where the file does not know.

        Args:
            scheme: Of the DSN.
            host: Of the server; empty where there is none.
        """
        for provider in self.providers:
            if host and any(fnmatchcase(host.lower(), each) for each in provider.hosts):
                return provider
        return next((provider for provider in self.providers if scheme in provider.schemes), None)

    def with_rate(self, approach: str, rate_per_s: Decimal | None) -> PriceList:
        """Return the same prices with the rate that an account has in place of the usual one; None changes nothing."""
        if rate_per_s is None:
            return self
        providers = (
            provider._replace(
                plans=tuple(
                    plan._replace(limits=plan.limits._replace(rate_per_s=rate_per_s)) for plan in provider.plans
                )
            )
            if provider.approach == approach
            else provider
            for provider in self.providers
        )
        return self._replace(providers=tuple(providers))

    def old(self, today: dt.date) -> tuple[tuple[str, str], ...]:
        """Return the providers some of whose prices are older than ``OLD_AFTER_DAYS``, each with its oldest date."""
        limit = (today - dt.timedelta(days=OLD_AFTER_DAYS)).isoformat()
        oldest = ((provider.name, min(plan.date for plan in provider.plans)) for provider in self.providers)
        return tuple(dict.fromkeys((name, date) for name, date in oldest if date < limit))


def load_prices(path: str | None = None) -> PriceList:
    """Read a price file.

    Args:
        path: None for the one that comes with the program.

    Raises:
        UsageError: It cannot be read, or a field is missing, of the wrong kind, negative or not known.
    """
    if path is None:
        content = resources.files("mailblast.costs").joinpath(DEFAULT).read_bytes()
        return parse_prices(content, DEFAULT)
    return parse_prices(read_toml_bytes(path), Path(path).name)


def read_toml_bytes(path: str) -> bytes:
    """Return a small file's bytes.

    Raises:
        UsageError: It cannot be read, or is far larger than such a file can be.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is no file name"
        raise UsageError(f"{path[:200]!r} cannot be read: {reason}.", fix="Give an existing TOML file.") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{path[:200]!r} is larger than 1 MB.", fix="Give a TOML file.")
    return content


def toml_of(content: bytes, name: str) -> dict[str, object]:
    """Parse TOML with decimals.

    Raises:
        UsageError: It is none; the message is one line.
    """
    try:
        return tomllib.loads(content.decode("utf-8-sig"), parse_float=Decimal)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ArithmeticError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UsageError(f"{name} is no TOML: {reason}.", fix="See https://toml.io for its form.") from error


def parse_prices(content: bytes, name: str) -> PriceList:
    """Return the prices that a file's content holds.

    Raises:
        UsageError: As in ``load_prices``.
    """
    document = Fields(toml_of(content, name), name, {"date", "currency", "provider"})
    date = document.date("date")
    currency = document.text("currency")
    if currency != "USD":
        raise UsageError(f"{name}: 'currency' is {currency[:20]!r}.", fix="Write USD; no other is known.")
    tables = document.tables("provider")
    providers = tuple(_provider(table, f"{name}, provider {number}") for number, table in enumerate(tables, 1))
    seen: set[str] = set()
    for provider in providers:
        if provider.approach in seen:
            raise UsageError(
                f"{name}: approach '{provider.approach}' is there twice.", fix="Put the plans under one [[provider]]."
            )
        seen.add(provider.approach)
    return PriceList(name, date, providers)


def _provider(table: Mapping[str, object], where: str) -> Provider:
    fields = Fields(table, where, _PROVIDER_FIELDS)
    name = fields.text("name")
    fields = fields.named(f"{where} ({name})")
    approach = fields.text("approach")
    kind = fields.choice("kind", ("service", "mailbox", "server"))
    inherited = {key: table[key] for key in ("source", "date", "trust") if key in table}
    plans = tuple(
        read_plan({**inherited, **plan}, f"{fields.where}, plan {number}", approach=approach, provider=name, kind=kind)
        for number, plan in enumerate(fields.tables("plan"), 1)
    )
    return Provider(approach, name, kind, fields.texts("hosts"), fields.texts("schemes"), plans)

"""Hidden costs: work and services that no invoice of the provider shows. None, the guide's, or one's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailblast.costs.guide import APPROACHES, guide_cost
from mailblast.costs.price_fields import Fields
from mailblast.costs.price_file import read_toml_bytes, toml_of
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

NONE = "none"
GUIDE = "guide"
#: In a file: for every approach that has no table of its own.
OTHERS = "others"
#: What the guide estimates for its cloud service that needs least; the same is taken for those it does not know.
_GUIDE_FOR_OTHERS = "sendgrid"


class HiddenCosts(NamedTuple):
    """Hidden costs by approach, in US dollars a month."""

    #: ``none``, ``guide``, or the file's name.
    name: str
    by_approach: Mapping[str, Mapping[str, Decimal]]
    #: For approaches that are not named.
    others: Mapping[str, Decimal]

    def of(self, approach: str) -> Mapping[str, Decimal]:
        """Return the hidden costs of one approach, by name."""
        return self.by_approach.get(approach, self.others)

    @property
    def counted(self) -> bool:
        """Whether there are any."""
        return self.name != NONE


def no_hidden_costs() -> HiddenCosts:
    """Return none at all."""
    return HiddenCosts(NONE, {}, {})


def guide_hidden_costs() -> HiddenCosts:
    """Return the guide's estimates; approaches that it does not know get those of its cheapest cloud service."""
    by_approach = {approach: guide_cost(1, approach).hidden for approach in APPROACHES}
    return HiddenCosts(GUIDE, by_approach, by_approach[_GUIDE_FOR_OTHERS])


def load_hidden_costs(name: str) -> HiddenCosts:
    """Return the hidden costs that an option names.

    A file is TOML: a table for each approach, and ``[others]`` for the rest; in it names and amounts a month, such as
    ``upkeep = 50``.

    Args:
        name: ``none``, ``guide`` or a file.

    Raises:
        UsageError: The file cannot be read, or an amount is none or negative.
    """
    if name == NONE:
        return no_hidden_costs()
    if name == GUIDE:
        return guide_hidden_costs()
    short = Path(name).name
    document = toml_of(read_toml_bytes(name), short)
    tables: dict[str, dict[str, Decimal]] = {}
    for approach, table in document.items():
        if not isinstance(table, dict):
            raise UsageError(
                f"{short}: {approach[:40]!r} stands in no table.", fix="Write [ses] above it, or [others] for all."
            )
        fields = Fields(table, f"{short}, [{approach[:40]}]", set(table))
        tables[approach] = {each: fields.amount(each) for each in table}
    others = tables.pop(OTHERS, {})
    return HiddenCosts(short, tables, others)

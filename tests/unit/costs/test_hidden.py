from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from mailblast.costs.hidden import load_hidden_costs
from mailblast.errors import UsageError


def test_hidden_costs_none_are_none() -> None:
    hidden = load_hidden_costs("none")
    assert (hidden.counted, hidden.of("ses")) == (False, {})


@pytest.mark.parametrize(
    ("approach", "total"), [("directSMTP", 2150), ("queueSMTP", 2150), ("ses", 500), ("resend", 300)]
)
def test_hidden_costs_of_the_guide_stand_for_others_as_well(approach: str, total: int) -> None:
    hidden = load_hidden_costs("guide")
    assert hidden.counted
    assert total == sum(hidden.of(approach).values())


def test_hidden_costs_of_a_file_are_by_approach() -> None:
    Path("mine.toml").write_text("[ses]\nupkeep = 12.50\nadvice = 1\n[others]\nupkeep = 20\n", encoding="utf-8")
    hidden = load_hidden_costs("mine.toml")
    assert hidden.name == "mine.toml"
    assert hidden.of("ses") == {"upkeep": Decimal("12.50"), "advice": Decimal(1)}
    assert hidden.of("sendgrid") == {"upkeep": Decimal(20)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("upkeep = 5", "mine.toml: 'upkeep' stands in no table."),
        ("[ses]\nupkeep = -5", r"mine.toml, \[ses\]: 'upkeep' is -5, which is negative."),
        ("[ses]\nupkeep = 'x'", "'upkeep' is no number."),
        ("[ses", "mine.toml is no TOML"),
    ],
)
def test_hidden_costs_of_a_wrong_file_name_the_entry(text: str, reason: str) -> None:
    Path("mine.toml").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match=reason):
        load_hidden_costs("mine.toml")


def test_hidden_costs_of_a_missing_file_are_an_error() -> None:
    with pytest.raises(UsageError, match="'gide' cannot be read: No such file"):
        load_hidden_costs("gide")

from __future__ import annotations

import pytest

from mailblast.delivery.domain_rates import DOMAIN, gentle_rates, parse_domain_rates
from mailblast.delivery.throttle import Rate
from mailblast.errors import UsageError


def test_built_in_rates_are_of_domains_as_they_stand_in_addresses() -> None:
    rates = gentle_rates()
    assert rates["gmail.com"] == Rate(20, 1)
    assert all(DOMAIN.fullmatch(domain) and domain == domain.lower() for domain in rates)


def test_given_rates_go_before_those_built_in() -> None:
    given = ["gmail.com=7/s", "GMX.net. = 600/min", "bücher.example=1/s", "outlook.com=none", "not.known=none"]
    rates = parse_domain_rates(given, gentle_rates())
    assert (Rate(7, 1), Rate(600, 60), Rate(1, 1)) == (
        rates["gmail.com"],
        rates["gmx.net"],
        rates["xn--bcher-kva.example"],
    )
    assert "outlook.com" not in rates
    assert parse_domain_rates([], {}) == {}


@pytest.mark.parametrize(
    "text", ["gmail.com", "=20/s", "gmail.com=", "gmail.com=20", "a b=1/s", "-x.test=1/s", "x..y=1/s", "\u2024.x=1/s"]
)
def test_what_is_no_domain_and_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_domain_rates([text], {})

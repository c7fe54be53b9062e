from __future__ import annotations

import datetime as dt

import pytest

from mailblast.render.filters import date, money


@pytest.mark.parametrize(
    ("value", "currency", "expected"),
    [
        (1234.5, "", "1,234.50"),
        ("1234567.895", "$", "$1,234,567.90"),
        (0.005, "", "0.01"),
        (1.005, "", "1.01"),
        (-3, "€", "-€3.00"),
        (" 5 ", "EUR", "5.00 EUR"),
        (10, "kr", "10.00 kr"),
        (-0.001, "$", "$0.00"),
        (0, "", "0.00"),
    ],
)
def test_money_has_two_decimals(value: object, currency: str, expected: str) -> None:
    assert expected == money(value, currency)


@pytest.mark.parametrize("value", ["", "abc", "1,5", "NaN", "inf", "1e999999", 10**18, True, None, [1], float("nan")])
def test_money_of_anything_else_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="not an amount"):
        money(value)


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        ("2026-03-01", "%d %B %Y", "01 March 2026"),
        (" 2026-03-01T09:30:00Z ", "%H:%M", "09:30"),
        (dt.date(2026, 3, 1), "%Y", "2026"),
        (dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC), "%H", "09"),
    ],
)
def test_date_is_written_in_the_form(value: object, form: str, expected: str) -> None:
    assert expected == date(value, form)


@pytest.mark.parametrize("value", ["", "tomorrow", "2026-13-01", None, 5])
def test_date_of_anything_else_is_an_error(value: object) -> None:
    with pytest.raises(ValueError, match="not a date"):
        date(value)

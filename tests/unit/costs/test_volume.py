from __future__ import annotations

import pytest

from mailblast.costs.volume import Period, parse_size_bytes, parse_volume, per_day, per_month
from mailblast.errors import UsageError


@pytest.mark.parametrize(
    ("text", "volume"),
    [
        ("1", 1),
        ("5000", 5_000),
        ("5_000", 5_000),
        ("5,000", 5_000),
        ("1,234,567", 1_234_567),
        ("1_234_567", 1_234_567),
        ("5k", 5_000),
        ("5K", 5_000),
        ("5 k", 5_000),
        ("1.2M", 1_200_000),
        ("0.5k", 500),
        ("1.2345m", 1_234_500),
        ("5000.0", 5_000),
        ("  42\n", 42),
        ("007", 7),
        ("1000000000000", 10**12),
        ("1,000,000M", 10**12),
    ],
)
def test_parse_volume_takes_what_people_write(text: str, volume: int) -> None:
    parsed = parse_volume(text)
    assert volume == parsed
    assert type(parsed) is int


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a volume"),
        ("many", "is not a volume"),
        ("-5", "is not a volume"),
        ("+5", "is not a volume"),
        ("nan", "is not a volume"),
        ("inf", "is not a volume"),
        ("Infinity", "is not a volume"),
        ("1e999", "is not a volume"),
        ("1e3", "is not a volume"),
        ("0x10", "is not a volume"),
        ("5,00", "is not a volume"),
        ("50,0000", "is not a volume"),
        (",500", "is not a volume"),
        ("5__0", "is not a volume"),
        ("5_", "is not a volume"),
        ("1.2.3", "is not a volume"),
        ("1.", "is not a volume"),
        (".5k", "is not a volume"),
        ("5kk", "is not a volume"),
        ("5 000", "is not a volume"),
        ("\u0665", "is not a volume"),
        ("\x1b[31m5", "is not a volume"),
        ("9" * 5_000, "is not a volume"),
        ("1.5", "not a whole number"),
        ("1.2345k", "not a whole number"),
        ("1.00000000000000000000000000000000001k", "not a whole number"),
        ("0", "has no cost"),
        ("0.0M", "has no cost"),
        ("1000000000001", "beyond all reason"),
        ("9999999M", "beyond all reason"),
    ],
)
def test_parse_volume_refuses_the_rest_in_one_short_line(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        parse_volume(text)
    assert caught.value.fix
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 150


@pytest.mark.parametrize(
    ("volume", "per", "monthly", "daily"),
    [(5_000, "day", 150_000, 5_000), (3_000, "month", 3_000, 100), (5, "month", 5, 5 / 30)],
)
def test_a_month_has_thirty_days(volume: int, per: Period, monthly: int, daily: float) -> None:
    assert (monthly, daily) == (per_month(volume, per), per_day(volume, per))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("500", 500),
        ("500B", 500),
        ("500kB", 500_000),
        ("2MB", 2_000_000),
        ("2 mb", 2_000_000),
        ("1.5M", 1_500_000),
        ("2MiB", 2 * 1024**2),
        ("1GiB", 1024**3),
        (" 0.5k ", 500),
        ("1000GB", 10**12),
    ],
)
def test_parse_size_takes_what_people_write(text: str, size: int) -> None:
    assert size == parse_size_bytes(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "x", "2XB", "1e999", "nan", "2,5MB", "1iB", "9" * 5_000, "2000GB", "\x1b[31m"]
)
def test_parse_size_refuses_the_rest_in_one_short_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size_bytes(text)
    assert caught.value.fix
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 150

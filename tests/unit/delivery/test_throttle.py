from __future__ import annotations

import pytest

from mailblast.delivery.throttle import parse_rate
from mailblast.errors import UsageError


@pytest.mark.parametrize(
    ("text", "per_second"),
    [
        ("14/s", 14),
        ("14 / s", 14),
        ("600/min", 10),
        ("600/m", 10),
        ("7200/h", 2),
        ("86400/day", 1),
        ("43200/d", 0.5),
        ("0.5/s", 0.5),
        ("3/Second", 3),
    ],
)
def test_rate_with_unit_is_read(text: str, per_second: float) -> None:
    rate = parse_rate(text)
    assert rate is not None
    assert per_second == pytest.approx(rate.per_second)


def test_rate_none_is_no_limit() -> None:
    assert parse_rate("None") is None


@pytest.mark.parametrize(
    "text", ["", "14", "14/", "/s", "0/s", "-1/s", "14/fortnight", "inf/s", "1e3/s", "nan/s", "٣/s"]
)
def test_rate_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a rate"):
        parse_rate(text)

"""Template filters beside Jinja's own: money and dates."""

from __future__ import annotations

from datetime import date as Date  # noqa: N812 - the filter itself must be called date
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

_CENT = Decimal("0.01")
#: Larger amounts are mistakes, and ``1e999999`` would fill the memory.
_LARGEST = Decimal(10) ** 18


def money(value: object, currency: str = "") -> str:
    """Write an amount with two decimals and thousands separators.

    Args:
        value: A number, or text that is one (``1234.5``).
        currency: A symbol stands before the amount (``$1,234.50``), a code after it (``1,234.50 EUR``).

    Raises:
        ValueError: The value is no number, or is 10^18 or more.
    """
    try:
        # A truth value is a number to Python, not to a reader.
        amount = Decimal("NaN") if isinstance(value, bool) else Decimal(str(value).strip())
        usable = amount.is_finite() and abs(amount) < _LARGEST
    except InvalidOperation:
        usable = False
    if not usable:
        raise ValueError(f"{str(value)[:40]!r} is not an amount; write it like 1234.50")
    amount = amount.quantize(_CENT, rounding=ROUND_HALF_UP)
    sign = "-" if amount < 0 else ""
    digits = f"{abs(amount):,.2f}"
    if not currency:
        return f"{sign}{digits}"
    return f"{sign}{digits} {currency}" if currency.isalpha() and len(currency) > 1 else f"{sign}{currency}{digits}"


def date(value: object, form: str = "%d %B %Y") -> str:
    """Write a date in another form.

    Args:
        value: ISO 8601 text (``2026-03-01``, ``2026-03-01T09:30:00Z``), or a date.
        form: As for ``strftime``.

    Raises:
        ValueError: The value is no such date.
    """
    if isinstance(value, Date):
        return value.strftime(form)
    try:
        return datetime.fromisoformat(str(value).strip()).strftime(form)
    except ValueError:
        raise ValueError(f"{str(value)[:40]!r} is not a date; write it like 2026-03-01") from None

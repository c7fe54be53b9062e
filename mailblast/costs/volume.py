"""Volumes as people write them, and days against months."""

from __future__ import annotations

import re
from typing import Literal

from mailblast.errors import UsageError

Period = Literal["day", "month"]

#: A month everywhere in this package.
DAYS_A_MONTH = 30

#: More than all mail sent in a day; a figure above is a slip of the keyboard.
LARGEST = 10**12

# Groups of three behind commas, or plain digits with underscores as in Python; then a fraction and a unit.
_VOLUME = re.compile(r"([0-9]{1,3}(?:,[0-9]{3})+|[0-9]+(?:_[0-9]+)*)(\.[0-9]+)?\s?([km])?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000}
_SIZE = re.compile(r"([0-9]+)(\.[0-9]+)?\s?(?:([kmg])(i)?)?b?", re.IGNORECASE | re.ASCII)
#: Longer than every way to write the largest volume, short enough to parse.
_LONGEST = 40


def parse_volume(text: str) -> int:
    """Return the number of messages that a text names.

    Accepts ``5000``, ``5_000``, ``5,000``, ``5k`` and ``1.2M``. A comma groups thousands and is never a decimal
    point.

    Raises:
        UsageError: Not such a number, not whole, below 1, or above a trillion.
    """
    written = text.strip()
    shown = repr(written if len(written) <= _LONGEST else written[:_LONGEST] + "...")
    match = _VOLUME.fullmatch(written) if len(written) <= _LONGEST else None
    if match is None:
        raise UsageError(f"{shown} is not a volume.", fix="Write it as 5000, 5,000, 5k or 1.2M.")
    digits, fraction, unit = match.groups(default="")
    decimals = fraction[1:]
    scaled = int(digits.replace(",", "").replace("_", "") + decimals) * _UNITS[unit.lower()]
    volume, rest = divmod(scaled, int("1" + "0" * len(decimals)))
    if rest:
        raise UsageError(f"A volume of {shown} is not a whole number of messages.", fix="Round it.")
    if volume < 1:
        raise UsageError(f"A volume of {shown} has no cost.", fix="Give at least 1 message.")
    if volume > LARGEST:
        raise UsageError(f"A volume of {shown} is beyond all reason.", fix="Give at most 1,000,000,000,000.")
    return volume


def parse_size_bytes(text: str) -> int:
    """Return the bytes that a text names.

    Accepts ``2MB``, ``500 kB``, ``1.5M``, ``0`` and, by powers of two, ``2MiB``.

    Raises:
        UsageError: Not such a size, or above a terabyte.
    """
    written = text.strip()
    shown = repr(written if len(written) <= _LONGEST else written[:_LONGEST] + "...")
    match = _SIZE.fullmatch(written) if len(written) <= _LONGEST else None
    if match is None:
        raise UsageError(f"{shown} is not a size.", fix="Write it as 2MB, 500kB or 1.5MiB.")
    digits, fraction, prefix, binary = match.groups(default="")
    decimals = fraction[1:]
    unit: int = (1024 if binary else 1000) ** " kmg".index(prefix.lower() or " ")
    size = int(digits + decimals) * unit // int("1" + "0" * len(decimals))
    if size > LARGEST:
        raise UsageError(f"A size of {shown} is beyond all reason.", fix="Give that of one message's attachments.")
    return size


def per_month(volume: int, per: Period) -> int:
    """Return a volume as messages a month of 30 days."""
    return volume * DAYS_A_MONTH if per == "day" else volume


def per_day(volume: int, per: Period) -> float:
    """Return a volume as messages a day, a thirtieth of a month's."""
    return volume if per == "day" else volume / DAYS_A_MONTH

"""When mail is to go, as the user writes it. Pure: the present and the time zone are given."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

FORMS = (
    "Write a date and time (2026-12-24T09:00, local time unless it ends in Z or +01:00), a date (its first moment, "
    "local time), or minutes from now (90, +90, 90m)."
)
#: Ten years; more is a number that means something else.
MAX_MINUTES = 5_256_000
#: The ends of the world's zones are 12 hours behind and 14 before.
MAX_OFFSET = timedelta(hours=14)
#: Years whose every moment the system's clocks can tell, in every zone.
FIRST_YEAR, LAST_YEAR = 1971, 9998
#: Within a night's change of clocks there is a time that does not jump.
LONGEST_GAP_MINUTES = 24 * 60

_MINUTES = re.compile(r"\+?([0-9]{1,7}) ?(?:m|min|mins|minute|minutes)?", re.ASCII | re.IGNORECASE)
_DATE = r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
_DAY = re.compile(_DATE, re.ASCII)
_MOMENT = re.compile(
    _DATE + r"[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?(?: ?(Z|[+-][0-9]{2}(?::?[0-9]{2})?))?",
    re.ASCII | re.IGNORECASE,
)


def parse_when(text: str, now_s: float, tz: tzinfo | None = None) -> int:
    """Read a time that is to come.

    A local time that the clocks leave out or show twice on that day is an error: nobody should have to guess. A date
    alone is its first moment in local time, which is not always 00:00.

    Args:
        text: ISO 8601 date and time with ``T`` or a blank between (seconds may lack, a fraction is rounded up), with an
            offset, ``Z``, or neither for local time; a date; or minutes from now.
        now_s: The present, Unix seconds.
        tz: The local time zone; None for this machine's own.

    Returns:
        Unix seconds, later than ``now_s``.

    Raises:
        UsageError: It is none of these, there is no such time, or it is not in the future.
    """
    text = text.strip()
    if match := _MINUTES.fullmatch(text):
        when_s = _minutes_from(now_s, int(match[1]), text)
    elif match := _DAY.fullmatch(text):
        when_s = _first_moment(_date(match, text), tz)
    elif match := _MOMENT.fullmatch(text):
        when_s = _moment(match, text, tz)
    else:
        raise UsageError(f"'{text[:60]}' is no time.", fix=FORMS)
    if when_s <= now_s:
        hint = " A date alone is its first moment; add a time." if _DAY.fullmatch(text) else ""
        raise UsageError(f"'{text}' is not in the future.{hint}", fix=FORMS)
    return when_s


def check_ahead(when_s: int, now_s: float, *, at_most_s: int, who: str) -> None:
    """Raise ``UsageError`` unless a time is to come and not further ahead than somebody takes.

    Args:
        when_s: Unix seconds.
        now_s: The present, Unix seconds.
        at_most_s: How far ahead, in seconds.
        who: Whose limit it is, such as ``SendGrid``.
    """
    if when_s <= now_s:
        raise UsageError("The time to send at is past.", fix="Give one that is to come, or leave --at out.")
    if when_s - now_s > at_most_s:
        latest = datetime.fromtimestamp(now_s + at_most_s, UTC)
        raise UsageError(
            f"{who} takes mail at most {at_most_s // 3600} hours ahead of its time.",
            fix=f"Give a time before {latest:%Y-%m-%dT%H:%MZ}, or start the command later, such as by cron.",
        )


def _minutes_from(now_s: float, minutes: int, text: str) -> int:
    if minutes > MAX_MINUTES:
        raise UsageError(f"'{text}' as minutes from now is more than ten years.", fix=FORMS)
    return math.ceil(now_s) + 60 * minutes if minutes else math.floor(now_s)


def _date(match: re.Match[str], text: str) -> date:
    if not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        raise UsageError(f"'{text}' is not in the years {FIRST_YEAR} to {LAST_YEAR}.", fix=FORMS)
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        raise UsageError(f"'{text}' names a day that does not exist.", fix=FORMS) from None


def _moment(match: re.Match[str], text: str, tz: tzinfo | None) -> int:
    day = _date(match, text)
    try:
        local = datetime(day.year, day.month, day.day, int(match[4]), int(match[5]), int(match[6] or 0))  # noqa: DTZ001 - its zone follows
    except ValueError:
        raise UsageError(f"'{text}' names a time of day that does not exist.", fix=FORMS) from None
    # A part of a second counts as a whole one: never early.
    extra = int(match[7] is not None and int(match[7]) > 0)
    if match[8]:
        local = local.replace(tzinfo=_offset(match[8], text))
        return _seconds(local) + extra
    return _local_seconds(local, tz, text) + extra


def _offset(text: str, whole: str) -> timezone:
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "")
    hours, minutes = int(digits[:2]), int(digits[2:] or 0)
    offset = timedelta(hours=hours, minutes=minutes)
    if minutes > 59 or offset > MAX_OFFSET:  # noqa: PLR2004 - of an hour
        raise UsageError(f"'{whole}' has an offset that no place has.", fix=FORMS)
    return timezone(-offset if text[0] == "-" else offset)


def _local_seconds(local: datetime, tz: tzinfo | None, text: str) -> int:
    candidates = _instants(local, tz)
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        raise UsageError(
            f"'{text}' does not exist: the clocks are put forward over it that day.",
            fix="Give a time before or after, or write the offset, such as +01:00.",
        )
    offsets = " or ".join(_shown_offset(local, instant) for instant in candidates)
    raise UsageError(
        f"'{text}' comes twice: the clocks are put back over it that day.", fix=f"Add which one is meant: {offsets}."
    )


def _first_moment(day: date, tz: tzinfo | None) -> int:
    """Return when a day begins; where midnight is left out or comes twice, its first moment all the same."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001 - local, its zone follows
    for minutes in range(LONGEST_GAP_MINUTES):
        if instants := _instants(midnight + timedelta(minutes=minutes), tz):
            return instants[0]
    raise UsageError(f"{day} is left out of the calendar there.", fix=FORMS)


def _instants(local: datetime, tz: tzinfo | None) -> list[int]:
    """Return the Unix seconds at which local clocks show a time: one, none in a gap, two in a fold; sorted."""
    found = {
        seconds for fold in (0, 1) if _shown(seconds := _seconds(local.replace(tzinfo=tz, fold=fold)), tz) == local
    }
    return sorted(found)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def _shown(seconds: int, tz: tzinfo | None) -> datetime:
    return datetime.fromtimestamp(seconds, tz).replace(tzinfo=None, fold=0)


def _shown_offset(local: datetime, instant: int) -> str:
    minutes = round((local.replace(tzinfo=UTC).timestamp() - instant) / 60)
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

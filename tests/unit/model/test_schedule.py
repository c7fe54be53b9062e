from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from mailblast.errors import UsageError
from mailblast.model.schedule import check_ahead, parse_when

if TYPE_CHECKING:
    from collections.abc import Iterator

BERLIN = ZoneInfo("Europe/Berlin")
#: Wednesday noon in UTC.
NOW = datetime(2026, 3, 25, 12, 0, 0, tzinfo=UTC)


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 5400),
        ("+90", 5400),
        ("90m", 5400),
        ("+90m", 5400),
        ("90 min", 5400),
        ("1 minute", 60),
        ("2 Minutes", 120),
        (" 15 ", 900),
        ("2026", 2026 * 60),
        ("5256000", 5_256_000 * 60),
    ],
)
def test_parse_when_minutes_count_from_now(text: str, seconds: int) -> None:
    assert NOW.timestamp() + seconds == parse_when(text, NOW.timestamp(), BERLIN)


def test_parse_when_minutes_from_part_of_a_second_are_never_early() -> None:
    assert int(NOW.timestamp()) + 61 == parse_when("1", NOW.timestamp() + 0.25, UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-26T09:00", "2026-03-26T09:00+01:00"),
        ("2026-03-26 09:00", "2026-03-26T09:00+01:00"),
        ("2026-03-26t09:00:30", "2026-03-26T09:00:30+01:00"),
        ("2026-07-01T09:00", "2026-07-01T09:00+02:00"),
        ("2026-03-26T09:00Z", "2026-03-26T09:00+00:00"),
        ("2026-03-26T09:00z", "2026-03-26T09:00+00:00"),
        ("2026-03-26T09:00 Z", "2026-03-26T09:00+00:00"),
        ("2026-03-26T09:00+05:30", "2026-03-26T03:30+00:00"),
        ("2026-03-26T09:00+0530", "2026-03-26T03:30+00:00"),
        ("2026-03-26T09:00-08", "2026-03-26T17:00+00:00"),
        ("2026-03-26T09:00+14:00", "2026-03-25T19:00+00:00"),
        ("2026-03-26T09:00:00.000Z", "2026-03-26T09:00:00+00:00"),
        ("2026-03-26T09:00:00.25Z", "2026-03-26T09:00:01+00:00"),
        ("2026-03-26T09:00:59.999999999", "2026-03-26T09:01:00+01:00"),
        ("2028-02-29T00:00Z", "2028-02-29T00:00+00:00"),
        # A date alone.
        ("2026-03-26", "2026-03-26T00:00+01:00"),
        # Times inside a gap and a fold, with their offset.
        ("2026-03-29T02:30+01:00", "2026-03-29T01:30+00:00"),
        ("2026-10-25T02:30+02:00", "2026-10-25T00:30+00:00"),
        ("2026-10-25T02:30+01:00", "2026-10-25T01:30+00:00"),
        # Beside them.
        ("2026-03-29T01:59", "2026-03-29T00:59+00:00"),
        ("2026-03-29T03:00", "2026-03-29T01:00+00:00"),
        ("2026-10-25T01:59", "2026-10-24T23:59+00:00"),
        ("2026-10-25T03:00", "2026-10-25T02:00+00:00"),
    ],
)
def test_parse_when_date_and_time_is_that_moment(text: str, moment: str) -> None:
    assert instant(moment) == parse_when(text, NOW.timestamp(), BERLIN)


@pytest.mark.parametrize(
    ("zone", "text", "moment"),
    [
        # No midnight: the day begins at 01:00.
        ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00+00:00"),
        # Midnight comes twice: the first counts.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00+00:00"),
        ("Pacific/Kiritimati", "2026-03-27", "2026-03-26T10:00+00:00"),
        ("UTC", "2026-03-27", "2026-03-27T00:00+00:00"),
    ],
)
def test_parse_when_date_alone_is_its_first_moment(zone: str, text: str, moment: str) -> None:
    assert instant(moment) == parse_when(text, NOW.timestamp(), ZoneInfo(zone))


def test_parse_when_day_left_out_of_the_calendar_is_an_error() -> None:
    # Samoa went from the 29th to the 31st.
    before = datetime(2011, 12, 1, tzinfo=UTC).timestamp()
    with pytest.raises(UsageError, match="2011-12-30 is left out"):
        parse_when("2011-12-30", before, ZoneInfo("Pacific/Apia"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2026-03-29T02:00", "'2026-03-29T02:00' does not exist: the clocks are put forward"),
        ("2026-03-29T02:59:59", "does not exist"),
        ("2026-10-25T02:30", r"comes twice: .* which one is meant: \+02:00 or \+01:00"),
        ("2026-10-25T02:00", "comes twice"),
    ],
)
def test_parse_when_local_time_that_is_none_or_two_is_an_error(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse_when(text, NOW.timestamp(), BERLIN)


def test_parse_when_twice_behind_utc_names_its_offsets() -> None:
    with pytest.raises(UsageError, match=r"-04:00 or -05:00"):
        parse_when("2026-11-01T01:30", NOW.timestamp(), ZoneInfo("America/New_York"))


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "tomorrow", "now", "9am", "09:00", "T09:00", "90s", "2h", "1d", "1.5", "-90", "++90", "+", "m", "1e3",
        "90 m m", "٩٠", "12345678", "1774440000", "20260326", "20260326T0900Z", "2026-3-26", "26-03-2026", "03/26/2026",
        "2026-03-26T", "2026-03-26T9:00", "2026-03-26T09", "2026-03-26T0900", "2026-03-26T09:00:0", "2026-W13-4",
        "2026-03-26T09:00:00.", "2026-03-26T09:00:00,5", "2026-03-26T09:00.5", "2026-03-26T09:00+1",
        "2026-03-26T09:00+01:0", "2026-03-26T09:00 CET", "2026-03-26T09:00[Europe/Berlin]", "2026-03-26  09:00",
        "2026-03-26T09:00ZZ", "2026-03-26Z", "2026-03-26T09:00\n2026", "2026-03-26T09:00:00.1234567890",
    ],
)  # fmt: skip
def test_parse_when_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(UsageError, match="is no time. Write a date and time"):
        parse_when(text, NOW.timestamp(), BERLIN)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("2026-02-30", "a day that does not exist"),
        ("2026-13-01T09:00", "a day that does not exist"),
        ("2026-00-10", "a day that does not exist"),
        ("2027-02-29T09:00Z", "a day that does not exist"),
        ("2026-03-26T24:00", "a time of day that does not exist"),
        ("2026-03-26T09:60", "a time of day that does not exist"),
        ("2026-03-26T09:00:60Z", "a time of day that does not exist"),
        ("2026-03-26T09:00+14:01", "an offset that no place has"),
        ("2026-03-26T09:00-99", "an offset that no place has"),
        ("2026-03-26T09:00+05:60", "an offset that no place has"),
        ("5256001", "more than ten years"),
        ("0000-01-01", "not in the years 1971 to 9998"),
        ("0001-01-01T00:00+14:00", "not in the years"),
        ("9999-12-31T23:59", "not in the years"),
    ],
)
def test_parse_when_what_does_not_exist_is_named(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        parse_when(text, NOW.timestamp(), BERLIN)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12"])
def test_parse_when_last_year_can_be_told_everywhere(zone: str) -> None:
    assert instant("9998-12-31T00:00Z") < parse_when("9998-12-31T23:59:59.5", NOW.timestamp(), ZoneInfo(zone))


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("0", False),
        ("+0m", False),
        ("2026-03-25T13:00", False),
        ("2026-03-25T12:00Z", False),
        ("1999-12-31T23:59:59Z", False),
        ("2026-03-25", True),
        ("2026-03-24", True),
    ],
)
def test_parse_when_past_or_present_is_an_error(text: str, hint: bool) -> None:  # noqa: FBT001 - a table
    with pytest.raises(UsageError, match="is not in the future") as raised:
        parse_when(text, NOW.timestamp(), BERLIN)
    assert hint == ("add a time" in str(raised.value))


@pytest.fixture
def machine_in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_new_york")
def test_parse_when_without_zone_takes_the_machines_own() -> None:
    now_s = NOW.timestamp()
    assert instant("2026-03-26T13:00+00:00") == parse_when("2026-03-26T09:00", now_s)
    assert instant("2026-03-26T04:00+00:00") == parse_when("2026-03-26", now_s)
    with pytest.raises(UsageError, match="comes twice"):
        parse_when("2026-11-01T01:30", now_s)
    with pytest.raises(UsageError, match="does not exist"):
        parse_when("2027-03-14T02:30", now_s)


@pytest.mark.parametrize("ahead_s", [1, 3600, 72 * 3600])
def test_check_ahead_within_the_limit_passes(ahead_s: int) -> None:
    check_ahead(1_000_000 + ahead_s, 1_000_000.0, at_most_s=72 * 3600, who="SendGrid")


@pytest.mark.parametrize(
    ("ahead_s", "what"),
    [
        (0, "is past"),
        (-5, "is past"),
        (72 * 3600 + 1, "SendGrid takes mail at most 72 hours ahead.*before 1970-01-15T13:46Z.*cron"),
    ],
)
def test_check_ahead_beyond_it_says_what_to_do(ahead_s: int, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        check_ahead(1_000_000 + ahead_s, 1_000_000.0, at_most_s=72 * 3600, who="SendGrid")

from __future__ import annotations

import pytest

from mailblast.monitor.wording import (
    duration_words,
    milliseconds_words,
    percent_words,
    printable,
    rate_words,
    sparkline,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("User unknown", "User unknown"),
        ("  two\r\nlines\tand tab ", "two lines and tab"),
        ("\x1b[31mred\x1b[0m", "[31mred[0m"),
        ("\x1b]0;title\x07bell", "]0;titlebell"),
        ("null\x00del\x7fc1\x9b31m", "nulldelc131m"),
        ("right\u202eto left\u2066x", "rightto leftx"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("line\u2028and\u2029paragraph", "line and paragraph"),
        ("lone \udcff surrogate", "lone surrogate"),
        ("Zoë 日本 [bold]x[/bold]", "Zoë 日本 [bold]x[/bold]"),
        ("", ""),
    ],
)
def test_printable_keeps_only_what_is_harmless(text: str, shown: str) -> None:
    assert shown == printable(text)


def test_printable_cuts_to_length() -> None:
    assert printable("x" * 10, 10) == "x" * 10
    assert printable("x" * 11, 10) == "x" * 9 + "…"
    assert len(printable("x" * 10_000_000)) == 200


@pytest.mark.parametrize(
    ("per_second", "words"),
    [(0, "0.0/s"), (0.05, "3.0/min"), (1, "1.0/s"), (99.94, "99.9/s"), (100, "100/s"), (12_345.6, "12,346/s")],
)
def test_rate_words(per_second: float, words: str) -> None:
    assert words == rate_words(per_second)


@pytest.mark.parametrize(
    ("milliseconds", "words"),
    [(0, "0 ms"), (0.346, "0.35 ms"), (1, "1 ms"), (999, "999 ms"), (1_000, "1.0 s"), (5_120, "5.1 s")],
)
def test_milliseconds_words(milliseconds: float, words: str) -> None:
    assert words == milliseconds_words(milliseconds)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (185, "3 min 05 s"),
        (3_599, "59 min 59 s"),
        (7_800, "2 h 10 min"),
        (86_400, "1 d 0 h"),
        (273_600, "3 d 4 h"),
    ],
)
def test_duration_words(seconds: float, words: str) -> None:
    assert words == duration_words(seconds)


@pytest.mark.parametrize(
    ("share", "words"),
    [(0, "0.0 %"), (0.0004, "<0.1 %"), (0.5, "50.0 %"), (0.9999, "99.9 %"), (1, "100.0 %")],
)
def test_percent_words_say_all_only_for_all(share: float, words: str) -> None:
    assert words == percent_words(share)


@pytest.mark.parametrize(
    ("values", "width", "bars"),
    [
        ((), 10, ""),
        ((1, 2), 0, ""),
        ((0, 0), 10, "  "),
        ((0, 1, 4, 7, 8), 10, " ▂▅▇█"),
        ((9, 0, 1), 2, " █"),
        ((1, 1_000_000), 5, "▁█"),
    ],
)
def test_sparkline_shows_the_last_values(values: tuple[int, ...], width: int, bars: str) -> None:
    assert bars == sparkline(values, width)


def test_sparkline_in_ascii_stays_in_ascii() -> None:
    assert sparkline((0, 1, 4, 8), 10, ascii_only=True) == " .=#"

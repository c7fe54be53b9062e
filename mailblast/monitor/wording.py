"""Figures and foreign texts as a line on a screen or in a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.:-=+*#"
_MINUTE_S = 60
_HOUR_S = 3_600
_DAY_S = 86_400


def printable(text: str, limit: int = 200) -> str:
    """Return a foreign text as one harmless line of at most ``limit`` characters.

    Without control characters, escape, direction marks, surrogates and unassigned characters; each run of white
    space becomes one space. What is left may still hold rich's markup: show it as ``rich.text.Text``.
    """
    if len(text) > limit * 4:  # the rest could not be seen, and is not worth a walk through it
        text = text[: limit * 4]
    line = " ".join("".join(letter for letter in text if letter.isprintable() or letter.isspace()).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def rate_words(per_second: float) -> str:
    """Return a rate in the unit that keeps it readable: ``1,234/s``, ``5.2/s``, ``12/min``."""
    if per_second >= 100:  # noqa: PLR2004 - decimals say nothing from here
        return f"{per_second:,.0f}/s"
    if per_second >= 1 or per_second == 0:
        return f"{per_second:.1f}/s"
    return f"{per_second * _MINUTE_S:.1f}/min"


def milliseconds_words(milliseconds: float) -> str:
    """Return a time of one message: ``0.35 ms``, ``12 ms``, ``3.4 s``."""
    if milliseconds < 1:
        return f"{milliseconds:.2g} ms"
    if milliseconds < 1_000:  # noqa: PLR2004 - one second
        return f"{milliseconds:.0f} ms"
    return f"{milliseconds / 1_000:.1f} s"


def duration_words(seconds: float) -> str:
    """Return a stretch of time: ``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``3 d 4 h``."""
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S:02} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S:02} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def percent_words(share: float) -> str:
    """Return a share that is rounded down, so that only the whole is 100 %; more than nothing is never 0."""
    if 0 < share < 0.001:  # noqa: PLR2004 - the last decimal shown
        return "<0.1 %"
    return f"{int(share * 1_000) / 10:.1f} %"


def sparkline(values: Sequence[float], width: int, *, ascii_only: bool = False) -> str:
    """Return the last ``width`` values as bars between 0 and the largest of them.

    Only 0 has no bar at all, so that a trickle can be told from silence.
    """
    shown = values[-width:] if width > 0 else ()
    most = max(shown, default=0)
    if most <= 0:
        return " " * len(shown)
    bars = _ASCII_BARS if ascii_only else _BARS
    top = len(bars) - 1
    return "".join(" " if value <= 0 else bars[round(value / most * top)] for value in shown)

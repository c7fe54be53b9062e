"""One line of JSON, read without trust."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import NoReturn

from mailblast.errors import RowFaultError
from mailblast.lists.lines import CONTROL

#: Deeper than any real list, shallow enough for whatever walks or pickles the value later.
MAX_DEPTH = 100
#: Digits of the largest number that is taken; beyond it Python refuses, or int() gets slow.
MAX_DIGITS = 300
#: A whole string, one that is never closed included, or a bracket. Takes linear time on any text.
PIECE = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def parse_object(line: str, max_columns: int) -> dict[str, object]:
    """Return the object that a line holds.

    Raises:
        RowFaultError: It is no JSON, no object, nested too deeply, or holds duplicate keys, numbers that are endless
            or not finite, control characters, or halves of characters.
    """
    if line.count("[") + line.count("{") > MAX_DEPTH and _depth(line) > MAX_DEPTH:
        raise RowFaultError(f"is nested deeper than {MAX_DEPTH} levels")
    try:
        value = _DECODER.decode(line)
    except json.JSONDecodeError as error:
        raise RowFaultError(f"is no JSON: {error.msg} at character {error.pos + 1:,}") from error
    if not isinstance(value, dict):
        raise RowFaultError('is no JSON object; write {"email": "…", …}')
    if len(value) > max_columns:
        raise RowFaultError(f"has {len(value):,} keys, the limit is {max_columns:,}")
    # Raw control characters are no JSON; they can only come from an escape, or be the one that JSON forgets.
    if "\\" in line or "\x7f" in line:
        for key, item in value.items():
            if _holds_control(key) or _holds_control(item):
                raise RowFaultError("holds a control character or half of one; remove it", column=_shown(key))
    return value


def _holds_control(value: object) -> bool:
    if isinstance(value, str):
        return CONTROL.search(value) is not None
    if isinstance(value, dict):
        return any(_holds_control(key) or _holds_control(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_holds_control, value))


def _depth(line: str) -> int:
    """Return how deeply brackets are nested, those in strings not counted."""
    depth = deepest = 0
    for match in PIECE.finditer(line):
        piece = match[0]
        if piece[0] != '"':
            depth += 1 if piece in "[{" else -1
            deepest = max(deepest, depth)
    return deepest


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise RowFaultError("appears twice in one object; keep one", column=_shown(twice))
    return result


def _integer(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise RowFaultError(f"holds a number of more than {MAX_DIGITS} digits; write it as text")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RowFaultError("holds a number that is too large; write it as text")
    return number


def _constant(name: str) -> NoReturn:
    raise RowFaultError(f"holds {name}, which is no JSON; write null or leave it out")


def _shown(key: str) -> str:
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", key[:100])


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_finite, parse_constant=_constant
)

"""How many messages a day a new address or domain may send: a ramp that doubles.

Mailbox providers have no opinion of a new sender and take little from it; what they get used to grows day by day.
Which day of the ramp it is counts only days on which something was sent, and is kept with the limits of the account,
so that it goes on over campaigns. After 30 days of silence it goes back one step, after 60 two, and so on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

#: Recipients on each day; after the last one there is no cap. It begins low and doubles until a volume is reached at
#: which the replies of mailbox providers, and no table, say how much is welcome.
RAMP = (50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 102_400)
MAX_DAYS = 365
MAX_BYTES = 100_000


def read_ramp(path: Path) -> tuple[int, ...]:
    """Read a ramp: one whole number for each day, apart by white space or commas; ``#`` begins a comment.

    Raises:
        UsageError: The file cannot be read, or holds something else.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError(f"The warm-up table {path} is too long.", fix=f"Give at most {MAX_DAYS} numbers.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The warm-up table {path} cannot be read: {error}.", fix="Give a text file.") from error
    days: list[int] = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in re.split(r"[\s,;]+", line.partition("#")[0].strip()):
            if word and not (word.isascii() and word.isdigit() and int(word[:10]) > 0 and len(word) < 10):  # noqa: PLR2004 - below the 32 bits of a count
                raise UsageError(
                    f"Line {number} of the warm-up table {path} holds '{word[:40]}'.",
                    fix="Give one whole number from 1 up for each day, such as 50 100 200 400.",
                )
            if word:
                days.append(int(word))
    if not 0 < len(days) <= MAX_DAYS:
        raise UsageError(
            f"The warm-up table {path} has {len(days)} days.",
            fix=f"Give from 1 to {MAX_DAYS} numbers, one for each day.",
        )
    return tuple(days)

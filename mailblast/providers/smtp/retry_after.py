"""When a refusal says that another attempt is welcome."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailblast.model.reply import Reply

#: Waits are kept between these: a second, and a day.
LEAST_S, MOST_S = 1.0, 86_400.0
UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
#: "Greylisted for 60 seconds", "try again in 5 minutes", "please come back in 00:04:59", "retry after 300 s",
#: "wait at least 10 minutes". Texts of postgrey, milter-greylist, SQLgrey, Exim's and rspamd's greylists, Postal.
WAIT = re.compile(
    r"""
    (?: \b(?:re-?try|try|come\ back|again|resend|reconnect)\b (?:\ (?:again|later|sending|delivery|this|it|message))*
        \ (?:in|after)(?:\ (?:about|at\ least|another))?
      | gr[ae]y-?listed\b [^0-9;]{0,20}? \b(?:for|in)
      | \b(?:wait|deferred|delayed)\b (?:\ (?:for|at\ least|about|another|a\ further))*
    )
    \ (?: (?P<clock>\d{1,2}:\d\d:\d\d)
        | (?P<number>\d{1,7}) \ ? (?P<unit>s|m|h)(?:ec(?:ond)?s?|in(?:ute)?s?|(?:ou)?rs?)?\b (?![-:])
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def retry_after_s(reply: Reply) -> float | None:
    """Return the seconds after which a temporary refusal asks for the next attempt, 1 to 86,400.

    Args:
        reply: Any reply.

    Returns:
        None where it names no time, or refuses for good.
    """
    if not 400 <= reply.code < 500:  # noqa: PLR2004 - 4yz
        return None
    found = WAIT.search(reply.text)
    if found is None:
        return None
    if found["clock"]:
        hours, minutes, seconds = map(int, found["clock"].split(":"))
        wait = hours * 3600.0 + minutes * 60.0 + seconds
    else:
        wait = int(found["number"]) * UNITS[found["unit"].lower()]
    return min(max(wait, LEAST_S), MOST_S)

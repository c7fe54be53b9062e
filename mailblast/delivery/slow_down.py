"""What follows from a reply that asks to slow down: half the rate, a pause, and a slow return."""

from __future__ import annotations

#: What a complaint leaves of the rate.
LEFT = 0.5
#: What comes back in a minute without a complaint, as a share of the full rate.
BACK_PER_MINUTE = 0.1
#: The rate never falls below this share of the full one, nor below one a minute.
LEAST_SHARE = 1 / 64
LEAST_PER_S = 1 / 60
#: Pause after a complaint that names no time, doubled with each further one until a message is accepted.
PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
#: Longest pause that a reply may ask for.
LONGEST_ASKED_S = 4000.0
#: Complaints without a message accepted between them for so long mean that it is hopeless for now.
HOPELESS_S = 600.0


class SlowDown:
    """How much slower than usual a domain or an account is sent to. All times are monotonic seconds.

    Kept by each process for itself: one that sends half of the mail gets half of the complaints.

    Args:
        full_per_s: The rate to return to: the limit, or what was reached when the first complaint came.
    """

    def __init__(self, full_per_s: float) -> None:
        self._full = max(full_per_s, LEAST_PER_S)
        self._rate = self._full
        self._since_s = 0.0
        self._paused_until_s = 0.0
        self._next_s = 0.0
        self._in_row = 0
        self._row_since_s = 0.0
        #: The reply that asked for it.
        self.said = ""

    def complain(self, now: float, said: str, retry_after_s: float | None) -> None:
        """Slow down. Replies to what was in flight at the last complaint are part of that one."""
        self.said = said
        if retry_after_s is not None:
            self._paused_until_s = max(self._paused_until_s, now + min(retry_after_s, LONGEST_ASKED_S))
        if self._in_row and now < self._paused_until_s and now < self._since_s + PAUSE_S:
            return
        if not self._in_row:
            self._row_since_s = now
        self._in_row += 1
        self._rate = max(self.rate(now) * LEFT, self._full * LEAST_SHARE, LEAST_PER_S)
        self._since_s = now
        if retry_after_s is None:
            pause = min(PAUSE_S * 2.0 ** min(self._in_row - 1, 16), LONGEST_PAUSE_S)
            self._paused_until_s = max(self._paused_until_s, now + pause)

    def accepted(self) -> None:
        """Take note that a message was taken."""
        self._in_row = 0

    def rate(self, now: float) -> float:
        """Return the messages a second that are allowed now."""
        minutes = max(0.0, now - max(self._since_s, self._paused_until_s)) / 60
        return min(self._full, self._rate + minutes * BACK_PER_MINUTE * self._full)

    def wait_s(self, now: float) -> float:
        """Return the seconds until the next message; zero or less is now."""
        return max(self._next_s, self._paused_until_s) - now

    def spend(self, now: float) -> None:
        """Note that a message is handed out."""
        self._next_s = max(self._next_s, now - 0.01) + 1 / self.rate(now)

    def is_over(self, now: float) -> bool:
        """Whether the full rate is reached again."""
        return now >= self._paused_until_s and self.rate(now) >= self._full

    def is_hopeless(self, now: float) -> bool:
        """Whether complaint has followed complaint for so long that waiting on is of no use."""
        return self._in_row > 1 and now - self._row_since_s >= HOPELESS_S

"""How many batches a worker has at once."""

from __future__ import annotations

#: Where it begins: short lists are to be shared among workers, and slow ones need no more.
FIRST = 4
#: Who is done with half of its batches within this could run dry while others are fetched.
SOON_S = 0.1


class Window:
    """The number of batches that are had at once: few at first, more where they are done with quickly.

    Args:
        most: Never more.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.size = min(FIRST, most)
        self._leased_s = float("-inf")

    def leased(self, now_s: float) -> None:
        """Take note that batches were leased, in monotonic seconds; double, or go halfway back to the beginning."""
        if now_s - self._leased_s < SOON_S:
            self.size = min(2 * self.size, self._most)
        else:
            self.size = max(self.size // 2, min(FIRST, self._most))
        self._leased_s = now_s

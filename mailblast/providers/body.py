"""Bodies whose parts are in memory or in files, as providers write them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.model.outcome import Attempt, Disposition
from mailblast.model.reply import Reply, Scope, Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mailblast.model.message import StreamedPart


class UnreadablePartError(Exception):
    """A part's file cannot be read; what was yielded of the body so far must not become a message.

    Args:
        error: What the system says.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error

    def reply(self) -> Reply:
        """Return our own refusal of the message (RFC 3463 section 3.4)."""
        what = self.error.strerror or str(self.error)
        return Reply(451, "4.3.0", f"An attachment cannot be read, nothing was sent: {what}", Stage.BODY)

    def attempt(self, duration_s: float = 0.0) -> Attempt:
        """Return what the attempt came to: this message has failed for now, and no other."""
        return Attempt(Disposition.TEMPORARY, self.reply(), Scope.MESSAGE, duration_s)


def pieces(parts: Iterable[bytes | StreamedPart]) -> Iterator[bytes]:
    """Yield a body: parts in memory as they are, files in pieces of some 64 KB.

    Raises:
        UnreadablePartError: A file cannot be read, or is no longer what it was.
    """
    for part in parts:
        if isinstance(part, bytes):
            yield part
            continue
        try:
            yield from part.chunks()
        except OSError as error:
            raise UnreadablePartError(error) from error

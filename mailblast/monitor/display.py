"""What shows a run to its operator."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, Protocol

from mailblast.monitor.wording import printable

if TYPE_CHECKING:
    from typing import TextIO

    from mailblast.monitor.snapshot import Snapshot

Level = Literal["info", "warning", "error"]


class Display(Protocol):
    """Shows the figures of a monitor. Called from the run's own thread, never drives it."""

    def start(self) -> None:
        """Begin to show."""
        ...

    def refresh(self, snapshot: Snapshot) -> None:
        """Show the figures of now. Called about once a second, with what all others who look on get, too."""
        ...

    def stop(self) -> None:
        """Show the last figures and leave them standing. May be called twice, or without a start."""
        ...

    def notice(self, text: str, level: Level = "info") -> None:
        """Tell something that the figures do not; foreign text is welcome as it is. May be called at any time."""
        ...

    def alert(self, kind: str, text: str, level: Level = "warning") -> None:
        """Tell that somebody should look, or that this is over."""
        ...


class SideStream(io.TextIOBase):
    """A text stream that falls silent when what it writes to is gone or closed.

    A run outlives its terminal (a lost login, ``2>&1 | head``): what cannot be shown must not stop the mail.
    Characters that the stream's encoding lacks are written as escapes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a plain attribute in the base class
        """The encoding of the stream beneath."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Return whether the stream beneath is a terminal."""
        return not self._gone and not self._stream.closed and self._stream.isatty()

    def fileno(self) -> int:
        """Return the descriptor of the stream beneath."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write, or forget the text where the stream is gone."""
        if not self._gone:
            try:
                try:
                    self._stream.write(text)
                except UnicodeEncodeError:
                    self._stream.write(text.encode("ascii", "backslashreplace").decode("ascii"))
            except (OSError, ValueError):  # ValueError: closed on this side
                self._gone = True
        return len(text)

    def flush(self) -> None:
        """Flush, or do nothing where the stream is gone."""
        if not self._gone:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                self._gone = True


class Quiet:
    """Shows warnings and errors, one line each, and nothing else.

    Args:
        stream: Stays open.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = SideStream(stream)

    def start(self) -> None:
        """Do nothing."""

    def refresh(self, snapshot: Snapshot) -> None:
        """Do nothing."""

    def stop(self) -> None:
        """Do nothing."""

    def notice(self, text: str, level: Level = "info") -> None:
        """Write a warning or an error."""
        if level != "info":
            self._stream.write(f"{level}: {printable(text, 1_000)}\n")
            self._stream.flush()

    def alert(self, kind: str, text: str, level: Level = "warning") -> None:
        """Write an alert."""
        self.notice(f"alert: {kind}: {text}", level)

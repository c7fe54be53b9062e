"""A run on a terminal: one frame, drawn anew about once a second.

This module and ``frame``, which only this one imports, are the only ones to import rich: it is loaded when a
dashboard is drawn.
"""

from __future__ import annotations

from collections import deque
from typing import IO, TYPE_CHECKING, cast

from rich.live import Live
from rich.text import Text

from mailblast.monitor.display import SideStream
from mailblast.monitor.frame import draw
from mailblast.monitor.wording import printable

if TYPE_CHECKING:
    from typing import TextIO

    from rich.console import Console, ConsoleDimensions, RenderableType

    from mailblast.monitor.display import Level
    from mailblast.monitor.metrics import Monitor
    from mailblast.monitor.snapshot import Snapshot

_NOTICES_KEPT = 5
_LEVEL_STYLES: dict[Level, str] = {"info": "", "warning": "yellow", "error": "bold red"}


class Dashboard:
    """Draws the figures of a monitor in place; the last frame stays as the summary.

    A frame fits 80 x 24 and uses up to 140 columns; on fewer lines the errors go first, then the providers. Colours
    are the console's business, which honours NO_COLOR.

    Args:
        monitor: Where the first and the last figures come from.
        console: A terminal. Its file is wrapped while the dashboard runs, so that a lost terminal is not an error.
        title: What is sent, such as the campaign's name.
        provider: Where it goes.
        total_rows: Length of the list where it is known; else the monitor's own estimate is shown.
    """

    def __init__(
        self, monitor: Monitor, console: Console, *, title: str, provider: str, total_rows: int | None = None
    ) -> None:
        self._monitor = monitor
        self._console = console
        self._title = f"{printable(title, 60)} to {printable(provider, 60)}"
        self._total_rows = total_rows
        self._live: Live | None = None
        self._file: IO[str] | None = None
        self._size: ConsoleDimensions = console.size
        self._notices: deque[Text] = deque(maxlen=_NOTICES_KEPT)

    def start(self) -> None:
        """Draw the first frame."""
        if self._live is None:
            self._file = self._console.file
            self._console.file = cast("IO[str]", SideStream(cast("TextIO", self._file)))
            self._begin(self._monitor.snapshot())

    def refresh(self, snapshot: Snapshot) -> None:
        """Draw the figures of now; after a change of the terminal's size on a cleared screen."""
        if self._live is None:
            return
        if self._console.size == self._size:
            self._live.update(self._frame(snapshot, ended=False), refresh=True)
            return
        # A terminal breaks long lines anew when it gets narrower, so nobody knows how many lines the old frame takes.
        self._live.transient = True
        self._live.stop()
        self._console.clear()
        for text in self._notices:
            self._console.print(text)
        self._begin(snapshot)

    def stop(self) -> None:
        """Draw the last frame and leave it."""
        if self._live is None or self._file is None:
            return
        snapshot = self._monitor.snapshot()
        if self._console.size != self._size:
            self.refresh(snapshot)
        self._live.update(self._frame(snapshot, ended=True))
        self._live.stop()
        self._live = None
        self._console.file = self._file

    def notice(self, text: str, level: Level = "info") -> None:
        """Write a line above the frame."""
        words = text if level == "info" else f"{level}: {text}"
        line = Text(printable(words, 1_000), style=_LEVEL_STYLES[level])
        self._notices.append(line)
        self._console.print(line)

    def alert(self, kind: str, text: str, level: Level = "warning") -> None:
        """Write an alert above the frame."""
        self.notice(f"alert: {kind}: {text}", level)

    def _begin(self, snapshot: Snapshot) -> None:
        self._size = self._console.size
        self._live = Live(
            self._frame(snapshot, ended=False),
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start(refresh=True)

    def _frame(self, snapshot: Snapshot, *, ended: bool) -> RenderableType:
        return draw(
            snapshot,
            self._title,
            self._total_rows,
            ended=ended,
            width=self._console.width,
            height=self._console.height - 1,  # the cursor's line
            ascii_only=self._console.options.ascii_only,
        )

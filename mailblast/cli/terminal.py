"""The streams and what they are connected to, as one object."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from mailblast.monitor.display import Level

    Notice = Callable[[str, Level], None]


class Terminal:
    """Where a command reads and writes. Results go to stdout, talk and progress to stderr.

    Args:
        json_output: stdout gets one JSON object and nothing else.
        quiet: No talk on stderr but warnings and errors.
    """

    def __init__(self, *, json_output: bool = False, quiet: bool = False) -> None:
        self.json_output = json_output
        self.quiet = quiet
        #: Says what is said, while something else draws on stderr.
        self._beside: Notice | None = None

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: both ends are a terminal."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    @property
    def live(self) -> bool:
        """Whether a dashboard can be drawn on stderr."""
        return sys.stderr.isatty() and os.environ.get("TERM", "") != "dumb"

    def console(self) -> Console:
        """Return a rich console on stdout, for tables."""
        from rich.console import Console

        return Console(highlight=False, soft_wrap=not sys.stdout.isatty())

    def result(self, text: str) -> None:
        """Print a line of the result; nothing where JSON is wanted."""
        if not self.json_output:
            print(text)  # noqa: T201 - this is where printing happens

    def json(self, value: Mapping[str, Any]) -> None:
        """Print the JSON object, where one is wanted."""
        if self.json_output:
            print(json.dumps(value, ensure_ascii=False, allow_nan=False))  # noqa: T201 - likewise

    def note(self, text: str) -> None:
        """Say something on stderr unless quiet."""
        if not self.quiet:
            self._say(text, "info")

    def warn(self, text: str) -> None:
        """Say something on stderr, always."""
        self._say(text, "warning")

    @contextlib.contextmanager
    def beside(self, notice: Notice) -> Iterator[None]:
        """Have what is said meanwhile told by what draws on stderr, which would draw over it, or keeps a form."""
        self._beside = notice
        try:
            yield
        finally:
            self._beside = None

    def _say(self, text: str, level: Level) -> None:
        if self._beside is None:
            print(text, file=sys.stderr, flush=True)  # noqa: T201 - likewise
        else:
            self._beside(text.removeprefix("mailblast: "), level)

    def ask(self, question: str) -> bool:
        """Ask a yes-or-no question on the terminal; anything but yes is no."""
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # noqa: T201 - likewise
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

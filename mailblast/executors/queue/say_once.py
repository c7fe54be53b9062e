"""What an operator is told once, however often it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def saying_once(say: Callable[[str], None]) -> Callable[[str], None]:
    """Return what says a text, unless it has said that one before."""
    said: set[str] = set()

    def say_once(text: str) -> None:
        if text not in said:
            said.add(text)
            say(text)

    return say_once

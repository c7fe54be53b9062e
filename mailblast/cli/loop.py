"""The event loop that commands run on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from mailblast.errors import RunInterruptedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def run(work: Coroutine[None, None, T]) -> T:
    """Run a coroutine to its end, on uvloop where it is installed.

    Raises:
        RunInterruptedError: Ctrl-C, where the work does not handle it itself.
    """
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work)
    except KeyboardInterrupt:
        raise RunInterruptedError("Interrupted.") from None


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.new_event_loop
    return new_event_loop

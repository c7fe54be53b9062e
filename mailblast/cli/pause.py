"""``mailblast pause`` and ``resume``: hold a queued campaign, and let it go."""

from __future__ import annotations

from typing import Annotated

import typer

from mailblast.cli import options
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal

Campaign = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="A queued campaign; 'status' lists them.")]


def pause(campaign: Campaign, queue: options.Queue = None, debug: options.Debug = False) -> int:
    """Hold a queued campaign: workers finish what is in flight and hand out nothing more of it.

    Examples:

      mailblast pause welcome-list

      mailblast pause welcome-list --queue redis://queue.example.com
    """
    return _set(campaign, queue, "paused")


def resume(campaign: Campaign, queue: options.Queue = None, debug: options.Debug = False) -> int:
    """Let a campaign go on that was paused.

    Examples:

      mailblast resume welcome-list
    """
    return _set(campaign, queue, "active")


def _set(campaign: str, queue: str | None, state: str) -> int:
    from mailblast.cli.queue_control import set_state

    return set_state(campaign, queue, state, Settings.load(), Terminal())

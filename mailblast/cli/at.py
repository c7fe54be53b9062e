"""``--at``: when mail is to go, by providers that keep it until then and by those for which the command waits."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

from mailblast.cli import loop
from mailblast.cli.scheduled import SchedulingProvider, shown_time
from mailblast.delivery.schedule import wait_until
from mailblast.errors import RunInterruptedError, UsageError
from mailblast.model.schedule import check_ahead, parse_when

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.cli.campaigns import Transport
    from mailblast.cli.terminal import Terminal
    from mailblast.clock import Clock
    from mailblast.providers.provider import Provider

#: How far ahead of its time SendGrid takes mail (https://docs.sendgrid.com/for-developers/sending-email/scheduling-parameters).
MAX_AHEAD_S = 72 * 3600


def read_at(text: str | None, transports: Sequence[Transport], clock: Clock) -> int | None:
    """Return when mail is to go, in Unix seconds; None for now.

    Raises:
        UsageError: It is no time to come, or not one for these providers.
    """
    if text is None:
        return None
    now_s = clock.now()
    when_s = parse_when(text, now_s)
    if any(keeps_mail(transport.provider) for transport in transports):
        if len(transports) > 1:
            raise UsageError(
                "What SendGrid keeps until --at cannot move to another provider.",
                fix="Give --via once, or leave --at out and start the command at that time, such as by cron.",
            )
        check_ahead(when_s, now_s, at_most_s=MAX_AHEAD_S, who="SendGrid")
    return when_s


def keeps_mail(provider: Provider) -> bool:
    """Return whether a provider keeps mail until its time."""
    return isinstance(provider, SchedulingProvider)


def wait_for(when_s: int, terminal: Terminal, clock: Clock) -> None:
    """Wait for a time, and say so.

    Raises:
        RunInterruptedError: Ctrl-C or SIGTERM; nothing was sent.
    """
    terminal.note(f"mailblast: waiting until {shown_time(when_s)}; Ctrl-C ends it, and nothing is sent then")
    loop.run(_waited(when_s, clock))


async def _waited(when_s: int, clock: Clock) -> None:
    stopping = asyncio.Event()
    event_loop = asyncio.get_running_loop()
    event_loop.add_signal_handler(signal.SIGTERM, stopping.set)
    try:
        if not await wait_until(when_s, clock, stopping=stopping):
            raise RunInterruptedError("Interrupted by SIGTERM.", signal_number=signal.SIGTERM)
    finally:
        event_loop.remove_signal_handler(signal.SIGTERM)

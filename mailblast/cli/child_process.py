"""``python -m mailblast.cli.child_process FD OPTIONS``: one of several processes of a run. Started by ``bulk`` alone.

Reads its own settings, so that no secret crosses from one process to another.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, NamedTuple

from mailblast.cli import campaigns, loop
from mailblast.cli.settings import Settings
from mailblast.clock import SystemClock
from mailblast.executors.child import serve

if TYPE_CHECKING:
    from mailblast.cli.campaigns import Transport


class ChildOptions(NamedTuple):
    """The flags of the run that concern a child, and its share of what they allow."""

    via: str | None
    connections: int
    messages_per_connection: int | None
    rates: tuple[str, ...]
    processes: int


def command(index: int, fd: int, transport: Transport, options: ChildOptions) -> list[str]:
    """Return the command that starts child number ``index``."""
    total = transport.provider.limits.concurrency
    share = total // options.processes + (index < total % options.processes)
    words = json.dumps(options._replace(connections=share))
    return [sys.executable, "-m", __name__, str(fd), words]


def main() -> None:
    """Serve the descriptor until the run ends."""
    via, connections, messages, rates, processes = json.loads(sys.argv[2])
    clock = SystemClock()
    transport = campaigns.transport_of(
        Settings.load(),
        via,
        connections=connections,
        messages_per_connection=messages,
        rates=rates,
        clock=clock,
        processes=processes,
    )
    loop.run(serve(int(sys.argv[1]), transport.provider, transport.throttle, clock))


if __name__ == "__main__":
    main()

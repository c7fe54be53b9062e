"""``python -m mailblast.cli.child_process FD OPTIONS``: one of several processes of a run. Started by ``bulk`` alone.

Where that is safe, a copy of ``bulk`` itself does the same (``make_spares()``).

Reads its own settings, so that no secret crosses from one process to another.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mailblast.cli import campaigns, loop
from mailblast.cli.authenticity import keys_of
from mailblast.cli.settings import Settings
from mailblast.clock import SystemClock
from mailblast.executors import spares
from mailblast.executors.child import serve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailblast.cli.campaigns import Transport
    from mailblast.executors.spares import Spare
    from mailblast.model.campaign import Keys
    from mailblast.providers.provider import Provider


class ChildOptions(NamedTuple):
    """The flags of the run that concern a child's provider, and its share of the connections."""

    via: Sequence[str]
    connections: int
    messages_per_connection: int | None
    processes: int
    #: Which of them it is, from 0.
    number: int = 0
    #: File of the DKIM key; None where the settings say.
    dkim_key: str | None = None
    #: Which of the run's providers it goes by, from 0.
    choice: int = 0
    #: Prints an access token.
    token_command: str | None = None


def command(index: int, fd: int, transport: Transport, options: ChildOptions) -> list[str]:
    """Return the command that starts child number ``index``."""
    share = campaigns.share_of(transport.provider.limits.concurrency, index, options.processes)
    words = json.dumps(options._replace(connections=share, number=index))
    # -P: no module of the folder that the user is in.
    return [sys.executable, "-P", "-m", __name__, str(fd), words]


def make_spares(count: int) -> list[Spare]:
    """Make processes ahead of a run, where that is safe: they begin at once when they are told what ``command()`` says.

    Raises:
        ProviderUnavailableError: There are too many processes.
    """
    loop.load()
    return spares.make_spares(count, work)


def work(fd: int, words: str) -> None:
    """Serve a descriptor until the run ends.

    Args:
        fd: Of the socket to the run; closed here.
        words: The last word of ``command()``.
    """
    options = ChildOptions(*json.loads(words))
    clock = SystemClock()

    def make_provider() -> Provider:
        # How fast it may go comes with the work.
        settings = Settings.load()
        dsn = campaigns.dsns_of(settings, options.via)[options.choice]
        flags = campaigns.TransportFlags(
            options.connections, options.messages_per_connection, token_command=options.token_command
        )
        return campaigns.make_transport(settings, dsn, flags, clock).provider

    def make_keys() -> Keys:
        return keys_of(Settings.load(), Path(options.dkim_key) if options.dkim_key is not None else None)

    loop.run(serve(fd, make_provider, clock, make_keys))


def main() -> None:
    """Serve the descriptor that the command line names."""
    work(int(sys.argv[1]), sys.argv[2])


if __name__ == "__main__":
    main()

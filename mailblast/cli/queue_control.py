"""Pausing, resuming and ending queued campaigns, from any machine that reaches the queue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.queue_url import HERE
from mailblast.errors import CampaignLockedError, UsageError
from mailblast.executors.executor import DRAIN_S
from mailblast.executors.queue.files import is_queued_here, pause, read_server_file, remove_queue_file, resume
from mailblast.journal.folder import CampaignFolder

if TYPE_CHECKING:
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.executors.queue.store import Store

#: Between looks at a journal that somebody holds.
POLL_S = 0.1
DONE = {
    "paused": "is paused. To go on: mailblast resume {}",
    "active": "goes on.",
    "cancelled": "is ended. What is in flight is finished; who is left is unsent.",
}


def is_queue_campaign(campaign: str, queue: str | None, settings: Settings) -> bool:
    """Return whether a campaign is in a queue that can be reached from here."""
    folder = CampaignFolder(settings.home, campaign).path
    server = read_server_file(folder)
    return queue is not None or is_queued_here(folder) or (server is not None and not server.is_over)


def set_state(campaign: str, queue: str | None, state: str, settings: Settings, terminal: Terminal) -> int:
    """Bring a queued campaign to a state: ``paused``, ``active`` or ``cancelled``.

    Raises:
        UsageError: It is not queued, or cannot be paused.
        QueueError: The server cannot be asked.
    """
    folder = CampaignFolder(settings.home, campaign).path
    if queue in {None, HERE} and is_queued_here(folder):
        return _here(campaign, state, settings, terminal)
    server = read_server_file(folder)
    url = queue or (server.url if server is not None else None) or HERE
    if url == HERE and not settings.text("MAILBLAST_QUEUE"):
        raise UsageError(
            f"Campaign '{campaign}' is in no queue that is known here.", fix="Give --queue redis://… of the queue."
        )
    from mailblast.cli.queue_home import store_for

    store = store_for(settings, url)
    changed = [store.set_state(token, state) for token in _tokens(store, campaign)]
    if not any(changed):
        raise UsageError(
            f"Campaign '{campaign}' is ended already.", fix="Run its bulk command again: that queues who is left."
        )
    terminal.result(f"{campaign} {DONE[state].format(campaign)}")
    return ExitCode.OK


def _tokens(store: Store, campaign: str) -> list[str]:
    found = [token for token in store.campaigns() if store.info(token).get("name") == campaign]
    if not found:
        names = sorted({store.info(token).get("name", "") for token in store.campaigns()} - {""})
        known = f"There are: {', '.join(names)}." if names else "There is none."
        raise UsageError(f"Campaign '{campaign}' is not in the queue at {store.shown}.", fix=known)
    return found


def _here(campaign: str, state: str, settings: Settings, terminal: Terminal) -> int:
    from mailblast.clock import SystemClock
    from mailblast.journal.journal import Journal

    folder = CampaignFolder(settings.home, campaign).path
    if state == "active":
        resume(folder)
    else:
        # A worker that is at it leaves it so, within a second and what is in flight.
        pause(folder)
    if state != "cancelled":
        terminal.result(f"{campaign} {DONE[state].format(campaign)}")
        return ExitCode.OK
    clock = SystemClock()
    ends_s = clock.monotonic() + DRAIN_S
    while True:
        try:
            with Journal.open(settings.home, campaign, clock=clock) as journal:
                count = journal.clear_queue()
                remove_queue_file(journal.folder)
        except CampaignLockedError:
            if clock.monotonic() > ends_s:
                raise
            time.sleep(POLL_S)
        else:
            terminal.result(f"{campaign} is out of the queue: {count:,} are unsent.")
            return ExitCode.OK

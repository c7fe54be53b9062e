"""What has come of campaigns at a server, taken into their journals here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.cli.queue_url import queue_of, shown
from mailblast.executors.queue.files import ServerQueue, read_server_file, write_server_file
from mailblast.executors.queue.store import Store
from mailblast.journal.folder import CampaignFolder

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.cli.settings import Settings
    from mailblast.clock import Clock


class AtServer(NamedTuple):
    """A campaign as the server has it."""

    #: Recipients that are queued and not being sent to.
    queued: int
    #: Those being sent to right now.
    sending: int
    #: ``active``, ``paused``, ``cancelled``, or empty where it is not there any more.
    state: str
    workers: int
    is_over: bool


def store_for(settings: Settings, url: str | None) -> Store:
    """Return a client for an URL as given, with the password that the settings have for it.

    Raises:
        UsageError: There is no such URL, or a package is missing.
    """
    found = queue_of(settings, url)
    assert found is not None
    return Store(found, shown(found))


def bring_home(home: Path, campaign: str, store: Store, clock: Clock) -> AtServer:
    """Take a campaign's outcomes into its journal, and let go of it where it is over.

    Raises:
        CampaignLockedError: A run holds the campaign; it does this itself.
        QueueError: The server is away or refuses.
    """
    from mailblast.executors.queue.coordinator import settle, take_home
    from mailblast.journal.journal import Journal

    folder = CampaignFolder(home, campaign).path
    queue = read_server_file(folder)
    assert queue is not None
    token = queue.token
    info = store.info(token)
    with Journal.open(home, campaign, clock=clock) as journal:
        take_home(store, token, journal.fold)
        is_put = info.get("complete") == "1" or info.get("state") == "cancelled"
        if info and is_put and not store.open_batches(token):
            settle(store, token, clock.now())
        take_home(store, token, journal.fold)
        at_server = look(store, token)
        if at_server.is_over and not queue.is_over:
            store.forget(token)
            write_server_file(folder, ServerQueue(queue.url, token, is_over=True))
    return at_server


def look(store: Store, token: str) -> AtServer:
    """Return where a campaign stands at the server.

    Raises:
        QueueError: The server is away or refuses.
    """
    info = store.info(token)
    living = [told for told in store.workers().values() if told["age_s"] <= float(told["lease_s"])]
    sending = sum(1 for _ in store.sending(token))
    open_batches = store.open_batches(token)
    is_put = info.get("complete") == "1" or info.get("state") == "cancelled"
    is_over = not open_batches and not sending and not store.read_outcomes(token, 1) and (is_put or not info)
    return AtServer(store.queued(token) if info else 0, sending, info.get("state", ""), len(living), is_over)

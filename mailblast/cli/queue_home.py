"""What has come of campaigns at a server, taken into their journals here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mailblast.cli.queue_url import queue_of, shown
from mailblast.errors import CampaignLockedError, MailblastError
from mailblast.executors.queue.files import ServerQueue, read_server_file, write_server_file
from mailblast.executors.queue.say_once import saying_once
from mailblast.executors.queue.store import QueueError, Store
from mailblast.executors.queue.workers import Workers
from mailblast.journal.folder import CampaignFolder, list_campaigns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mailblast.cli.settings import Settings
    from mailblast.clock import Clock

#: An idle worker holds a journal no longer than this, so that a run that wants it can wait for it.
HOLD_S = 1.0


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


def bring_home(
    home: Path, campaign: str, store: Store, clock: Clock, goes_on: Callable[[], bool] = lambda: True
) -> AtServer:
    """Take a campaign's outcomes into its journal, and let go of it where it is over.

    Args:
        home: Of all journals.
        campaign: Its name.
        store: Where it is queued.
        clock: Tells the time of records.
        goes_on: Returns whether there is time for more outcomes.

    Raises:
        CampaignLockedError: A run holds the campaign; it does this itself.
        QueueError: The server is away or refuses.
    """
    from mailblast.executors.queue.home import settle, take_home
    from mailblast.journal.journal import Journal

    folder = CampaignFolder(home, campaign).path
    queue = read_server_file(folder)
    assert queue is not None
    token = queue.token
    info = store.info(token)
    with Journal.open(home, campaign, clock=clock) as journal:
        take_home(store, token, journal.fold, goes_on)
        is_put = info.get("complete") == "1" or info.get("state") == "cancelled"
        if info and is_put and not store.open_batches(token):
            settle(store, token, clock.now())
        take_home(store, token, journal.fold, goes_on)
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
    sending = sum(1 for _ in store.sending(token))
    open_batches = store.open_batches(token)
    is_put = info.get("complete") == "1" or info.get("state") == "cancelled"
    is_over = not open_batches and not sending and not store.has_outcomes(token) and (is_put or not info)
    queued = store.queued(token) if info else 0
    return AtServer(queued, sending, info.get("state", ""), len(Workers(store).living()), is_over)


class Homecoming:
    """Takes home what has come of campaigns whose journals are here, for a worker that has nothing else to do.

    Args:
        home: Of all journals.
        store: Where the worker works.
        clock: Tells the time of records.
        say: Told what its operator should know, once for each.
    """

    def __init__(self, home: Path, store: Store, clock: Clock, say: Callable[[str], None]) -> None:
        self._home = home
        self._store = store
        self._clock = clock
        self._say_once = saying_once(say)

    def __call__(self, goes_on: Callable[[], bool]) -> None:
        """Look at all campaigns; those that a run or a command holds are left to it.

        Args:
            goes_on: Returns whether there is time for more.

        Raises:
            QueueError: The server is away or refuses.
        """
        known = set(self._store.campaigns())
        for name in list_campaigns(self._home) if known else ():
            queue = read_server_file(CampaignFolder(self._home, name).path)
            # What another server has is not over because this one does not know it.
            if queue is None or queue.is_over or queue.token not in known or not self._has_news(queue.token):
                continue
            self._bring(name, goes_on)

    def _bring(self, name: str, goes_on: Callable[[], bool]) -> None:
        until_s = self._clock.monotonic() + HOLD_S
        try:
            bring_home(
                self._home, name, self._store, self._clock, lambda: goes_on() and self._clock.monotonic() < until_s
            )
        except CampaignLockedError:
            # Whoever has it does this, or the next look will.
            return
        except QueueError:
            raise
        except MailblastError as error:
            self._say_once(f"{name}: {error}")

    def _has_news(self, token: str) -> bool:
        """Return whether there are outcomes, or the campaign may be over."""
        store = self._store
        return store.has_outcomes(token) or (not store.open_batches(token) and store.info(token).get("complete") == "1")

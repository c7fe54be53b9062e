"""What ``status`` says of a campaign's queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailblast.errors import CampaignLockedError, MailblastError
from mailblast.executors.queue.files import is_paused, is_queued_here, read_server_file
from mailblast.journal.folder import CampaignFolder

if TYPE_CHECKING:
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal


def queue_state(campaign: str, queue: str | None, settings: Settings, terminal: Terminal) -> dict[str, Any] | None:
    """Return how a campaign's queue stands, None where it has none; take home what has come at a server.

    A server that does not answer is told on stderr; what is on record here is shown all the same.
    """
    folder = CampaignFolder(settings.home, campaign).path
    if is_queued_here(folder):
        from mailblast.journal.reading import JournalReader

        with JournalReader(settings.home, campaign) as reader:
            return {"url": None, "queued": reader.queued(), "state": "paused" if is_paused(folder) else "active"}
    server = read_server_file(folder)
    if server is None:
        return None
    try:
        return _at_server(campaign, queue or server.url, server.token, settings)
    except MailblastError as error:
        if not server.is_over:
            terminal.warn(f"mailblast: {error}")
        return None


def _at_server(campaign: str, url: str, token: str, settings: Settings) -> dict[str, Any] | None:
    from mailblast.cli.queue_home import bring_home, look, store_for
    from mailblast.clock import SystemClock

    store = store_for(settings, url)
    try:
        try:
            found = bring_home(settings.home, campaign, store, SystemClock())
        except CampaignLockedError:
            # Its own run takes everything home.
            found = look(store, token)
    finally:
        store.close()
    if found.is_over:
        return None
    return {
        "url": store.shown,
        "queued": found.queued,
        "sending": found.sending,
        "state": found.state,
        "workers": found.workers,
    }


def words_of(told: dict[str, Any]) -> str:
    """Return the same in words."""
    if told["url"] is None:
        how = "paused; to go on: mailblast resume" if told["state"] == "paused" else "to deliver: mailblast worker"
        return f"queued {told['queued']:,} on this machine; {how}"
    state = "" if told["state"] == "active" else f", {told['state'] or 'not there any more'}"
    return (
        f"queued {told['queued']:,} at {told['url']}, {told['sending']:,} being sent, {told['workers']} workers{state}"
    )

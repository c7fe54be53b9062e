"""Where the queue is: an option, a setting, or this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mailblast.errors import UsageError

if TYPE_CHECKING:
    from mailblast.cli.settings import Settings

#: Stands for ``--queue`` without a value.
HERE = "here"
SCHEMES = ("redis://", "rediss://")


def queue_of(settings: Settings, flag: str | None) -> str | None:
    """Return the URL of the queue, ``HERE`` for this machine's own, None where nothing is to be queued.

    The setting tells where ``--queue`` without a value leads, and may hold the password that a command line may not.

    Raises:
        UsageError: The URL is none, or holds a password although it was typed.
    """
    configured = settings.text("MAILBLAST_QUEUE") or HERE
    if flag is None:
        return None
    if flag == HERE:
        return configured if configured == HERE else checked(configured, "MAILBLAST_QUEUE")
    url = checked(flag, "--queue")
    if "@" in url and ":" in url.split("://", 1)[1].rpartition("@")[0]:
        raise UsageError(
            "--queue holds a password, and command lines can be read by everybody on this machine.",
            fix="Set MAILBLAST_QUEUE to the whole URL in the environment or in .env, and give --queue without a value.",
        )
    if configured != HERE and _place(configured) == _place(url):
        return configured
    return url


def checked(url: str, name: str) -> str:
    """Return an URL that can be one of a queue.

    Raises:
        UsageError: It has another scheme.
    """
    if not url.startswith(SCHEMES):
        shown = url if "@" not in url else "…"
        raise UsageError(
            f"{name} '{shown}' is no queue.", fix="Write it like redis://host:6379/0, or rediss:// for TLS."
        )
    return url


def shown(url: str) -> str:
    """Return an URL without what is secret in it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2].partition('?')[0]}"


def _place(url: str) -> str:
    scheme, _, rest = url.partition("://")
    host, _, database = rest.rpartition("@")[2].partition("?")[0].partition("/")
    return f"{scheme}://{host if ':' in host else f'{host}:6379'}/{database or '0'}"

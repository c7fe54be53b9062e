"""What a campaign has left with a provider to be sent later: kept beside its journal, so that it can be called off."""

from __future__ import annotations

import contextlib
import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from mailblast.errors import JournalDamagedError, JournalError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mailblast.clock import Clock

FILE_NAME = "scheduled.json"
#: States of a batch: as it was scheduled, or what it was called off with last.
SCHEDULED, CANCELLED, PAUSED = "scheduled", "cancel", "pause"
STATES = frozenset({SCHEDULED, CANCELLED, PAUSED})


class Scheduled(NamedTuple):
    """Mail that a provider keeps until a time."""

    #: The provider's name for it.
    batch_id: str
    #: Unix seconds.
    send_at_s: int
    #: Name of the provider, as outcomes have it.
    provider: str
    #: The DSN without any secret, by which the provider can be asked again.
    via: str
    #: Unix seconds when it was scheduled.
    time_s: int
    state: str = SCHEDULED


@runtime_checkable
class SchedulingProvider(Protocol):
    """A provider that keeps mail until a time."""

    #: As ``Provider.name``.
    name: str

    async def issue_batch_id(self) -> str:
        """Return a new name for scheduled mail."""
        ...

    def schedule(self, send_at_s: int, batch_id: str) -> None:
        """Have everything sent from now on kept until a time."""
        ...


async def schedule_run(provider: SchedulingProvider, folder: Path, when_s: int, *, via: str, clock: Clock) -> Scheduled:
    """Have a provider keep what a run hands over until a time. The record is on file before anything can be sent.

    Args:
        provider: Open.
        folder: Of the campaign's journal.
        when_s: Unix seconds.
        via: The DSN without any secret.
        clock: The time of day.

    Raises:
        UsageError: The provider does not keep mail that long.
        ProviderError: It issued no batch id; nothing was sent.
        JournalError: The record cannot be written; nothing was sent.
    """
    batch_id = await provider.issue_batch_id()
    provider.schedule(when_s, batch_id)
    record = Scheduled(batch_id, when_s, provider.name, via, int(clock.now()))
    write_scheduled(folder, [*read_scheduled(folder), record])
    return record


def read_scheduled(folder: Path) -> list[Scheduled]:
    """Return what a campaign has scheduled, the first one first; empty where it never has.

    Raises:
        JournalDamagedError: The file is not what was written.
        JournalError: It cannot be read.
    """
    path = folder / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError:
        raise _damaged(path) from None
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}.", fix="Check its permissions.") from error
    try:
        return [_record(row) for row in json.loads(text)["scheduled"]]
    except (ValueError, KeyError, TypeError):
        raise _damaged(path) from None


def write_scheduled(folder: Path, records: Iterable[Scheduled]) -> None:
    """Replace what a campaign has scheduled: whole or not at all, for the owner's eyes only.

    Raises:
        JournalError: It cannot be written.
    """
    path, temporary = folder / FILE_NAME, folder / f"{FILE_NAME}.{os.getpid()}"
    document = {"scheduled": [_row(record) for record in records]}
    data = (json.dumps(document, indent=1) + "\n").encode()
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise JournalError(
            f"{path} cannot be written: {error.strerror}.", fix="Free some space, or check the permissions."
        ) from error


def shown_time(seconds: float) -> str:
    """Return a time as RFC 3339 in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _row(record: Scheduled) -> dict[str, str]:
    return {
        "batch_id": record.batch_id,
        "send_at": shown_time(record.send_at_s),
        "provider": record.provider,
        "via": record.via,
        "time": shown_time(record.time_s),
        "state": record.state,
    }


def _record(row: Any) -> Scheduled:
    values = [row[name] for name in ("batch_id", "provider", "via", "state")]
    if not all(isinstance(value, str) and value for value in values) or row["state"] not in STATES:
        raise ValueError(row)
    batch_id, provider, via, state = values
    send_at_s, time_s = (int(datetime.fromisoformat(row[name]).timestamp()) for name in ("send_at", "time"))
    return Scheduled(batch_id, send_at_s, provider, via, time_s, state)


def _damaged(path: Path) -> JournalDamagedError:
    return JournalDamagedError(
        f"{path} is damaged.",
        fix="Scheduled mail can still be called off at app.sendgrid.com; after that, remove the file.",
    )

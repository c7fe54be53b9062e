"""Where a campaign's files are, and what they may be called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailblast.errors import JournalError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
_SEGMENT = re.compile(r"segment-([0-9]+)-([0-9]+)\.(?:log|damaged)", re.ASCII)

_DATABASE = "journal.sqlite3"


class CampaignFolder:
    """The folder of one campaign.

    Args:
        home: Folder of all campaigns, such as ``.mailblast``.
        campaign: Letters, digits, ``.``, ``_`` and ``-``; at most 100, the first one not a dot.

    Raises:
        UsageError: The campaign's name cannot be a file name everywhere.
    """

    def __init__(self, home: Path, campaign: str) -> None:
        if _NAME.fullmatch(campaign) is None:
            raise UsageError(
                f"The campaign name {campaign[:120]!r} cannot be used.",
                fix="Use at most 100 letters, digits, '.', '_' and '-', not starting with a dot.",
            )
        self.home = home
        self.campaign = campaign
        self.path = home / campaign
        self.database = self.path / _DATABASE
        self.lock = self.path / "lock"

    def make(self) -> None:
        """Create what is missing, for the owner's eyes only.

        Raises:
            JournalError: A folder cannot be made or is none.
        """
        try:
            self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise JournalError(
                f"The journal folder {self.path} cannot be made: {error.strerror}.",
                fix="Check its permissions, or set MAILBLAST_HOME to a folder that can be written.",
            ) from error

    def segments(self) -> list[Path]:
        """Return the segment files, those of one process in the order they were written."""
        return self._matching("segment-*.log")

    def damaged_segments(self) -> list[Path]:
        """Return the segment files that the user has declared damaged by renaming them."""
        return self._matching("segment-*.damaged")

    def segments_of(self, pid: int) -> list[Path]:
        """Return the segment files of one process, in order."""
        return self._matching(f"segment-{pid}-*.log")

    def _matching(self, pattern: str) -> list[Path]:
        found = [(match, path) for path in self.path.glob(pattern) if (match := _SEGMENT.fullmatch(path.name))]
        return [path for _, path in sorted(found, key=lambda pair: (int(pair[0][1]), int(pair[0][2])))]


def segment_process(path: Path) -> int:
    """Return the process id that a segment file's name holds."""
    match = _SEGMENT.fullmatch(path.name)
    assert match is not None
    return int(match[1])


def unknown_campaign(home: Path, campaign: str) -> UsageError:
    """Return what to tell whoever names a campaign that has no journal under ``home``."""
    known = ", ".join(list_campaigns(home)[:10])
    return UsageError(
        f"There is no campaign {campaign} in {home}.",
        fix=f"Known ones: {known}." if known else "No run has been recorded there yet.",
    )


def list_campaigns(home: Path) -> tuple[str, ...]:
    """Return the names of the campaigns that have a journal under ``home``, sorted."""
    if not home.is_dir():
        return ()
    return tuple(
        sorted(path.parent.name for path in home.glob(f"*/{_DATABASE}") if _NAME.fullmatch(path.parent.name)),
    )

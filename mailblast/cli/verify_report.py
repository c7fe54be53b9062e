"""Findings as they come: counted, grouped for people, or streamed as JSON. No more is kept than is shown."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from mailblast.checks.check import Level

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mailblast.checks.check import Check
    from mailblast.cli.terminal import Terminal

#: Findings of one kind that are shown one by one; JSON has them all.
SHOWN_OF_A_KIND = 20
#: In the order in which the groups are shown.
_GROUPS = {
    "list": "List",
    "address": "Addresses",
    "dns": "Recipient domains",
    "template": "Template",
    "attachment": "Attachments",
    "message": "Message",
    "domain": "Sending domain",
    "provider": "Provider",
}


class VerifyReport:
    """Takes findings in and tells them.

    Args:
        terminal: Where to; as JSON, each finding is written as it comes.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._kept: dict[str, list[Check]] = {}
        self._counts: dict[str, int] = {}
        #: What stands before the next finding: the object begins with the first one, so that an error of usage before
        #: it can still be told as an object of its own.
        self._between = '{"checks": ['
        self.errors = 0
        self.warnings = 0

    def add_all(self, findings: Iterable[Check]) -> None:
        """Take in findings."""
        for check in findings:
            self.errors += check.level is Level.ERROR
            self.warnings += check.level is Level.WARNING
            if self._terminal.json_output:
                self._write(check)
                continue
            count = self._counts[check.id] = self._counts.get(check.id, 0) + 1
            if count <= SHOWN_OF_A_KIND:
                self._kept.setdefault(check.id, []).append(check)

    @property
    def begun(self) -> bool:
        """Whether anything was found yet."""
        return self._between == ", " or bool(self._counts)

    def close(self, *, complete: bool) -> None:
        """Tell the sum; for people, all that was found.

        Args:
            complete: Whether everything was looked at; else that is told.
        """
        if self._terminal.json_output:
            end = {"errors": self.errors, "warnings": self.warnings, "complete": complete}
            begin = "" if self._between == ", " else self._between
            sys.stdout.write(f"{begin}], {json.dumps(end)[1:]}\n")
            sys.stdout.flush()
            return
        for group, title in _GROUPS.items():
            kinds = [kind for kind in self._kept if kind.partition(".")[0] == group]
            if kinds:
                self._terminal.result(title)
            for kind in kinds:
                self._tell_kind(kind)
        if not complete:
            self._terminal.result("Interrupted: this is a part of what there is.")
        self._terminal.result(f"{self.errors:,} errors, {self.warnings:,} warnings")

    def _tell_kind(self, kind: str) -> None:
        kept = self._kept[kind]
        for check in kept:
            self._terminal.result(f"  {check.level.value:<8} {kind:<24} {_told(check)}")
        more = self._counts[kind] - len(kept)
        if more:
            self._terminal.result(f"  {'':<8} {kind:<24} … and {more:,} more; --json has them all")
        fix = next((check.fix for check in kept if check.fix and check.level is not Level.OK), "")
        if fix:
            self._terminal.result(f"  {'to do':<8} {kind:<24} {fix}")

    def _write(self, check: Check) -> None:
        value = {
            "id": check.id,
            "level": check.level.value,
            "subject": check.subject,
            "row": check.row,
            "message": check.message,
            "fix": check.fix,
        }
        sys.stdout.write(self._between + json.dumps(value, ensure_ascii=False))
        self._between = ", "


def _told(check: Check) -> str:
    if check.row is not None:
        return f"row {check.row}, {check.subject}: {check.message}"
    return check.message if check.message.startswith(check.subject) else f"{check.subject}: {check.message}"

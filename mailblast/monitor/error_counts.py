"""Errors by kind, in bounded memory."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from mailblast.monitor.snapshot import ErrorGroup

if TYPE_CHECKING:
    from mailblast.model.outcome import Outcome

#: Kinds remembered; beyond that the one not seen for the longest time is forgotten, with its count.
_KINDS = 64
_SHOWN = 10
_REASON_LENGTH = 300


class _Kind:
    __slots__ = ("count", "latest")

    def __init__(self, latest: Outcome) -> None:
        self.count = 1
        self.latest = latest


class ErrorCounts:
    """Counts errors of the same kind and keeps the latest of each."""

    def __init__(self) -> None:
        self._kinds: OrderedDict[tuple[int, str], _Kind] = OrderedDict()

    def note(self, outcome: Outcome) -> None:
        """Count one error."""
        # The enhanced code names the kind of an error; without one the text must do.
        key = (outcome.code, outcome.enhanced or _without_address(outcome))
        kind = self._kinds.get(key)
        if kind is not None:
            kind.count += 1
            kind.latest = outcome
            self._kinds.move_to_end(key)
            return
        self._kinds[key] = _Kind(outcome)
        if len(self._kinds) > _KINDS:
            self._kinds.popitem(last=False)

    def groups(self) -> tuple[ErrorGroup, ...]:
        """Return up to ten kinds, the most frequent first, the newer of equals first."""
        kinds = list(self._kinds.values())
        kinds.reverse()
        kinds.sort(key=lambda kind: kind.count, reverse=True)
        return tuple(_group(kind) for kind in kinds[:_SHOWN])


def _group(kind: _Kind) -> ErrorGroup:
    latest = kind.latest
    code = str(latest.code) if latest.code else ""
    reason = " ".join(part for part in (code, latest.enhanced, _without_address(latest)) if part)
    return ErrorGroup(reason or latest.state.value, kind.count, latest.address, latest.state, latest.provider)


def _without_address(outcome: Outcome) -> str:
    """Return the text without the address that it often quotes, which would make each error its own kind."""
    text = outcome.text[:_REASON_LENGTH]
    return text.replace(outcome.address, "...") if "@" in outcome.address else text

"""A run as lines of text or JSON, for files, pipes and cron."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from mailblast.model.outcome import State
from mailblast.monitor.display import SideStream
from mailblast.monitor.wording import duration_words, milliseconds_words, percent_words, printable, rate_words

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

    from mailblast.clock import Clock
    from mailblast.monitor.display import Level
    from mailblast.monitor.metrics import Monitor
    from mailblast.monitor.snapshot import Snapshot

#: States that are in the figures sent and failed.
_TOLD = frozenset({State.ACCEPTED, State.FAILED, State.DEFERRED, State.IN_DOUBT})

#: A first sign of life comes before the first full interval.
_FIRST_S = 10.0


class LogLines:
    """Writes one line at the start, after 10 s, then once an interval, and at the end.

    Each line has ``time`` (RFC 3339, UTC), ``level`` and ``event``: ``start``, ``progress``, ``alert``, ``end``,
    ``notice``, or what ``event()`` is given. As JSON:

        {"time": "2026-03-01T09:00:10Z", "level": "info", "event": "progress", "sent": 140, "failed": 2, ...}

    Args:
        monitor: Where the last figures come from.
        stream: Stays open; flushed after each line.
        format: ``text`` or ``json``.
        every_s: Seconds between two lines.
        clock: ``now`` dates the lines, ``monotonic`` paces them.
    """

    def __init__(
        self,
        monitor: Monitor,
        stream: TextIO,
        *,
        format: Literal["text", "json"],  # noqa: A002 - named as the option that sets it
        every_s: float = 60.0,
        clock: Clock,
    ) -> None:
        self._monitor = monitor
        self._stream = SideStream(stream)
        self._json = format == "json"
        self._every_s = every_s
        self._clock = clock
        self._started_s = 0.0
        self._next_s = 0.0
        self._running = False

    def start(self) -> None:
        """Write the first line."""
        self._running = True
        self._started_s = self._clock.monotonic()
        self._next_s = min(_FIRST_S, self._every_s)
        self.event("start")

    def refresh(self, snapshot: Snapshot) -> None:
        """Write a line of progress where one is due."""
        elapsed_s = self._clock.monotonic() - self._started_s
        if not self._running or elapsed_s < self._next_s:
            return
        self._next_s = (elapsed_s // self._every_s + 1) * self._every_s
        self._figures("progress", snapshot)

    def stop(self) -> None:
        """Write the last figures, with the errors by kind."""
        if not self._running:
            return
        self._running = False
        snapshot = self._monitor.snapshot()
        self._figures("end", snapshot)
        for group in snapshot.errors:
            self.event("errors", level="warning", count=group.count, reason=group.reason, latest_address=group.address)

    def notice(self, text: str, level: Level = "info") -> None:
        """Write something that the figures do not tell."""
        if self._json:
            self.event("notice", level=level, text=text)
        else:
            self._line(level, printable(text, 1_000))

    def alert(self, kind: str, text: str, level: Level = "warning") -> None:
        """Write that somebody should look."""
        self.event("alert", level=level, kind=kind, text=text)

    def event(self, name: str, *, level: Level = "info", **fields: object) -> None:
        """Write one event with its fields; values that JSON lacks are written as text.

        Args:
            name: One word.
            level: How much it matters.
            fields: Anything but ``time`` and ``event``, which stay what they are.
        """
        if self._json:
            self._object(name, level, fields)
        else:
            words = [name, *(f"{key}={_value(value)}" for key, value in fields.items())]
            self._line(level, " ".join(words))

    def _figures(self, name: str, snapshot: Snapshot) -> None:
        if self._json:
            self._object(name, "info", figures(snapshot))
        else:
            self._line("info", f"{name}: {sentence(snapshot, ended=name == 'end')}")

    def _object(self, name: str, level: Level, fields: Mapping[str, object]) -> None:
        head = {"time": self._time(), "level": level, "event": name}
        self._write(json.dumps({**head, **fields, **head}, default=str))

    def _line(self, level: Level, words: str) -> None:
        self._write(f"{self._time()} {level} {words}")

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()

    def _time(self) -> str:
        return datetime.fromtimestamp(self._clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def figures(snapshot: Snapshot) -> dict[str, object]:
    """Return the figures of a snapshot as JSON values."""
    return {
        "rows_read": snapshot.rows_read,
        "skipped": snapshot.skipped,
        "sent": snapshot.sent,
        "failed": snapshot.failed,
        "counts": {state.value: count for state, count in snapshot.counts.items()},
        "throughput_per_s": round(snapshot.throughput_per_s, 2),
        "rate_limit_per_s": snapshot.rate_limit_per_s,
        "waiting": snapshot.waiting,
        "error_rate": round(snapshot.error_rate, 4),
        "average_ms": round(snapshot.average_ms, 2),
        "p50_ms": round(snapshot.p50_ms, 2),
        "p95_ms": round(snapshot.p95_ms, 2),
        "providers": {
            each.name: {"sent": each.total_sent, "failed": each.total_failed, "average_ms": round(each.average_ms, 2)}
            for each in snapshot.providers
        },
        "uptime_s": round(snapshot.uptime_s, 1),
        "fraction": None if snapshot.fraction is None else round(snapshot.fraction, 4),
        "time_left_s": None if snapshot.time_left_s is None else round(snapshot.time_left_s),
        "grade": snapshot.grade.letter,
        "score": round(snapshot.grade.score, 1),
    }


def sentence(snapshot: Snapshot, *, ended: bool = False) -> str:
    """Return the figures of a snapshot as one line for people; no time is left of a run that has ended."""
    words = [f"{snapshot.sent:,} sent", f"{snapshot.failed:,} failed"]
    words += [f"{count:,} {state}" for state, count in snapshot.counts.items() if count and state not in _TOLD]
    words += [f"{snapshot.skipped:,} done before"] if snapshot.skipped else []
    words += [
        rate_words(snapshot.throughput_per_s),
        f"errors {percent_words(snapshot.error_rate)}",
        f"average {milliseconds_words(snapshot.average_ms)}",
        f"grade {snapshot.grade.letter}",
        f"running {duration_words(snapshot.uptime_s)}",
    ]
    if snapshot.fraction is not None:
        words.append(f"{percent_words(snapshot.fraction)} done")
    if snapshot.time_left_s and not ended:
        words.append(f"{duration_words(snapshot.time_left_s)} left")
    if snapshot.waiting:
        words.append(f"waiting: {printable(snapshot.waiting)}")
    return ", ".join(words)


def _value(value: object) -> str:
    """Return a value for a line of text, in quotes where it would not stand as one word."""
    text = printable(str(value), 500)
    plain = text and not any(letter in text for letter in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)

"""Where a campaign stands, on one page."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.model.outcome import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mailblast.journal.reading import JournalReader
    from mailblast.journal.runs import Run

#: Exit code of a run that the provider or the account stopped.
_STOPPED_BY_PROVIDER = 4
#: Exit codes of runs that came to their end, with or without refused recipients.
_ENDED = (0, 1)
_LEFT = (State.DEFERRED, State.UNSENT, State.SENDING)


class CampaignSummary(NamedTuple):
    """One campaign and its last run. Times are Unix seconds."""

    campaign: str
    #: ``running``: a run holds it. ``stopped``: the provider or the account ended the last run. ``complete``: the
    #: last run read the whole list and nobody is left. ``resumable``: somebody is, or may be.
    state: str
    #: Recipients and bad rows of the campaign: the sum of ``counts``.
    rows: int
    #: Of the campaign, all nine.
    counts: Mapping[State, int]
    #: Of the last run, all nine.
    this_run: Mapping[State, int]
    #: Read by the last run.
    this_run_rows: int
    provider: str
    started_s: float | None
    #: None while a run is going on, and where the last one was killed.
    finished_s: float | None
    #: Of the last run; None where it was killed.
    duration_s: float | None
    #: Accepted by the last run, per second.
    rate_per_s: float
    grade: str
    exit_code: int | None
    runs: int

    def to_json(self) -> dict[str, Any]:
        """Return the shape that users' scripts rely on: keys are added, never renamed. Times are RFC 3339 in UTC."""
        return {
            "campaign": self.campaign,
            "state": self.state,
            "rows": self.rows,
            "counts": {state.value: self.counts[state] for state in State},
            "this_run": {
                "rows": self.this_run_rows,
                "counts": {state.value: self.this_run[state] for state in State},
            },
            "provider": self.provider,
            "started": None if self.started_s is None else rfc3339(self.started_s),
            "finished": None if self.finished_s is None else rfc3339(self.finished_s),
            "duration_s": None if self.duration_s is None else round(self.duration_s, 3),
            "rate_per_s": round(self.rate_per_s, 3),
            "grade": self.grade or None,
            "exit_code": self.exit_code,
            "runs": self.runs,
        }


def summarise(reader: JournalReader, *, now_s: float | None = None) -> CampaignSummary:
    """Return where a campaign stands.

    Args:
        reader: Open; stays open.
        now_s: Unix seconds, for the duration of a run that is going on; None leaves it out.
    """
    counts = reader.counts()
    runs = reader.runs()
    last = runs[-1] if runs else None
    this_run = last.counts if last else dict.fromkeys(State, 0)
    duration_s = None
    if last is not None:
        end_s = last.finished_s if last.finished_s is not None else now_s if reader.running else None
        duration_s = None if end_s is None else max(end_s - last.started_s, 0.0)
    return CampaignSummary(
        campaign=reader.campaign,
        state=_state(counts, last, running=reader.running),
        rows=sum(counts.values()),
        counts=counts,
        this_run=this_run,
        this_run_rows=last.rows if last else 0,
        provider=last.provider if last else "",
        started_s=last.started_s if last else None,
        finished_s=last.finished_s if last else None,
        duration_s=duration_s,
        rate_per_s=this_run[State.ACCEPTED] / duration_s if duration_s else 0.0,
        grade=last.grade if last else "",
        exit_code=last.exit_code if last else None,
        runs=len(runs),
    )


def rfc3339(time_s: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, with milliseconds where there are any."""
    precision = "seconds" if time_s == int(time_s) else "milliseconds"
    return datetime.fromtimestamp(time_s, UTC).isoformat(timespec=precision).replace("+00:00", "Z")


def _state(counts: Mapping[State, int], last: Run | None, *, running: bool) -> str:
    if running:
        return "running"
    if last is not None and last.exit_code == _STOPPED_BY_PROVIDER:
        return "stopped"
    if last is None or last.exit_code not in _ENDED or not last.whole_list or any(counts[state] for state in _LEFT):
        return "resumable"
    return "complete"

"""What the user sees of a run: the display while it goes on, the words and the JSON at its end."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mailblast.cli.watch import Watch, WatchSettings
from mailblast.errors import InputError, JournalError
from mailblast.journal.reading import JournalReader
from mailblast.model.outcome import State
from mailblast.report.summary import summarise

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from mailblast.cli.terminal import Terminal
    from mailblast.clock import Clock
    from mailblast.executors.run import RunResult
    from mailblast.monitor.display import Display
    from mailblast.monitor.metrics import Monitor, Snapshot

REFRESH_S = 1.0
#: Which states are worth a line of advice, and the advice.
ADVICE = {
    State.IN_DOUBT: "may or may not have it; held. To send them again, byte for byte: --resend-in-doubt",
    State.FAILED: "refused for good; tried again only with --retry-failed",
    State.DEFERRED: "refused for now; run the same command again to try them",
    State.UNSENT: "not sent yet; run the same command again to continue",
    State.INVALID: "rows that cannot be sent",
}


@contextlib.asynccontextmanager
async def shown(
    terminal: Terminal,
    monitor: Monitor,
    on_refresh: Callable[[], None],
    *,
    title: str,
    provider: str,
    json_log: bool,
    clock: Clock,
    watching: WatchSettings,
) -> AsyncIterator[Watch]:
    """Show the run's progress on stderr while the block runs, as a dashboard or lines, and have it watched.

    ``on_refresh`` is called about once a second as well.

    Raises:
        UsageError: Somebody who should be told cannot be.
    """
    display = _display(terminal, monitor, title=title, provider=provider, json_log=json_log, clock=clock)
    watch = Watch(watching, monitor, display, title)
    display.start()
    refreshing = asyncio.create_task(_refresh(monitor, display, watch, on_refresh))
    # Lines of text and quiet runs have no form that words of others would break.
    has_form = (terminal.live or json_log) and not terminal.quiet
    try:
        with terminal.beside(display.notice) if has_form else contextlib.nullcontext():
            yield watch
    finally:
        refreshing.cancel()
        display.stop()
        watch.close()


async def _refresh(monitor: Monitor, display: Display, watch: Watch, on_refresh: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(REFRESH_S)
        # A full disk is told by the run itself, when it cannot record an outcome.
        with contextlib.suppress(JournalError):
            on_refresh()
        # One for all: with many domains it takes some milliseconds.
        snapshot = monitor.snapshot()
        display.refresh(snapshot)
        watch.refresh(snapshot)


def _display(
    terminal: Terminal, monitor: Monitor, *, title: str, provider: str, json_log: bool, clock: Clock
) -> Display:
    from mailblast.monitor.display import Quiet

    if terminal.quiet:
        return Quiet(sys.stderr)
    if terminal.live and not json_log:
        from rich.console import Console

        from mailblast.monitor.dashboard import Dashboard

        return Dashboard(monitor, Console(stderr=True), title=title, provider=provider)
    from mailblast.monitor.log_lines import LogLines

    return LogLines(monitor, sys.stderr, format="json" if json_log else "text", clock=clock)


def tell(
    terminal: Terminal,
    home: Path,
    campaign: str,
    result: RunResult,
    snapshot: Snapshot,
    code: int,
    *,
    more: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Tell how a run ended: a few lines, or the JSON object, which has ``more`` in it as well."""
    if terminal.json_output:
        terminal.json({**as_json(home, campaign, result, snapshot, code), **more})
    else:
        for line in lines(campaign, result, snapshot):
            terminal.result(line)
    if result.stopped is not None:
        terminal.warn(f"mailblast: {result.stopped}")


def lines(campaign: str, result: RunResult, snapshot: Snapshot) -> list[str]:
    """Return the words for a run's end."""
    duration = max(result.finished_s - result.started_s, 0.001)
    accepted = result.counts[State.ACCEPTED]
    rate = f", {accepted / duration:,.0f}/s, grade {snapshot.grade.letter}" if accepted else ""
    text = [f"{campaign}: {result.rows:,} rows in {duration:,.1f} s{rate}"]
    text += [
        f"  {state.value:<10} {count:>9,}  {ADVICE.get(state, '')}".rstrip()
        for state, count in result.counts.items()
        if count
    ]
    if result.skipped:
        held = f", of these {result.held:,} in doubt and held" if result.held else ""
        text.append(
            f"  {'skipped':<10} {result.skipped:>9,}  nothing to do: settled before, or not in the sample{held}"
        )
    if not result.rows:
        text.append("  The list has no rows.")
    if result.held or any(result.counts[state] for state in ADVICE if state is not State.UNSENT):
        text.append(f"Who and why: mailblast failures {campaign}")
    if isinstance(result.stopped, InputError):
        text.append("To continue: correct the list, then run the same command again.")
    elif result.stopped is not None:
        text.append("To continue: run the same command again.")
    return text


def as_json(home: Path, campaign: str, result: RunResult, snapshot: Snapshot, code: int) -> dict[str, Any]:
    """Return the JSON object of a run: the campaign's state, and this run's share of it."""
    with JournalReader(home, campaign) as reader:
        document = summarise(reader).to_json()
    duration = result.finished_s - result.started_s
    document["grade"] = snapshot.grade.letter if snapshot.attempted else None
    document["exit_code"] = int(code)
    document["this_run"] = {
        "rows": result.rows,
        "skipped": result.skipped,
        "held": result.held,
        "counts": counts_json(result.counts),
        "duration_s": round(duration, 3),
        "rate_per_s": round(result.counts[State.ACCEPTED] / duration, 1) if duration > 0 else 0.0,
        "stopped": str(result.stopped) if result.stopped else None,
    }
    return document


def counts_json(counts: Mapping[State, int]) -> dict[str, int]:
    """Return counts with all nine names."""
    return {state.value: counts.get(state, 0) for state in State}

"""``mailblast cancel``: take back, hold, or let go what a provider keeps to be sent later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from mailblast.cli import options
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.settings import Settings
from mailblast.cli.terminal import Terminal
from mailblast.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from mailblast.cli.scheduled import Scheduled
    from mailblast.clock import Clock

#: What was done, by the state that it leads to.
DONE = {"cancel": "taken back", "pause": "held", "scheduled": "let go again"}


class CallingOff(Protocol):
    """A provider whose scheduled mail can be called off."""

    async def cancel(self, batch_id: str, status: str = "cancel", *, send_at_s: int | None = None) -> None:
        """Take back or hold a batch."""
        ...

    async def resume(self, batch_id: str) -> None:
        """Let a batch go that was held."""
        ...


def cancel(
    campaign: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="The campaign; 'status' lists them.")],
    pause: Annotated[bool, typer.Option("--pause", help="Hold it, until --resume.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let go what was held or taken back.")] = False,
    via: Annotated[
        str | None, typer.Option("--via", metavar="DSN", help="The provider, where it is reached otherwise by now.")
    ] = None,
    queue: options.Queue = None,
    json_output: options.JsonOutput = False,
    debug: options.Debug = False,
) -> int:
    """Take back what is queued, or was scheduled with --at and is not due yet.

    SendGrid wants 10 minutes for what is scheduled, and holds at most 10 batches at once. Of what is queued, messages
    in flight are finished.

    Examples:

      mailblast cancel welcome-list

      mailblast cancel welcome-list --pause
    """
    from mailblast.cli.queue_control import is_queue_campaign, set_state
    from mailblast.clock import SystemClock
    from mailblast.journal.folder import CampaignFolder, unknown_campaign

    if pause and resume:
        raise UsageError("--pause and --resume are opposites.", fix="Give one of the two.")
    settings, terminal = Settings.load(), Terminal(json_output=json_output)
    folder = CampaignFolder(settings.home, campaign).path
    if is_queue_campaign(campaign, queue, settings):
        state = "active" if resume else "paused" if pause else "cancelled"
        return set_state(campaign, queue, state, settings, terminal)
    if not folder.exists():
        raise unknown_campaign(settings.home, campaign)
    work = CallOff(folder, campaign, settings, SystemClock(), via=via)
    rows = work.run("scheduled" if resume else "pause" if pause else "cancel")
    failed = any(row["error"] for row in rows)
    code = ExitCode.INCOMPLETE if failed else ExitCode.OK
    if json_output:
        terminal.json({"campaign": campaign, "batches": rows, "exit_code": code})
        return code
    for row in rows:
        if row["error"]:
            terminal.warn(f"mailblast: {row['error']}")
        else:
            terminal.result(f"Batch {row['batch_id']}, due {row['send_at']}: {DONE[row['state']]}.")
    if not (resume or pause or failed):
        terminal.result(
            "Its recipients stay on record as accepted and get nothing. To mail them after all, give the mailing a "
            f"name of its own, such as --campaign {campaign}-2."
        )
    return code


class CallOff:
    """One campaign's scheduled batches.

    Args:
        folder: Of its journal.
        campaign: Its name.
        settings: The provider's key is among them.
        clock: The time of day.
        via: Instead of the DSN on record.
    """

    def __init__(self, folder: Path, campaign: str, settings: Settings, clock: Clock, *, via: str | None) -> None:
        self._folder = folder
        self._campaign = campaign
        self._settings = settings
        self._clock = clock
        self._via = via

    def run(self, state: str) -> list[dict[str, Any]]:
        """Bring every batch that is not due yet to a state.

        What was done is on file after each batch.

        Args:
            state: ``cancel``, ``pause``, or ``scheduled`` to let go.

        Returns:
            A row for each batch, with why it failed where it did.

        Raises:
            UsageError: There is nothing to call off.
            ProviderError: The provider cannot be asked.
        """
        from mailblast.cli import loop
        from mailblast.cli.scheduled import read_scheduled, write_scheduled

        records = read_scheduled(self._folder)
        waiting = self._waiting(records, state)
        rows = []
        for index in waiting:
            error = ""
            try:
                loop.run(self._bring(records[index], state))
            except UsageError as refusal:
                error = str(refusal)
            else:
                records[index] = records[index]._replace(state=state)
                write_scheduled(self._folder, records)
            rows.append(_row(records[index], error))
        return rows

    def _waiting(self, records: list[Scheduled], state: str) -> list[int]:
        from mailblast.cli.scheduled import shown_time

        if not records:
            raise UsageError(
                f"Campaign '{self._campaign}' has nothing scheduled.",
                fix="Only runs with --at to SendGrid leave anything there; a run that waits is ended with Ctrl-C.",
            )
        now_s = self._clock.now()
        due = [index for index, record in enumerate(records) if record.send_at_s > now_s]
        if not due and state != "scheduled":
            last = shown_time(max(record.send_at_s for record in records))
            raise UsageError(f"What '{self._campaign}' had scheduled was due {last}: it is on its way.")
        # Held mail can be let go after its time, too.
        held = [index for index, record in enumerate(records) if state == "scheduled" and record.state == "pause"]
        waiting = sorted(index for index in {*due, *held} if records[index].state != state)
        if not waiting:
            raise UsageError(f"'{self._campaign}' has no batch that could be {DONE[state]}.")
        return waiting

    async def _bring(self, record: Scheduled, state: str) -> None:
        provider = self._provider(record)
        if state == "scheduled":
            await provider.resume(record.batch_id)
        else:
            await provider.cancel(record.batch_id, state, send_at_s=record.send_at_s)

    def _provider(self, record: Scheduled) -> CallingOff:
        from mailblast.providers.dsn import parse_dsn
        from mailblast.providers.registry import make_provider
        from mailblast.providers.sendgrid.provider import SendgridProvider

        provider = make_provider(parse_dsn(self._via or record.via), self._settings.values, clock=self._clock)
        if not isinstance(provider, SendgridProvider):
            raise UsageError(f"{provider.name} keeps no mail for later.", fix="Give --via sendgrid.")
        return provider


def _row(record: Scheduled, error: str) -> dict[str, Any]:
    from mailblast.cli.scheduled import shown_time

    return {
        "batch_id": record.batch_id,
        "send_at": shown_time(record.send_at_s),
        "provider": record.provider,
        "state": record.state,
        "error": error,
    }

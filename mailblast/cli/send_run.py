"""What ``send`` does once its options are read."""

from __future__ import annotations

import contextlib
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailblast.cli import campaigns, loop, outcome_text
from mailblast.cli.at import keeps_mail, read_at, wait_for
from mailblast.cli.attachments import load_attachments
from mailblast.cli.authenticity import authenticity_of, signed_by_us
from mailblast.cli.exit_codes import exit_code_of, exit_code_of_counts
from mailblast.cli.scheduled import SchedulingProvider, schedule_run
from mailblast.clock import SystemClock
from mailblast.errors import CampaignLockedError, MailblastError
from mailblast.executors.once import StandIn, deliver_claims
from mailblast.executors.run import RunResult
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.message.builder import MessageBuilder
from mailblast.model.campaign import Campaign
from mailblast.model.outcome import State, unsent
from mailblast.monitor.metrics import Monitor
from mailblast.recipients.suppression import SuppressionList
from mailblast.render.inline_images import with_inline_images
from mailblast.render.template import fingerprint

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mailblast.cli.attachments import Attached, AttachOptions
    from mailblast.cli.authenticity import AuthenticityOptions
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.clock import Clock
    from mailblast.model.campaign import Template
    from mailblast.model.outcome import Outcome
    from mailblast.model.recipient import Claim, Recipient
    from mailblast.monitor.metrics import Snapshot
    from mailblast.providers.provider import Provider

CAMPAIGN = "send"
#: Several ``send`` at once share one journal; each waits so long for the others.
LOCK_WAIT_S = 60.0
LOCK_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class SendOptions:
    """The options of ``send`` but the message and its recipients."""

    sender: str | None
    reply_to: str | None
    via: tuple[str, ...]
    token_command: str | None
    at: str | None
    attach: AttachOptions
    authenticity: AuthenticityOptions


def run_send(
    recipients: Sequence[Recipient], template: Template, options: SendOptions, settings: Settings, terminal: Terminal
) -> int:
    """Send one message to each recipient, record it, tell it, and return the exit code."""
    with contextlib.ExitStack() as stack:
        attached = load_attachments(options.attach, settings, terminal, stack)
        pictures = with_inline_images(template)
        attached = attached._replace(attachments=(*pictures.attachments, *attached.attachments))
        sending = _Sending(pictures.template, attached, options, settings, terminal)
        return sending.run(recipients)


class _Sending:
    """A message whose parts are all there.

    Raises:
        MailblastError: A part cannot be used; nothing was sent, and nothing recorded.
    """

    def __init__(
        self, template: Template, attached: Attached, options: SendOptions, settings: Settings, terminal: Terminal
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._clock = SystemClock()
        flags = campaigns.TransportFlags(connections=1, token_command=options.token_command)
        self._transports = campaigns.transports_of(settings, options.via, flags, self._clock)
        transport = self._transports[0]
        #: Unix seconds when it is to go; None for now.
        self._when_s = read_at(options.at, self._transports, self._clock)
        sender = campaigns.sender_of(settings, options.sender, template, transport.provider)
        reply_to = campaigns.reply_to_of(settings, options.reply_to, template)
        trust = authenticity_of(options.authenticity, settings, signed_by_us(self._transports), sender.address)
        self._keys = trust.keys
        self._campaign = trust.on(attached.on(Campaign(CAMPAIGN, "check", template, sender, reply_to)))
        MessageBuilder(self._campaign, self._keys)
        for notice in (*campaigns.show_notices(settings, transport), *trust.notices):
            terminal.warn(f"mailblast: {notice}")

    def run(self, recipients: Sequence[Recipient]) -> int:
        """Send, record and tell; return the exit code."""
        clock, transports = self._clock, self._transports
        if self._when_s is not None and not keeps_mail(transports[0].provider):
            wait_for(self._when_s, self._terminal, clock)
        monitor = Monitor(clock)
        with contextlib.closing(open_journal(self._settings.home, clock)) as journal:
            names = ", ".join(dict.fromkeys(each.provider.name for each in transports))
            journal.begin_run(provider=names, template_fingerprint=fingerprint(self._campaign.template))
            claims = journal.claim(recipients, ClaimPolicy())
            journal.record_faults(claims.duplicates)
            started_s = clock.now()
            outcomes, stopped = self._deliver(claims.claims, journal, monitor)
            counts = dict.fromkeys(State, 0)
            for outcome in (*outcomes, *claims.duplicates):
                counts[outcome.state] += 1
            result = RunResult(len(recipients), claims.skipped, claims.held, counts, started_s, clock.now(), stopped)
            code = exit_code_of(stopped) if stopped else exit_code_of_counts(counts, held=claims.held)
            snapshot = monitor.snapshot()
            journal.end_run(counts=counts, rows=result.rows, exit_code=code, grade=snapshot.grade.letter)
        self._tell(outcomes, result, snapshot, code)
        return code

    def _tell(self, outcomes: Sequence[Outcome], result: RunResult, snapshot: Snapshot, code: int) -> None:
        terminal = self._terminal
        for outcome in outcomes:
            said = outcome.provider_id or outcome.text
            terminal.result(f"{outcome.state.value} {outcome.address} {said}".rstrip())
        if result.skipped:
            terminal.result("skipped: this idempotency key was used before")
        if terminal.json_output:
            document = outcome_text.as_json(self._settings.home, CAMPAIGN, result, snapshot, code)
            terminal.json({**document, "messages": [_as_json(outcome) for outcome in outcomes]})
        if result.stopped is not None:
            terminal.warn(f"mailblast: {result.stopped}")

    def _deliver(
        self, claims: Sequence[Claim], journal: Journal, monitor: Monitor
    ) -> tuple[list[Outcome], MailblastError | None]:
        """Return the outcomes, and what stopped the delivery; what could not even begin is unsent."""
        if not claims:
            return [], None
        clock = self._clock
        seen: dict[int, Outcome] = {}

        def note(outcome: Outcome) -> None:
            seen[outcome.id] = outcome
            monitor.record(outcome)

        first, *others = [StandIn(each.provider, functools.partial(each.make_pace, clock)) for each in self._transports]
        with SuppressionList(self._settings.home) as suppressions:
            work = deliver_claims(
                claims,
                self._campaign._replace(token=journal.token),
                *first,
                journal,
                clock,
                note,
                keys=self._keys,
                suppressions=suppressions,
                stand_ins=others,
                on_switch=lambda switch: self._terminal.warn(f"mailblast: {switch}"),
                on_open=functools.partial(self._schedule, journal.folder),
            )
            try:
                return loop.run(work)
            except MailblastError as error:
                # Who is on the do-not-mail list has an outcome by now.
                left = [unsent(claim, clock.now()) for claim in claims if claim.id not in seen]
                journal.fold(left)
                return [*seen.values(), *left], error

    async def _schedule(self, folder: Path, provider: Provider) -> None:
        """Have a provider that can do so keep the message until its time."""
        if self._when_s is not None and isinstance(provider, SchedulingProvider):
            via = self._transports[0].dsn.shown()
            await schedule_run(provider, folder, self._when_s, via=via, clock=self._clock)


def _as_json(outcome: Outcome) -> dict[str, str | int]:
    return {
        "address": outcome.address,
        "outcome": outcome.state.value,
        "message_id": outcome.message_id,
        "provider_id": outcome.provider_id,
        "code": outcome.code,
        "reason": outcome.text,
    }


def open_journal(home: Path, clock: Clock) -> Journal:
    """Open the journal that all ``send`` share; wait for others to finish theirs.

    Raises:
        CampaignLockedError: Another one holds it for longer than a minute.
    """
    deadline = clock.monotonic() + LOCK_WAIT_S
    while True:
        try:
            return Journal.open(home, CAMPAIGN, clock=clock)
        except CampaignLockedError:
            if clock.monotonic() > deadline:
                raise
            time.sleep(LOCK_POLL_S)

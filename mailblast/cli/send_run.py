"""What ``send`` does once its options are read."""

from __future__ import annotations

import contextlib
import functools
import time
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
    from mailblast.cli.campaigns import Transport
    from mailblast.cli.settings import Settings
    from mailblast.cli.terminal import Terminal
    from mailblast.clock import Clock
    from mailblast.model.campaign import Keys, Template
    from mailblast.model.outcome import Outcome
    from mailblast.model.recipient import Claim, Recipient
    from mailblast.providers.provider import Provider

CAMPAIGN = "send"
#: Several ``send`` at once share one journal; each waits so long for the others.
LOCK_WAIT_S = 60.0
LOCK_POLL_S = 0.05


def run_send(
    recipients: Sequence[Recipient],
    template: Template,
    settings: Settings,
    terminal: Terminal,
    *,
    sender: str | None,
    reply_to: str | None,
    via: Sequence[str],
    token_command: str | None,
    at: str | None,
    attach: AttachOptions,
    authenticity: AuthenticityOptions,
) -> int:
    """Send one message to each recipient, record it, tell it, and return the exit code."""
    with contextlib.ExitStack() as stack:
        attached = load_attachments(attach, settings, terminal, stack)
        pictures = with_inline_images(template)
        attached = attached._replace(attachments=(*pictures.attachments, *attached.attachments))
        return _run_send(
            recipients,
            pictures.template,
            settings,
            terminal,
            attached,
            authenticity,
            sender=sender,
            reply_to=reply_to,
            via=via,
            token_command=token_command,
            at=at,
        )


def _run_send(
    recipients: Sequence[Recipient],
    template: Template,
    settings: Settings,
    terminal: Terminal,
    attached: Attached,
    authenticity: AuthenticityOptions,
    *,
    sender: str | None,
    reply_to: str | None,
    via: Sequence[str],
    token_command: str | None,
    at: str | None,
) -> int:
    clock = SystemClock()
    flags = campaigns.TransportFlags(connections=1, token_command=token_command)
    transports = campaigns.transports_of(settings, via, flags, clock)
    transport = transports[0]
    when_s = read_at(at, transports, clock)
    mailbox = campaigns.sender_of(settings, sender, template, transport.provider)
    answers = campaigns.reply_to_of(settings, reply_to, template)
    trust = authenticity_of(authenticity, settings, signed_by_us(transports), mailbox.address)
    base = trust.on(attached.on(Campaign(CAMPAIGN, "check", template, mailbox, answers)))
    # Before anything is recorded.
    MessageBuilder(base, trust.keys)
    for notice in (*campaigns.show_notices(settings, transport), *trust.notices):
        terminal.warn(f"mailblast: {notice}")
    if when_s is not None and not keeps_mail(transport.provider):
        wait_for(when_s, terminal, clock)
    monitor = Monitor(clock)
    delivering = functools.partial(_deliver, transports=transports, settings=settings, terminal=terminal)
    with contextlib.closing(open_journal(settings.home, clock)) as journal:
        names = ", ".join(dict.fromkeys(each.provider.name for each in transports))
        journal.begin_run(provider=names, template_fingerprint=fingerprint(template))
        claims = journal.claim(recipients, ClaimPolicy())
        journal.record_faults(claims.duplicates)
        campaign = base._replace(token=journal.token)
        started_s = clock.now()
        outcomes, stopped = delivering(claims.claims, campaign, trust.keys, journal, clock, monitor, when_s)
        counts = dict.fromkeys(State, 0)
        for outcome in (*outcomes, *claims.duplicates):
            counts[outcome.state] += 1
        result = RunResult(len(recipients), claims.skipped, claims.held, counts, started_s, clock.now(), stopped)
        code = exit_code_of(stopped) if stopped else exit_code_of_counts(counts, held=claims.held)
        snapshot = monitor.snapshot()
        journal.end_run(counts=counts, rows=result.rows, exit_code=code, grade=snapshot.grade.letter)
    for outcome in outcomes:
        said = outcome.provider_id or outcome.text
        terminal.result(f"{outcome.state.value} {outcome.address} {said}".rstrip())
    if claims.skipped:
        terminal.result("skipped: this idempotency key was used before")
    if terminal.json_output:
        document = outcome_text.as_json(settings.home, CAMPAIGN, result, snapshot, code)
        document["messages"] = [
            {
                "address": outcome.address,
                "outcome": outcome.state.value,
                "message_id": outcome.message_id,
                "provider_id": outcome.provider_id,
                "code": outcome.code,
                "reason": outcome.text,
            }
            for outcome in outcomes
        ]
        terminal.json(document)
    if stopped is not None:
        terminal.warn(f"mailblast: {stopped}")
    return code


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


def _deliver(
    claims: Sequence[Claim],
    campaign: Campaign,
    keys: Keys,
    journal: Journal,
    clock: Clock,
    monitor: Monitor,
    when_s: int | None,
    *,
    transports: Sequence[Transport],
    settings: Settings,
    terminal: Terminal,
) -> tuple[list[Outcome], MailblastError | None]:
    """Return the outcomes, and what stopped the delivery; what could not even begin is unsent."""
    if not claims:
        return [], None

    async def on_open(provider: Provider) -> None:
        if when_s is not None and isinstance(provider, SchedulingProvider):
            await schedule_run(provider, journal.folder, when_s, via=transports[0].dsn.shown(), clock=clock)

    seen: dict[int, Outcome] = {}

    def note(outcome: Outcome) -> None:
        seen[outcome.id] = outcome
        monitor.record(outcome)

    first, *others = [StandIn(each.provider, functools.partial(each.make_pace, clock)) for each in transports]
    with SuppressionList(settings.home) as suppressions:
        work = deliver_claims(
            claims,
            campaign,
            *first,
            journal,
            clock,
            note,
            keys=keys,
            suppressions=suppressions,
            stand_ins=others,
            on_switch=lambda switch: terminal.warn(f"mailblast: {switch}"),
            on_open=on_open,
        )
        try:
            return loop.run(work)
        except MailblastError as error:
            # Who is on the do-not-mail list has an outcome by now.
            left = [unsent(claim, clock.now()) for claim in claims if claim.id not in seen]
            journal.fold(left)
            return [*seen.values(), *left], error

"""What ``send`` does once its options are read."""

from __future__ import annotations

import contextlib
import functools
import time
from typing import TYPE_CHECKING

from mailblast.cli import campaigns, loop, outcome_text
from mailblast.cli.attachments import load_attachments
from mailblast.cli.authenticity import authenticity_of
from mailblast.cli.exit_codes import exit_code_of, exit_code_of_counts
from mailblast.clock import SystemClock
from mailblast.errors import CampaignLockedError, MailblastError
from mailblast.executors.once import deliver_claims
from mailblast.executors.run import RunResult
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.message.builder import MessageBuilder
from mailblast.model.campaign import Campaign
from mailblast.model.outcome import State, unsent
from mailblast.monitor.metrics import Monitor
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
    via: str | None,
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
    via: str | None,
) -> int:
    clock = SystemClock()
    transport = campaigns.transport_of(
        settings, via, connections=1, messages_per_connection=None, rates=None, clock=clock
    )
    mailbox = campaigns.sender_of(settings, sender, template, transport.provider)
    answers = campaigns.reply_to_of(settings, reply_to, template)
    trust = authenticity_of(authenticity, settings, transport, mailbox.address)
    base = trust.on(attached.on(Campaign(CAMPAIGN, "check", template, mailbox, answers)))
    # Before anything is recorded.
    MessageBuilder(base, trust.keys)
    for notice in (*campaigns.show_notices(settings, transport), *trust.notices):
        terminal.warn(f"mailblast: {notice}")
    monitor = Monitor(clock)
    with contextlib.closing(open_journal(settings.home, clock)) as journal:
        journal.begin_run(provider=transport.provider.name, template_fingerprint=fingerprint(template))
        claims = journal.claim(recipients, ClaimPolicy())
        journal.record_faults(claims.duplicates)
        campaign = base._replace(token=journal.token)
        started_s = clock.now()
        outcomes, stopped = _deliver(claims.claims, campaign, trust.keys, transport, journal, clock, monitor)
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
    transport: Transport,
    journal: Journal,
    clock: Clock,
    monitor: Monitor,
) -> tuple[list[Outcome], MailblastError | None]:
    """Return the outcomes, and what stopped the delivery; what could not even begin is unsent."""
    if not claims:
        return [], None
    make_pace = functools.partial(transport.make_pace, clock)
    work = deliver_claims(claims, campaign, transport.provider, make_pace, journal, clock, monitor.record, keys=keys)
    try:
        return loop.run(work)
    except MailblastError as error:
        outcomes = [unsent(claim, clock.now()) for claim in claims]
        journal.fold(outcomes)
        return outcomes, error

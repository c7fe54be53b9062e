"""``bulk --dry-run``: everything but the delivery. Contacts nobody, writes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailblast.cli.cost_of_run import RunCost, cost_of_run
from mailblast.cli.exit_codes import ExitCode
from mailblast.cli.outcome_text import counts_json
from mailblast.delivery.composer import Composer, ContentChangedError
from mailblast.delivery.intake import Intake
from mailblast.errors import ListError, RowFaultError
from mailblast.journal.journal import Journal
from mailblast.lists.chunks import chunks
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailblast.cli.bulk_job import BulkJob
    from mailblast.model.message import Message
    from mailblast.model.recipient import Batch

SHOWN_MESSAGES = 3
SHOWN_FAULTS = 10
CHUNK = 100


class Rehearsal:
    """Go through a list as a run would: claim, render, build, count.

    Args:
        job: Whose list and template.
        journal: A rehearsal's journal: answers like the real one, keeps nothing.
    """

    def __init__(self, job: BulkJob, journal: Journal) -> None:
        self._job = job
        self._journal = journal
        self._composer = Composer(job.campaign(journal), job.keys)
        self._intake = Intake(
            journal,
            job.options.policy,
            job.options.selection,
            batch_size=job.options.batch_size,
            clock=job.clock,
            on_outcome=self._count,
        )
        self.counts = dict.fromkeys(State, 0)
        self.samples: list[Message] = []
        self.faults: list[Outcome] = []
        self.size_bytes = 0
        #: Of these, attachments as encoded.
        self.attached_bytes = 0
        self.broken: ListError | None = None

    @property
    def rows(self) -> int:
        """Rows read."""
        return self._intake.rows

    @property
    def skipped(self) -> int:
        """Rows that a run would skip."""
        return self._intake.skipped

    @property
    def held(self) -> int:
        """Of these, how many are in doubt."""
        return self._intake.held

    def run(self) -> None:
        """Read the list to its end, its limit, or the row that breaks it."""
        try:
            for rows in chunks(self._job.recipients, CHUNK):
                for batch in self._intake.take(rows):
                    self._try(batch)
                if self._intake.full:
                    break
        except ListError as error:
            self.broken = error
        for batch in self._intake.rest():
            self._try(batch)

    def _try(self, batch: Batch) -> None:
        self._journal.release(batch.claims)
        suppressed = self._job.suppressions.suppressed([claim.recipient.address for claim in batch.claims])
        for claim in batch.claims:
            recipient = claim.recipient
            if recipient.address in suppressed:
                # As a run does: who may have it already stays in doubt.
                self.counts[State.SUPPRESSED if claim.digest is None else State.IN_DOUBT] += 1
                continue
            try:
                message = self._composer.compose(claim)
            except RowFaultError as fault:
                reason = f"column '{fault.column}': {fault.reason}" if fault.column else fault.reason
                now = self._job.clock.now()
                self._count(
                    Outcome(claim.id, recipient.key, recipient.address, recipient.row, State.INVALID, now, text=reason)
                )
            except ContentChangedError:
                self.counts[State.IN_DOUBT] += 1
            else:
                self.counts[State.UNSENT] += 1
                self.size_bytes += message.size
                self.attached_bytes += sum(map(len, message.parts[1::2]))
                if len(self.samples) < SHOWN_MESSAGES:
                    self.samples.append(message)

    def _count(self, outcome: Outcome) -> None:
        self.counts[outcome.state] += 1
        if outcome.state is State.INVALID and len(self.faults) < SHOWN_FAULTS:
            self.faults.append(outcome)


def rehearse(job: BulkJob) -> int:
    """Run the rehearsal, tell what a run would do, and return the exit code."""
    journal = Journal.rehearse(job.settings.home, job.options.name, clock=job.clock)
    job.stack.callback(journal.close)
    rehearsal = Rehearsal(job, journal)
    rehearsal.run()
    terminal = job.terminal
    cost = _cost(job, rehearsal)
    terminal.json(_as_json(job, rehearsal, cost))
    for line in (*_lines(job, rehearsal), *_estimate(job, rehearsal, cost)):
        terminal.result(line)
    if rehearsal.broken is not None:
        terminal.warn(f"mailblast: {rehearsal.broken}")
    return _exit_code(rehearsal)


def _exit_code(rehearsal: Rehearsal) -> ExitCode:
    if rehearsal.broken is not None:
        return ExitCode.INPUT
    trouble = rehearsal.counts[State.INVALID] or rehearsal.counts[State.IN_DOUBT] or rehearsal.held
    return ExitCode.INCOMPLETE if trouble else ExitCode.OK


def _duration_s(job: BulkJob, messages: int) -> float | None:
    """Return how long the limits make a run last at least; None without limits."""
    rate = job.transport.pace().per_second
    return messages / rate if rate else None


def _cost(job: BulkJob, rehearsal: Rehearsal) -> RunCost | None:
    """Return what the run costs; None where nobody would be sent anything."""
    messages = rehearsal.counts[State.UNSENT]
    if not messages:
        return None
    from mailblast.costs.plan import BASE64_GROWTH

    attached = round(rehearsal.attached_bytes / BASE64_GROWTH / messages)
    return cost_of_run(job.transport.dsn.scheme, job.provider.name, messages, attached)


def _as_json(job: BulkJob, rehearsal: Rehearsal, cost: RunCost | None) -> dict[str, Any]:
    messages = rehearsal.counts[State.UNSENT]
    return {
        "campaign": job.options.name,
        "dry_run": True,
        "rows": rehearsal.rows,
        "skipped": rehearsal.skipped,
        "held": rehearsal.held,
        "counts": counts_json(rehearsal.counts),
        "messages": messages,
        "size_bytes": rehearsal.size_bytes,
        "duration_s": _duration_s(job, messages),
        "cost": cost.to_json() if cost else None,
        "provider": job.provider.name,
        "stopped": str(rehearsal.broken) if rehearsal.broken else None,
        "exit_code": int(_exit_code(rehearsal)),
    }


def _lines(job: BulkJob, rehearsal: Rehearsal) -> list[str]:
    messages = rehearsal.counts[State.UNSENT]
    lines: list[str] = []
    for number, message in enumerate(rehearsal.samples, 1):
        lines += [f"--- message {number} of {messages:,}, to {message.recipient} ---", *_shown(message), ""]
    lines.append(f"{job.options.name}: dry run of {rehearsal.rows:,} rows; nothing was sent")
    lines += [
        f"  {state.value:<10} {rehearsal.counts[state]:>9,}"
        for state in (State.INVALID, State.DUPLICATE, State.SUPPRESSED, State.IN_DOUBT)
        if rehearsal.counts[state]
    ]
    if rehearsal.skipped:
        held = f", of these {rehearsal.held:,} in doubt and held" if rehearsal.held else ""
        why = f"nothing to do: settled before, or not in the sample{held}"
        lines.append(f"  {'skipped':<10} {rehearsal.skipped:>9,}  {why}")
    lines += [f"  row {fault.row}: {fault.address or '(no address)'}: {fault.text}" for fault in rehearsal.faults]
    if rehearsal.counts[State.INVALID] > len(rehearsal.faults):
        lines.append(f"  … and {rehearsal.counts[State.INVALID] - len(rehearsal.faults):,} more invalid rows")
    return lines


def _estimate(job: BulkJob, rehearsal: Rehearsal, cost: RunCost | None) -> Iterator[str]:
    """Yield what the run comes to: recipients, size, cost, duration."""
    messages = rehearsal.counts[State.UNSENT]
    yield f"  would send {messages:>9,}  by {job.provider.name}"
    if cost is not None:
        amount, told = cost.words()
        average = rehearsal.size_bytes / messages / 1024
        yield f"  size       {rehearsal.size_bytes / 1024**2:>9,.1f}  MB in all, {average:,.1f} KB a message"
        yield f"  cost       {amount:>9}  {told}"
        yield f"  duration   {_duration_text(_duration_s(job, messages)):>9}"


def _duration_text(seconds: float | None) -> str:
    if seconds is None:
        return "no limit"
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"


def _shown(message: Message) -> list[str]:
    """Return the headers and the text part as a reader sees them."""
    from email import policy
    from email.parser import BytesParser

    # Every second part is the content of an attachment, which nobody wants to read here.
    frame = b"".join(part for part in message.parts[::2] if isinstance(part, bytes))
    parsed = BytesParser(policy=policy.default).parsebytes(frame)
    names = ("From", "To", "Reply-To", "Subject", "List-Unsubscribe")
    lines = [f"{name}: {parsed[name]}" for name in names if parsed[name]]
    lines += [f"Attached: {part.get_filename()}" for part in parsed.iter_attachments() if part.get_filename()]
    body = parsed.get_body(("plain", "html"))
    text = body.get_content() if body is not None else ""
    return [*lines, "", *str(text).rstrip().splitlines()]

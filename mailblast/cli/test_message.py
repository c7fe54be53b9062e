"""``bulk --test-to``: the first message of a list, to an address of one's own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mailblast.cli import campaigns, loop
from mailblast.cli.exit_codes import ExitCode
from mailblast.errors import ListError, UsageError
from mailblast.executors.once import StandIn, deliver_claims
from mailblast.journal.journal import ClaimPolicy, Journal
from mailblast.model.outcome import State
from mailblast.model.recipient import Recipient

if TYPE_CHECKING:
    from mailblast.cli.bulk_job import BulkJob


def send_test_message(job: BulkJob, test_to: str) -> int:
    """Send the first valid row's message to another address; nothing is recorded. Return the exit code."""
    address = campaigns.mailbox(test_to, "--test-to").address
    first = next((row for row in job.recipients if isinstance(row, Recipient)), None)
    if first is None:
        raise ListError(f"{job.reader.name} has no valid row to take a test message from.")
    on_list = job.suppressions.suppressed([address]).get(address)
    if on_list is not None:
        raise UsageError(
            f"--test-to {address} is on the do-not-mail list ({on_list.reason.value}: {on_list.subject}).",
            fix=f"Give another address, or take it off: mailblast suppress remove {on_list.subject}",
        )
    # A scratch journal gives the claim its number and date and keeps nothing.
    journal = Journal.scratch(clock=job.clock)
    job.stack.callback(journal.close)
    claims = journal.claim([first._replace(address=address, key=address)], ClaimPolicy()).claims
    # As its row chooses, where rows do.
    first_route, *others = [
        StandIn(each.provider, functools.partial(job.make_pace, each)) for each in job.transports_of(first)
    ]
    work = deliver_claims(
        claims,
        job.campaign(journal),
        first_route.provider,
        first_route.make_pace,
        journal,
        job.clock,
        keys=job.keys,
        stand_ins=others,
        on_switch=lambda switch: job.terminal.warn(f"mailblast: {switch}"),
    )
    (outcome,), stopped = loop.run(work)
    if stopped is not None:
        raise stopped
    terminal = job.terminal
    terminal.result(
        f"row {first.row} of {job.reader.name}, to {address}: {outcome.state.value} {outcome.text}".rstrip()
    )
    terminal.json(
        {
            "campaign": job.options.name,
            "test_to": address,
            "row": first.row,
            "outcome": outcome.state.value,
            "reason": outcome.text,
            "provider": outcome.provider or first_route.provider.name,
            "provider_id": outcome.provider_id,
        }
    )
    return ExitCode.OK if outcome.state is State.ACCEPTED else ExitCode.INCOMPLETE

"""From a mailbox of reports to corrected campaigns and a longer do-not-mail list."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from mailblast.bounces.attribution import Attributed, attribute
from mailblast.bounces.report import Report, Reported, read_report
from mailblast.bounces.verdict import Verdict, corrected_state, verdict_of
from mailblast.errors import CampaignLockedError
from mailblast.journal.journal import Journal
from mailblast.recipients.suppression_entry import Reason, SuppressionEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from mailblast.bounces.mailbox import StoredMessage
    from mailblast.clock import Clock
    from mailblast.message.message_id import MessageName
    from mailblast.recipients.suppression import SuppressionList

#: Reports that are looked up together: each campaign they speak of is read once for all of them.
REPORTS_AT_ONCE = 5_000
_REASONS = {Verdict.HARD: Reason.BOUNCE, Verdict.COMPLAINT: Reason.COMPLAINT}


class BounceEvent(NamedTuple):
    """One thing that was learned, or could not be."""

    #: Where the report lies.
    place: str
    #: Empty where the report is about no message of ours.
    campaign: str
    key: str
    #: Of the recipient on record; where there is none, as the report has it.
    address: str
    verdict: Verdict
    reported: Reported
    #: Whether the address has been put on the do-not-mail list by this.
    suppressed: bool


@dataclass
class BounceCounts:
    """What a mailbox came to. ``messages`` is the sum of ``no_report``, ``unreadable`` and the reports."""

    messages: int = 0
    no_report: int = 0
    unreadable: int = 0
    #: Reports about messages that are not ours, or not on record here.
    unknown: int = 0
    hard: int = 0
    soft: int = 0
    complaint: int = 0
    other: int = 0
    none: int = 0
    suppressed: int = 0
    #: Recipients whose state in their campaign has changed.
    corrected: int = 0
    #: Campaigns that a run holds: read the same reports again when it has ended.
    locked: set[str] = field(default_factory=set)
    #: Campaigns that cannot be read, in words.
    troubles: list[str] = field(default_factory=list)


class BounceIntake:
    """Take reports in.

    Args:
        home: Folder of all campaigns.
        suppressions: Grows; None leaves it alone.
        clock: Times.
        dry_run: Change nothing.
    """

    def __init__(self, home: Path, suppressions: SuppressionList | None, clock: Clock, *, dry_run: bool) -> None:
        self._home = home
        self._suppressions = suppressions
        self._clock = clock
        self._dry_run = dry_run
        self.counts = BounceCounts()

    def take(self, messages: Iterable[StoredMessage]) -> Iterator[BounceEvent]:
        """Read messages and do what their reports ask for; yield what each report says.

        Raises:
            JournalError: A campaign or the do-not-mail list cannot be written. What was yielded has been done.
        """
        reports = self._reports(messages)
        while group := list(islice(reports, REPORTS_AT_ONCE)):
            found, troubles = attribute(self._home, (name for _, report in group for name in report.names))
            self.counts.troubles += troubles
            events: list[BounceEvent] = []
            corrections: dict[str, dict[int, Attributed]] = {}
            for place, report in group:
                for reported, whose in _matched(report, found):
                    events.append(self._event(place, reported, whose))
                    if whose is not None:
                        self._correct(whose, reported, corrections)
            for campaign, outcomes in corrections.items():
                self._amend(campaign, outcomes)
            yield from events

    def _reports(self, messages: Iterable[StoredMessage]) -> Iterator[tuple[str, Report]]:
        counts = self.counts
        for place, content in messages:
            counts.messages += 1
            if content is None:
                counts.unreadable += 1
                continue
            report = read_report(content)
            if report is None:
                counts.no_report += 1
            else:
                yield place, report

    def _event(self, place: str, reported: Reported, whose: Attributed | None) -> BounceEvent:
        counts = self.counts
        verdict = verdict_of(reported)
        if whose is None:
            counts.unknown += 1
            return BounceEvent(place, "", "", reported.address, verdict, reported, suppressed=False)
        setattr(counts, verdict.value, getattr(counts, verdict.value) + 1)
        suppressed = self._suppress(whose, verdict)
        counts.suppressed += suppressed
        outcome = whose.outcome
        return BounceEvent(place, whose.campaign, outcome.key, outcome.address, verdict, reported, suppressed)

    def _suppress(self, whose: Attributed, verdict: Verdict) -> bool:
        suppressions, address = self._suppressions, whose.outcome.address
        if suppressions is None or self._dry_run:
            return False
        now, source = self._clock.now(), f"bounces of {whose.campaign}"
        if verdict is Verdict.SOFT:
            return suppressions.note_soft_bounce(address, time_s=now, source=source)
        reason = _REASONS.get(verdict)
        return reason is not None and bool(suppressions.add([SuppressionEntry(address.lower(), reason, source, now)]))

    def _correct(self, whose: Attributed, reported: Reported, corrections: dict[str, dict[int, Attributed]]) -> None:
        known = corrections.setdefault(whose.campaign, {})
        outcome = known.get(whose.outcome.id, whose).outcome
        state = corrected_state(outcome.state, reported)
        if state is None:
            return
        text = f"bounced: {reported.text}" if reported.enhanced or reported.text else "bounced"
        said = (reported.code, reported.enhanced, text) if state.value == "failed" else (
            outcome.code, outcome.enhanced, "a report has shown that it arrived",
        )  # fmt: skip
        code, enhanced, text = said
        new = outcome._replace(state=state, time_s=self._clock.now(), code=code, enhanced=enhanced, text=text)
        known[new.id] = Attributed(whose.campaign, new)

    def _amend(self, campaign: str, corrections: dict[int, Attributed]) -> None:
        if not corrections:
            return
        if not self._dry_run:
            try:
                with Journal.open(self._home, campaign, clock=self._clock) as journal:
                    journal.amend([each.outcome for each in corrections.values()])
            except CampaignLockedError:
                self.counts.locked.add(campaign)
                return
        self.counts.corrected += len(corrections)


def _matched(report: Report, found: dict[MessageName, Attributed]) -> Iterator[tuple[Reported, Attributed | None]]:
    """Yield each recipient of a report with ours.

    One message of ours has one recipient, who may be known to the reporting server by another address: it forwards.
    """
    ours = [found[name] for name in report.names if name in found]
    by_address = {each.outcome.address.lower(): each for each in ours}
    for reported in report.recipients:
        own = by_address.get(reported.address.lower())
        if own is None and len(by_address) == 1:
            own = ours[0]
        yield reported, own

"""The record that makes a run continue where another one stopped, whatever stopped it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from mailblast.journal.claims import Claimer, ClaimPolicy, Claims
from mailblast.journal.codes import ACCEPTED, FAILED, IN_DOUBT
from mailblast.journal.columns import to_json
from mailblast.journal.database import connect, connect_overlay, create, damaged
from mailblast.journal.folder import CampaignFolder
from mailblast.journal.lock import CampaignLock
from mailblast.journal.overlay import OverlayTable
from mailblast.journal.recovery import close_settled, outcomes_of, recover, remove_segments
from mailblast.journal.runs import RunStart, finish_run, note_progress, read_runs, start_run
from mailblast.journal.segment import DiscardedSegment, Segment
from mailblast.journal.table import RecipientTable
from mailblast.model.outcome import Outcome, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mailblast.clock import Clock
    from mailblast.journal.table import QueuePlace
    from mailblast.model.recipient import Claim, Recipient

__all__ = ["ClaimPolicy", "Claims", "Journal", "RunStart"]


class Journal:
    """One campaign's journal, held by one run. Not thread-safe; use as a context manager or ``close()``.

    The life of a recipient: ``claim()``, then for each attempt ``segment().begin()``, ``commit()`` and ``finish()``,
    then ``fold()``. Made by ``open()`` or ``rehearse()``.
    """

    #: Name of the campaign.
    campaign: str
    #: Drawn when the journal was made: 16 hex digits.
    token: str
    #: Unix seconds when the journal was made.
    created_s: float
    #: Recipients that a killed run left in flight, now in doubt.
    recovered: int

    def __init__(
        self,
        folder: CampaignFolder,
        table: RecipientTable,
        segment: Segment,
        lock: CampaignLock | None,
        clock: Clock,
        *,
        recovered: int,
    ) -> None:
        self._folder = folder
        self._table = table
        self._segment = segment
        self._lock = lock
        self._clock = clock
        self._claimer = Claimer(table)
        self._run_id = 0
        self._closed = False
        self.campaign = folder.campaign
        self.recovered = recovered
        meta = dict(table.database.execute("SELECT name, value FROM meta"))
        self.token = str(meta["token"])
        self.created_s = float(meta["created"])

    @classmethod
    def open(cls, home: Path, campaign: str, *, clock: Clock, durable: bool = False) -> Self:
        """Take a campaign's journal, made if there is none, and settle what a killed run has left.

        Args:
            home: Folder of all campaigns; made with mode 0700.
            campaign: Name that is a file name everywhere; see ``CampaignFolder``.
            clock: Tells the time of all records.
            durable: Wait for the disk at each record, against loss of power. Without it a record outlives the process,
                not the machine.

        Raises:
            UsageError: The name cannot be used.
            CampaignLockedError: Another run holds the campaign.
            JournalDamagedError: The journal cannot be recovered. Nothing has been changed.
            JournalError: It cannot be made, read or written.
        """
        folder = CampaignFolder(home, campaign)
        folder.make()
        lock = CampaignLock(folder.lock, campaign, started_s=clock.now())
        try:
            if not folder.database.exists():
                if folder.segments() or folder.damaged_segments():
                    raise damaged(folder.database, "it is missing, and segments of it are left")  # noqa: TRY301
                create(folder.database, created_s=clock.now())
            table = RecipientTable(connect(folder.database, durable=durable), folder.database)
            try:
                recovered = recover(folder, table)
                remove_segments(folder)
                table.index()
                segment = Segment(folder.path, durable=durable)
                with table.transaction() as database:
                    # From here on a journal without a segment is one whose segment somebody has removed.
                    database.execute("UPDATE meta SET value = 1 WHERE name = 'open'")
                return cls(folder, table, segment, lock, clock, recovered=recovered)
            except BaseException:
                table.close()
                raise
        except BaseException:
            lock.release()
            raise

    @classmethod
    def rehearse(cls, home: Path, campaign: str, *, clock: Clock) -> Self:
        """Give the answers that ``open()`` would give, and change nothing on disk. Takes no lock.

        Raises:
            UsageError: The name cannot be used.
            JournalDamagedError: The journal cannot be recovered.
            JournalError: It cannot be read.
        """
        folder = CampaignFolder(home, campaign)
        log = folder.database.with_name(f"{folder.database.name}-wal")
        database = connect_overlay(folder.database, created_s=clock.now(), unchanging=not log.exists())
        table = OverlayTable(database, folder.database)
        try:
            recovered = recover(folder, table)
            table.adopt_unindexed()
            return cls(folder, table, DiscardedSegment(), None, clock, recovered=recovered)
        except BaseException:
            table.close()
            raise

    @classmethod
    def scratch(cls, *, clock: Clock) -> Self:
        """Return the journal of a campaign that never was; it forgets everything when closed."""
        # Below a file there is no folder, so none of this name is found.
        return cls.rehearse(Path(os.devnull), "scratch", clock=clock)

    @property
    def folder(self) -> Path:
        """The campaign's folder, where processes of this run make their own ``Segment``."""
        return self._folder.path

    def lock_descriptor(self) -> int | None:
        """Return the lock's descriptor for child processes to inherit; None in a rehearsal.

        A child that holds it keeps the campaign held while it may still be sending, even if this process is killed.
        """
        return None if self._lock is None else self._lock.fileno()

    def begin_run(self, *, provider: str, template_fingerprint: str, keeps_queue: bool = False) -> RunStart:
        """Record that a run begins; the list is read anew, so its faults are forgotten.

        Args:
            provider: Name of the provider for the record.
            template_fingerprint: Anything that differs when the template does.
            keeps_queue: Forget neither faults nor who is to be tried later: this run adds to a queue, or delivers it.
        """
        start = start_run(
            self._table,
            time_s=self._clock.now(),
            provider=provider,
            template=template_fingerprint,
            keeps_queue=keeps_queue,
        )
        self._run_id = start.id
        return start

    def claim(self, recipients: Sequence[Recipient], policy: ClaimPolicy) -> Claims:
        """Claim those of a batch that may be sent to.

        New keys and those that are deferred, unsent, suppressed or invalid are claimed; accepted ones are skipped;
        failed ones and those in doubt as the policy says. A key seen before in this run is a duplicate.

        ``Claim.dated_s`` is now until a first attempt has been made, and stays what it was then.

        Raises:
            JournalError: The claims cannot be recorded. Nothing has been claimed.
        """
        return self._claimer.claim(recipients, policy, self._clock.now())

    def segment(self) -> Segment:
        """Return this process's log of marks and outcomes."""
        return self._segment

    def fold(
        self,
        outcomes: Sequence[Outcome],
        *,
        retry_at: Mapping[int, float] | None = None,
        done: Sequence[QueuePlace] = (),
    ) -> None:
        """Take outcomes of claims into the keyed table, ``unsent`` ones too.

        Args:
            outcomes: One for each claim, at most one a claim.
            retry_at: Unix seconds, by claim id, at which a deferred one is to be tried again in this run: ``due()``.
            done: Places in the queue that these outcomes settle.

        Raises:
            JournalError: They cannot be written. None has been; those given to ``Segment.finish()`` are in the segment.
        """
        # First, so that the segment never says less than the table.
        self._segment.flush()
        accepted = State.ACCEPTED
        kept = [each if each.state is accepted else self._with_fields(each) for each in outcomes]
        retries = [self._retry(claim_id, at) for claim_id, at in (retry_at or {}).items()]
        self._table.fold(kept, retries, self._segment.end, done)
        ids = [outcome.id for outcome in outcomes]
        self._claimer.close(ids)
        self._segment.settled(ids)

    def amend(self, outcomes: Sequence[Outcome]) -> None:
        """Correct recipients in the light of what came back after a run: a bounce, or proof of an arrival.

        Args:
            outcomes: With the new state, time, code, enhanced status code and text; of those that are accepted or in
                doubt on record. Others stay as they are.

        Raises:
            JournalError: They cannot be written; none has been.
        """
        self._table.amend(outcomes)

    def release(self, claims: Sequence[Claim]) -> None:
        """Forget claims that end here without an outcome, as in a rehearsal; they stay duplicates of what follows."""
        self._claimer.close([claim.id for claim in claims])

    def record_faults(self, outcomes: Sequence[Outcome]) -> None:
        """Record rows of the list that never became a claim: invalid ones and duplicates.

        Raises:
            JournalError: They cannot be written.
        """
        self._table.record_faults(outcomes)

    def due(self, before_s: float, *, limit: int) -> tuple[Claim, ...]:
        """Claim once more those that ``fold()`` was given a time for that has come, the oldest first.

        Raises:
            JournalError: The claims cannot be recorded.
        """
        return self._claimer.reopen(self._table.take_due(before_s, limit))

    def next_due_s(self) -> float | None:
        """Return the Unix seconds at which ``due()`` gives the next claim, None where nobody waits."""
        return self._table.next_due_s()

    def queued_due(
        self, before_s: float, after: QueuePlace, *, limit: int
    ) -> tuple[tuple[Claim, ...], tuple[QueuePlace, ...]]:
        """Claim those of the queue that are due and stand behind a place in it; return them and their places.

        They stay in the queue until ``fold()`` is given their places.

        Raises:
            JournalError: The claims cannot be recorded.
        """
        rows = self._table.read_due(before_s, after, limit)
        return self._claimer.reopen(rows), tuple((row[0], row[2]) for row in rows)

    def hasten_queue(self) -> None:
        """Make everybody in the queue due now."""
        self._table.hasten()

    def trim_queue(self) -> int:
        """Take who is settled out of the queue, as a kill may leave them; return how many are left in it."""
        return self._table.trim_queue()

    def clear_queue(self) -> int:
        """Take everybody out of the queue; return how many there were."""
        return self._table.clear_queue()

    def settled_codes(self) -> Iterator[tuple[int, int]]:
        """Yield id and state code of everybody who must not be sent to without being asked for."""
        return self._table.settled_codes((ACCEPTED, FAILED, IN_DOUBT))

    def counts(self) -> dict[State, int]:
        """Return the campaign's counts, all nine, rows that never became a claim included."""
        return self._table.counts()

    def outcomes_of(self, pid: int, claims: Sequence[Claim]) -> tuple[Outcome, ...]:
        """Return what became of claims that were handed to a process of this run which has died.

        Its outcome where its segment has one, ``in_doubt`` where a mark is left, else ``unsent``. The caller folds
        them.

        Raises:
            JournalDamagedError: The segment is damaged.
            JournalError: It cannot be read.
        """
        return outcomes_of(self._folder.segments_of(pid), claims, self._clock.now())

    def earlier_providers(self) -> frozenset[str]:
        """Return the names of providers that runs of this campaign have used."""
        return frozenset(run.provider for run in read_runs(self._table))

    def note_progress(self, *, counts: Mapping[State, int], rows: int) -> None:
        """Record this run's counts so far, for those who look on from outside."""
        note_progress(self._table, self._run_id, counts=counts, rows=rows)

    def end_run(
        self, *, counts: Mapping[State, int], rows: int, exit_code: int, whole_list: bool = True, grade: str = ""
    ) -> None:
        """Record how the run ended.

        Args:
            counts: Of this run.
            rows: Read by this run.
            exit_code: What the command ends with.
            whole_list: The list was read to its end.
            grade: The monitor's.
        """
        finish_run(
            self._table,
            self._run_id,
            time_s=self._clock.now(),
            counts=counts,
            rows=rows,
            whole_list=whole_list,
            exit_code=exit_code,
            grade=grade,
        )

    def close(self) -> None:
        """Settle what is open, as a later ``open()`` would, and let the campaign go.

        Raises:
            JournalError: Something cannot be written; it is in the segments, and the next ``open()`` settles it.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._segment.close()
            if self._lock is not None:
                if self._claimer.has_open:
                    recover(self._folder, self._table)
                else:
                    close_settled(self._table)
                remove_segments(self._folder)
        finally:
            self._table.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _with_fields(self, outcome: Outcome) -> Outcome:
        if outcome.fields is not None:
            return outcome
        recipient = self._claimer.recipient(outcome.id)
        return outcome if recipient is None else outcome._replace(fields=recipient.fields)

    def _retry(self, claim_id: int, at_s: float) -> tuple[float, int, str | None]:
        recipient = self._claimer.recipient(claim_id)
        if recipient is None or recipient.variables == recipient.fields:
            return at_s, claim_id, None
        return at_s, claim_id, to_json(recipient.variables)

"""Stage 7, the journal: recipients in, claims out; what became of each is on file before and after it is sent.

One folder per campaign, ``.mailblast/<campaign>/``:

    journal.sqlite3       keyed table of recipients, runs, faults of the list (WAL)
    segment-<pid>-<n>.log marks and outcomes of one process, appended in groups, folded into the table per batch
    lock                  held by the run; names its host, process and start

Rules when something fails:

- A mark is in the segment before its message can be complete at the provider. A mark that cannot be written raises
  ``JournalError`` before the message leaves, so the message stays unsent.
- After a kill at any instant the next ``open()`` replays what segments are left: an outcome is taken over, a mark
  without outcome is in doubt, a claim without mark is unsent. Replaying twice changes nothing.
- ``accepted`` never changes again. ``in_doubt`` is left only for ``accepted`` or ``failed``.
- A torn last record is dropped: its write never returned, so nothing was sent on its strength. Damage in front of
  whole records is refused with ``JournalDamagedError`` and the file is kept. So is a segment without a record that it
  had when the last batch was folded, and a table without recipients that segments speak of. A segment that is renamed
  to ``….damaged`` is used as far as it can be trusted, and all that it may have settled is held in doubt. So is
  everything in flight when the segments of a killed run have been removed or emptied.
- A full disk or a folder that cannot be written is a ``JournalError``; all that was recorded before it stays.
"""

"""Stage 9, the report: the journal in, a summary or a list of failures out.

Reads only, also while a run is going on. What cannot be read is the journal's ``JournalError``; a campaign that does
not exist is a ``UsageError``.
"""

"""Files that go with messages: from a path, a stream or bytes to ``Attachment``.

Up to 50 MB are encoded once and kept in memory, shared by all messages. What is larger, or of unknown size, is a file
that is read whenever it is written out: it is never held as a whole, nor sent from one process to another.

What fails for whom:

- A file of the whole campaign that cannot be read, or a disk that is full: ``UsageError`` before the first row.
- One that is gone during the run: ``InputError``, and what is left is unsent.
- A row's own file that is missing, too large, or outside its folder: ``RowFaultError``, which ends that row alone.
- A file that changes while it is being written out: ``OSError`` from ``chunks()``; the provider leaves the message
  unfinished, so that nobody gets half of it.
"""

"""Stage 1, lists: a file, line by line, becomes rows.

Who counts for what:

- A record that cannot be used (too many cells, control characters, too large, no JSON object) is a ``BadRow``. It has
  its number, and reading goes on with the next record.
- A list that is broken as a whole raises ``ListError``: from ``open_list()`` where the beginning shows it (missing,
  empty, no usable header, an Excel workbook), else while iterating, at that row and after everything before it was
  given. Such are a quote that is never closed, bytes in another encoding, compressed data that ends too early.
- Nothing is guessed where a guess could send mail to somebody else: text that a broken record may have swallowed is
  never read as new records.

Memory is bounded by the largest record that is allowed, whatever the file holds.
"""

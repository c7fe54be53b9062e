"""Stage 4, message: ``Content`` and one recipient become a ``Message``, the bytes that go out.

A row whose data would break a header, or that holds what no message may hold (a NUL, half a character), raises
``RowFaultError`` and ends that row alone. A sender that cannot be written raises ``UsageError`` before the first row.
The same claim, content, campaign and keys always give the same bytes, signature included.

The standard library's generator is not used: it lets data add headers, encodes what must stay plain, and takes over
twenty times as long. Its parser reads back what is written here in the tests.
"""

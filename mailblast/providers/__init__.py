"""Stage 5, providers: messages over the wire, to attempts. One module or package per provider.

Rules when something fails:

- Refused by a reply: an ``Attempt`` with that reply, its permanence and its scope. Never an exception.
- Ended before the message could be complete at the provider: ``NOT_SENT``.
- Ended after that, without a reply: ``IN_DOUBT``.
- A mark that cannot be written stops the provider before the marked bytes leave.
- No connection at all, or a login that is refused: the provider stops with a ``ProviderError``; what it had taken is
  finished first.
"""

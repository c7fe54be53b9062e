"""Stage 6, delivery: claims through render, message and provider, to outcomes.

Who a failure counts for:

- The row cannot be rendered or built: ``invalid``, the provider never sees it.
- Refused for this recipient or message: ``deferred`` (for now) or ``failed`` (for good).
- Ended before the message was complete on the wire, or the connection was closed with a reply: nobody's fault;
  the message goes back to the queue, a bounded number of times, without an attempt being charged.
- The reply was lost after the message was complete: ``in_doubt``, never repeated unasked.
- The account is refused, or every connection fails: the run stops, whatever is left is ``unsent``.
"""

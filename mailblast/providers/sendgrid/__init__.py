"""Stage 5, SendGrid: many recipients a request of the v3 API, each with the values of its own.

Rules when something fails:

- No connection (refused, name not found, TLS): nothing was sent; the provider stops with a
  ``ProviderUnavailableError``.
- The connection breaks while the request is written: it was not whole, so nobody in it was sent to.
- It breaks after that, or nothing comes in time: everybody in this request is in doubt, nobody else. Until the next
  answer requests hold one recipient.
- 400 that names entries: these have failed, the others go again at once. 400 that names none: the request is halved
  until the broken one stands alone.
- 413: halved. 429: nobody was sent to, and the limits are told when to go on.
- 503 in SendGrid's own words: nobody was sent to; whoever was in a request of many comes alone the next time.
- Any other 5xx, also 500, and a 503 in a gateway's words: the request was whole and the answer does not say what
  became of it, so it is in doubt. The API has no idempotency key that a repeat could carry.
- 401, 403, 405, 406, 451 and whatever else is about the account or the common part: the run stops.
"""

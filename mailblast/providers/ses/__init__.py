"""Amazon SES, version 2 of its API, through boto3: one message a call, or many that share a layout.

Rules when something fails:

- Refused by an answer, or by one entry of an answer: an ``Attempt`` as ``verdicts`` says. Every entry is read.
- No connection, no credentials, or a request that was never written: ``NOT_SENT``.
- Written, and no answer that can be read: ``IN_DOUBT`` for every message of the call. SES has no idempotency token
  (API reference, SendEmail), so nothing is repeated here; boto3's own retries are off.
- A call of many that is refused as a whole: its messages go one by one.
- The account is refused: the run stops.
"""

"""What Redis holds for campaigns, and under which keys.

All are below ``mailblast:``

    campaigns             set of tokens
    workers               hash: worker id -> JSON with the time it was last seen, by the server's clock
    slots                 counter for worker slots
    delayed               sorted set: "token:batch" by the time it is due
    blob:<hash>           list: an attachment in pieces
    <token>:info          hash: name, state, document, complete, rows, priority
    <token>:ledger        string: one byte for each recipient, by its number
    <token>:batches       hash: batch number -> runs of its ids, a line feed, JSON array of its rows; it is there until
                          it is finished
    <token>:unput         set: batches that may not have reached the engine
    <token>:sequence      counter of batches
    <token>:outcomes      stream: o=outcomes that are final, or r=of those that are to be tried again; see outcomes.py
    <token>:groups        hash: worker id -> number of its last group of outcomes
"""

from __future__ import annotations

PREFIX = "mailblast:"
CAMPAIGNS = f"{PREFIX}campaigns"
WORKERS = f"{PREFIX}workers"
SLOTS = f"{PREFIX}slots"
DELAYED = f"{PREFIX}delayed"


def key_of(token: str, name: str) -> str:
    """Return a key of a campaign."""
    return f"{PREFIX}{token}:{name}"


def keys_of(token: str, *names: str) -> list[str]:
    """Return keys of a campaign, in the order that a script wants them."""
    return [key_of(token, name) for name in names]

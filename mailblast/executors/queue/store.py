"""What Redis holds for campaigns, and the single steps by which it changes.

Keys, all below ``mailblast:``

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

import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mailblast.executors.queue import scripts
from mailblast.executors.queue.rows import decode_rows, encode_rows
from mailblast.executors.queue.runs import runs_by_state, runs_of
from mailblast.executors.queue.server import INSTALL, QueueAwayError, QueueError, Server
from mailblast.executors.queue.states import QUEUED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mailblast.model.message import StreamedPart
    from mailblast.model.recipient import Claim

__all__ = ["INSTALL", "PREFIX", "Arrived", "Found", "Put", "QueueAwayError", "QueueError", "Store", "encoded_pieces"]

PREFIX = "mailblast:"
#: Looks for those who are to be declared in doubt: some may be settled by a slow worker between look and step.
SETTLE_TRIES = 2
#: Ids told to one script at once.
IDS_AT_ONCE = 2_000
#: Turns of workers whose outcomes are taken home at once.
ENTRIES_AT_ONCE = 1_000
#: What is over, and attachments that nobody has queued again, go after so long.
KEPT_S = 7 * 86_400
BLOB_KEPT_S = 30 * 86_400


class Put(NamedTuple):
    """What became of a batch that was put."""

    #: Number of the batch; 0 where nobody of it was left to be put.
    sequence: int
    #: Those who were not put, with the byte that they have.
    refused: dict[int, int]


class Found(NamedTuple):
    """What is known of a batch."""

    #: Of its campaign; empty where that is gone.
    state: str
    claims: list[Claim]
    #: The byte of each claim.
    states: bytes

    @property
    def queued(self) -> list[Claim]:
        """Return those who are to be sent to."""
        return [claim for claim, state in zip(self.claims, self.states, strict=True) if state == QUEUED]


class Arrived(NamedTuple):
    """Outcomes that are at the server, as text; the oldest ones."""

    #: Names the last entry of the stream that is in it.
    last: str
    final: bytes
    again: bytes


class Store(Server):
    """What the server holds for campaigns. Safe to use from several threads; see ``Server`` for how it is made."""

    # Campaigns.

    def begin_campaign(self, token: str, info: dict[str, str]) -> None:
        """Say that a campaign is being queued, or queued further; it is active from now on."""
        with self.told(), self.client.pipeline() as pipe:
            pipe.hset(_key(token, "info"), mapping={**info, "state": "active", "complete": "0"})
            for name in ("ledger", "outcomes", "groups", "sequence"):
                pipe.persist(_key(token, name))
            pipe.sadd(f"{PREFIX}campaigns", token)
            pipe.execute()

    def complete_campaign(self, token: str) -> None:
        """Say that everything of the list has been put."""
        with self.told():
            self.client.hset(_key(token, "info"), "complete", "1")

    def info(self, token: str) -> dict[str, str]:
        """Return what is known of a campaign; empty where it is not there."""
        with self.told():
            found = self.client.hgetall(_key(token, "info"))
        return {name.decode(): value.decode() for name, value in found.items()}

    def states(self, tokens: Iterable[str]) -> dict[str, str]:
        """Return the states of campaigns: ``active``, ``paused``, ``cancelled``, empty where one is gone."""
        tokens = list(tokens)
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hget(_key(token, "info"), "state")
            found = pipe.execute()
        return {token: (state or b"").decode() for token, state in zip(tokens, found, strict=True)}

    def set_state(self, token: str, state: str) -> bool:
        """Pause a campaign, let it go on, or end it; return False where it is gone or ended already."""
        return bool(self.run("set_state", [_key(token, "info")], [state]))

    def campaigns(self) -> list[str]:
        """Return the tokens of all campaigns."""
        with self.told():
            return sorted(token.decode() for token in self.client.smembers(f"{PREFIX}campaigns"))

    def forget(self, token: str) -> None:
        """Let go of a campaign that is over. Its ledger stays for a while, for workers that were only frozen."""
        with self.told(), self.client.pipeline() as pipe:
            for name in ("info", "batches", "unput"):
                pipe.delete(_key(token, name))
            for name in ("ledger", "outcomes", "groups", "sequence"):
                pipe.expire(_key(token, name), KEPT_S)
            pipe.srem(f"{PREFIX}campaigns", token)
            pipe.execute()

    # Batches.

    def put(self, token: str, batches: Sequence[Sequence[Claim]]) -> list[Put]:
        """Store batches of those who are not queued, being sent to or served already."""
        keys = _keys(token, "ledger", "batches", "unput", "sequence")
        answers = self.run_all(
            "put", [(keys, [runs_of([claim.id for claim in claims]), encode_rows(claims)]) for claims in batches]
        )
        puts = []
        for claims, (sequence, *pairs) in zip(batches, answers, strict=True):
            refused = dict(zip(pairs[::2], pairs[1::2], strict=True))
            rest = [claim for claim in claims if claim.id not in refused] if refused else []
            if rest:
                (put,) = self.put(token, [rest])
                puts.append(Put(put.sequence, refused | put.refused))
            else:
                puts.append(Put(sequence, refused))
        return puts

    def put_was_heard(self, token: str, *sequences: int) -> None:
        """Say that batches have reached the engine."""
        if sequences:
            with self.told():
                self.client.srem(_key(token, "unput"), *sequences)

    def put_later(self, token: str, claims: Sequence[Claim], delay_s: float, priority: int) -> None:
        """Store a batch of those who are to be tried again."""
        runs = runs_of([claim.id for claim in claims])
        self.run(
            "put_later",
            [*_keys(token, "batches", "sequence"), f"{PREFIX}delayed"],
            [token, priority, round(delay_s * 1000), runs, encode_rows(claims)],
        )

    def delay(self, token: str, sequence: int, priority: int, delay_s: float) -> None:
        """Put a batch off that is stored already."""
        with self.told():
            seconds, micros = self.client.time()
            due = seconds * 1000 + micros // 1000 + round(delay_s * 1000)
            self.client.zadd(f"{PREFIX}delayed", {f"{token}:{sequence}:{priority}": due})

    def take_due(self, limit: int = 100) -> list[tuple[str, int, int]]:
        """Take batches whose time has come: token, number, priority. The caller hands them to the engine."""
        found = self.run("take_due", [f"{PREFIX}delayed"], [limit, PREFIX])
        return [(token, int(sequence), int(priority)) for token, sequence, priority in map(_member, found)]

    def unput(self, token: str) -> set[int]:
        """Return the batches that may not have reached the engine."""
        with self.told():
            return {int(each) for each in self.client.smembers(_key(token, "unput"))}

    def open_batches(self, token: str) -> int:
        """Return how many batches are not finished."""
        with self.told():
            return int(self.client.hlen(_key(token, "batches")))

    def open_in_all(self, tokens: Sequence[str]) -> int:
        """Return how many batches of these campaigns are not finished."""
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token in tokens:
                pipe.hlen(_key(token, "batches"))
            return sum(pipe.execute())

    def read_batches(self, batches: Sequence[tuple[str, int]]) -> list[Found]:
        """Return what is known of batches by token and number; one that is finished has no claims."""
        answers = self.run_all(
            "read", [(_keys(token, "ledger", "batches", "info"), [sequence]) for token, sequence in batches]
        )
        return [
            Found(state.decode(), decode_rows(rows[0]) if rows else [], rows[1] if rows else b"")
            for state, *rows in answers
        ]

    def finish_batches(self, batches: Iterable[tuple[str, int]]) -> None:
        """Forget batches whose recipients all have an outcome, or are somebody else's."""
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            for token, sequence in batches:
                pipe.hdel(_key(token, "batches"), sequence)
            pipe.execute()

    def drop_batch(self, token: str, sequence: int) -> None:
        """Forget a batch of a cancelled campaign; who of it is still queued is no longer."""
        self.run("drop", _keys(token, "ledger", "batches"), [sequence])

    def drop_batches(self, token: str) -> None:
        """Forget all batches of a campaign that the server knows nothing else of."""
        with self.told():
            sequences = self.client.hkeys(_key(token, "batches"))
        for sequence in sequences:
            self.drop_batch(token, int(sequence))

    # The ledger.

    def restore(self, token: str, states: Iterable[tuple[int, int]]) -> int:
        """Tell the ledger final states that the journal has, after a loss of the server's memory; return how many."""
        keys, told = _keys(token, "ledger"), 0
        pairs = iter(states)
        while some := list(itertools.islice(pairs, IDS_AT_ONCE)):
            ids: dict[int, list[int]] = {}
            for claim_id, state in some:
                ids.setdefault(state, []).append(claim_id)
            told += int(self.run("restore", keys, [runs_by_state(ids)]))
        return told

    def settle(self, token: str, dead_slots: Iterable[int], make_payload: Any) -> int:
        """Declare in doubt who was being sent to by workers that are gone; return how many.

        Args:
            token: The campaign's.
            dead_slots: Bytes of these workers.
            make_payload: Returns the outcomes of some recipients, by number, as they stand in the stream.
        """
        dead = frozenset(dead_slots)
        settled = 0
        for _ in range(SETTLE_TRIES):
            ids = [claim_id for claim_id, state in self.sending(token) if state in dead]
            parts = [ids[start : start + IDS_AT_ONCE] for start in range(0, len(ids), IDS_AT_ONCE)]
            for some in parts:
                done = self.run("settle", _keys(token, "ledger", "outcomes"), [make_payload(some), runs_of(some)])
                settled += len(some) if done else 0
        return settled

    def sending(self, token: str) -> Iterator[tuple[int, int]]:
        """Yield number and byte of those who are being sent to."""
        with self.told():
            size = int(self.client.strlen(_key(token, "ledger")))
        for start in range(0, size, 1 << 20):
            with self.told():
                part = self.client.getrange(_key(token, "ledger"), start, start + (1 << 20) - 1)
            if max(part, default=0) >= scripts.FIRST_SLOT:
                yield from ((start + index, byte) for index, byte in enumerate(part) if byte >= scripts.FIRST_SLOT)

    def queued(self, token: str) -> int:
        """Return how many recipients are queued and not being sent to."""
        count = 0
        with self.told():
            size = int(self.client.strlen(_key(token, "ledger")))
            for start in range(0, size, 1 << 20):
                part = self.client.getrange(_key(token, "ledger"), start, start + (1 << 20) - 1)
                count += part.count(bytes([QUEUED]))
        return count

    # Outcomes.

    def take_outcomes(self, token: str, done: str = "", limit: int = ENTRIES_AT_ONCE) -> Arrived | None:
        """Return the oldest outcomes; they stay there until they are done with. None where there are none.

        Args:
            token: The campaign's.
            done: ``last`` of what was taken before and is in the journal by now: all up to there is removed.
            limit: Entries of the stream, of a turn of a worker each; 0 for none.
        """
        found = self.run("take_home", _keys(token, "outcomes"), [done, limit])
        return Arrived(found[0].decode(), found[1], found[2]) if found else None

    def has_outcomes(self, token: str) -> bool:
        """Return whether there are outcomes."""
        with self.told():
            return bool(self.client.xlen(_key(token, "outcomes")))

    # Workers.

    def new_slot(self) -> int:
        """Return the byte that a worker marks with what it is sending. 240 workers at once are told apart."""
        with self.told():
            count = int(self.client.incr(f"{PREFIX}slots"))
        return scripts.FIRST_SLOT + (count - 1) % (256 - scripts.FIRST_SLOT)

    def seen(self, worker: str, told: dict[str, Any]) -> None:
        """Say that a worker is alive."""
        self.run("seen", [f"{PREFIX}workers"], [worker, json.dumps(told)])

    def gone(self, worker: str) -> None:
        """Say that a worker has ended in good order."""
        with self.told():
            self.client.hdel(f"{PREFIX}workers", worker)

    def workers(self) -> dict[str, dict[str, Any]]:
        """Return what workers have told, with ``age_s``: how long ago by the server's clock."""
        with self.told(), self.client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hgetall(f"{PREFIX}workers")
            (seconds, micros), found = pipe.execute()
        workers = {}
        for name, value in found.items():
            at_s, _, told = value.decode().partition(" ")
            workers[name.decode()] = {**json.loads(told), "age_s": seconds + micros / 1e6 - float(at_s)}
        return workers

    # Attachments.

    def put_blob(self, name: str, pieces: Iterator[bytes]) -> None:
        """Keep an attachment, unless it is there."""
        key, draft = f"{PREFIX}blob:{name}", f"{PREFIX}draft:{name}"
        with self.told():
            if self.client.expire(key, BLOB_KEPT_S):
                return
            self.client.delete(draft)
            for piece in pieces:
                self.client.rpush(draft, piece)
            self.client.rename(draft, key)
            self.client.expire(key, BLOB_KEPT_S)

    def blob(self, name: str) -> Iterator[bytes]:
        """Yield an attachment in pieces.

        Raises:
            QueueError: It is not there.
        """
        with self.told():
            count = int(self.client.llen(f"{PREFIX}blob:{name}"))
        if not count:
            raise QueueError(
                "An attachment of a queued campaign is not at the server.", fix="Queue the campaign again."
            )
        for index in range(count):
            with self.told():
                piece = self.client.lindex(f"{PREFIX}blob:{name}", index)
            yield piece


def encoded_pieces(encoded: bytes | StreamedPart) -> Iterator[bytes]:
    """Yield an attachment in pieces of about 64 KB."""
    if isinstance(encoded, bytes):
        yield from (encoded[start : start + 65_536] for start in range(0, len(encoded), 65_536))
    else:
        yield from encoded.chunks()


def _key(token: str, name: str) -> str:
    return f"{PREFIX}{token}:{name}"


def _keys(token: str, *names: str) -> list[str]:
    return [_key(token, name) for name in names]


def _member(member: bytes) -> tuple[str, str, str]:
    token, sequence, priority = member.decode().split(":")
    return token, sequence, priority
